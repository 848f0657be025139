//! What each test runs on: a database, migrated, and a fake arXiv.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arxiv::{Client, ClientSettings, FetchError, PageRequest, ValidatedSearch};
use jiff::civil::Date;
use storage::migrate::{MigrateSettings, RolePasswords};
use storage::{Access, Gate, GateSettings, Pages, PoolSettings};
use testbed::{FakeArxiv, Postgres};
use tokio::sync::OnceCell;
use upstream::{FetchedPage, Upstream, UpstreamError};

/// Long enough for the fake arXiv to notice that a connection was closed, short enough to wait for.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);
/// How long a request may follow its slot. Slots are this much further apart, so it decides how long these
/// tests take.
const SLACK: Duration = Duration::from_millis(200);
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
pub(crate) const DAY: Date = Date::constant(2024, 5, 6);

const USER: &str = "arxiv_upstream";
const PASSWORD: &str = "upstream-secret";

/// The database that each test's own is a copy of.
const TEMPLATE: &str = "arxiv";

pub(crate) struct UpstreamEnv {
    pub(crate) postgres: &'static Postgres,
    pub(crate) database: String,
    pub(crate) arxiv: FakeArxiv,
    pub(crate) upstream: Upstream,
    slots: Arc<AtomicUsize>,
}

impl UpstreamEnv {
    /// A database and a fake arXiv of its own, on a server that all tests share.
    pub(crate) async fn start() -> Self {
        Self::start_with(SLACK).await
    }

    /// With this long for a request to follow its slot.
    pub(crate) async fn start_with(slack: Duration) -> Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        Self::start_on(SHARED.get_or_init(migrated).await, slack).await
    }

    /// With a server of its own, which may be stopped.
    pub(crate) async fn start_alone() -> Self {
        Self::start_on(Box::leak(Box::new(migrated().await)), SLACK).await
    }

    async fn start_on(postgres: &'static Postgres, slack: Duration) -> Self {
        static COPIES: AtomicUsize = AtomicUsize::new(0);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let database = format!("copy_{}", COPIES.fetch_add(1, Ordering::SeqCst));
        let copy = format!("create database {database} template {TEMPLATE}");
        postgres.execute("postgres", &copy).await.unwrap();
        let arxiv = FakeArxiv::start().unwrap();
        let upstream = join(&postgres.url(USER, PASSWORD, &database), &arxiv, slack);
        Self {
            postgres,
            database,
            arxiv,
            upstream,
            slots: Arc::default(),
        }
    }

    /// As another process would have it, with a gate and a store of its own.
    pub(crate) fn another_process(&self) -> Upstream {
        join(
            &self.postgres.url(USER, PASSWORD, &self.database),
            &self.arxiv,
            SLACK,
        )
    }

    /// Asks for a page, and counts when that leads to a request.
    pub(crate) async fn page(&self, request: &PageRequest) -> Result<FetchedPage, UpstreamError> {
        self.page_within(request, TIMEOUT).await
    }

    pub(crate) async fn page_within(
        &self,
        request: &PageRequest,
        timeout: Duration,
    ) -> Result<FetchedPage, UpstreamError> {
        let slots = Arc::clone(&self.slots);
        let count = move || {
            slots.fetch_add(1, Ordering::SeqCst);
        };
        self.upstream.page(request, DAY, timeout, count).await
    }

    /// How many pages have led to requests.
    pub(crate) fn slots(&self) -> usize {
        self.slots.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.arxiv.requests().len()
    }

    /// Checks what arXiv has seen all the while.
    pub(crate) fn assert_polite(&self) {
        assert!(
            self.arxiv.max_open() <= 1,
            "{} connections at once",
            self.arxiv.max_open()
        );
        if let Some(spacing) = self.arxiv.min_spacing() {
            assert!(spacing >= INTERVAL, "two requests within {spacing:?}");
        }
    }

    /// The sessions that hold the gate's lock.
    pub(crate) async fn lock_holders(&self) -> Vec<i32> {
        let mut admin = self.postgres.connect(&self.database).await.unwrap();
        let holders = sqlx::query_scalar(
            "select pid from pg_locks join pg_database on pg_database.oid = database
             where locktype = 'advisory' and granted and datname = current_database()",
        );
        holders.fetch_all(&mut admin).await.unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.postgres.execute(&self.database, sql).await.unwrap();
    }
}

/// A server with the template in it.
async fn migrated() -> Postgres {
    let postgres = Postgres::start().await.unwrap();
    postgres.create_database(TEMPLATE).await.unwrap();
    let url = postgres.admin_url(TEMPLATE);
    let settings = MigrateSettings {
        sequence_url: url.clone(),
        upstream_url: url.clone(),
        queries_url: url.clone(),
        results_url: url,
        passwords: RolePasswords {
            arxiv_upstream: Some(PASSWORD.into()),
            ..RolePasswords::default()
        },
        retention_days: None,
    };
    storage::migrate::run(&settings, &|_| ()).await.unwrap();
    postgres
}

fn join(url: &str, arxiv: &FakeArxiv, slack: Duration) -> Upstream {
    let client = Client::new(ClientSettings {
        base: arxiv.url(),
        contact: None,
        timeout: Duration::from_secs(15),
        proxy: None,
        ca_bundle: None,
        max_body: ClientSettings::DEFAULT_MAX_BODY,
    });
    let gate = Gate::new(GateSettings {
        address: url.into(),
        interval: INTERVAL,
        slack,
        max_slack: slack,
        cooldown_base: Duration::from_secs(5),
        cooldown_cap: Duration::from_mins(10),
        application_name: "gate".into(),
    });
    let pool = PoolSettings {
        access: Access::ReadWrite,
        max_connections: 2,
        acquire_timeout: Duration::from_secs(8),
        statement_cache: true,
        application_name: "pages".into(),
    };
    Upstream::new(
        client.unwrap(),
        gate.unwrap(),
        Pages::new(storage::Pool::open(url, &pool).unwrap()),
    )
}

/// The first `count` papers with this word in the title, from the `start`-th on.
pub(crate) fn titled(word: &str, start: u32, count: u32) -> PageRequest {
    PageRequest {
        search: ValidatedSearch::new(format!("ti:{word}"), String::new(), "", ""),
        start,
        count,
    }
}

/// What arXiv's answer was.
pub(crate) fn fetch_error(error: UpstreamError) -> FetchError {
    match error {
        UpstreamError::Fetch { source, .. } => source,
        error => panic!("{error:?}"),
    }
}
