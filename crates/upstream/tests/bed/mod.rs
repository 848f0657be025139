//! What each test runs on: a Postgres, migrated, and a stand-in for arXiv.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arxiv::{Client, ClientSettings, PageRequest, Search};
use jiff::civil::Date;
use storage::migrate::{MigrateSettings, RolePasswords};
use storage::{Access, Gate, GateSettings, Pages, PoolSettings};
use testbed::{Postgres, StandIn};
use upstream::{Given, Upstream, UpstreamError};

/// Long enough for a stand-in to notice that a connection was closed, short enough to wait for.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
pub(crate) const DAY: Date = Date::constant(2024, 5, 6);

const USER: &str = "arxiv_upstream";
const PASSWORD: &str = "upstream-secret";

pub(crate) struct Bed {
    pub(crate) postgres: Postgres,
    pub(crate) arxiv: StandIn,
    pub(crate) upstream: Upstream,
    slots: Arc<AtomicUsize>,
}

impl Bed {
    pub(crate) async fn start() -> Self {
        Self::start_with(Duration::from_secs(1)).await
    }

    /// With this long for a request to follow its slot.
    pub(crate) async fn start_with(guard: Duration) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let postgres = Postgres::start().await.unwrap();
        postgres.create_database("arxiv").await.unwrap();
        let url = postgres.admin_url("arxiv");
        let settings = MigrateSettings {
            sequence_url: url.clone(),
            upstream_url: url.clone(),
            queries_url: url.clone(),
            results_url: url,
            passwords: RolePasswords {
                arxiv_upstream: Some(PASSWORD.into()),
                ..RolePasswords::default()
            },
        };
        storage::migrate::run(&settings, &|_| ()).await.unwrap();
        let arxiv = StandIn::start().unwrap();
        let upstream = join(&postgres, &arxiv, guard);
        Self {
            postgres,
            arxiv,
            upstream,
            slots: Arc::default(),
        }
    }

    /// As another process would have it, with a gate and a store of its own.
    pub(crate) fn another_process(&self) -> Upstream {
        join(&self.postgres, &self.arxiv, Duration::from_secs(1))
    }

    /// Asks for a page, and counts when that leads to a request.
    pub(crate) async fn page(&self, request: &PageRequest) -> Result<Given, UpstreamError> {
        self.page_within(request, PATIENCE).await
    }

    pub(crate) async fn page_within(
        &self,
        request: &PageRequest,
        patience: Duration,
    ) -> Result<Given, UpstreamError> {
        let slots = Arc::clone(&self.slots);
        let count = move || {
            slots.fetch_add(1, Ordering::SeqCst);
        };
        self.upstream.page(request, DAY, patience, count).await
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

    pub(crate) async fn execute(&self, sql: &str) {
        self.postgres.execute("arxiv", sql).await.unwrap();
    }
}

fn join(postgres: &Postgres, arxiv: &StandIn, guard: Duration) -> Upstream {
    let url = postgres.url(USER, PASSWORD, "arxiv");
    let client = Client::new(ClientSettings {
        base: arxiv.url(),
        contact: None,
        timeout: Duration::from_secs(15),
        proxy: None,
        ca_bundle: None,
        max_body: ClientSettings::DEFAULT_MAX_BODY,
    });
    let gate = Gate::new(GateSettings {
        url: url.clone(),
        interval: INTERVAL,
        guard,
        cooldown_base: Duration::from_secs(5),
        cooldown_cap: Duration::from_mins(10),
        application_name: "gate".into(),
    });
    let pool = PoolSettings {
        access: Access::ReadWrite,
        max_connections: 4,
        acquire_timeout: Duration::from_secs(2),
        statement_cache: true,
        application_name: "pages".into(),
    };
    Upstream::new(
        client.unwrap(),
        gate.unwrap(),
        Pages::new(storage::pool(&url, &pool).unwrap()),
    )
}

/// The first `count` papers with this word in the title, from the `start`-th on.
pub(crate) fn titled(word: &str, start: u32, count: u32) -> PageRequest {
    let search = Search {
        title: Some(word.into()),
        ..Search::default()
    };
    PageRequest {
        search: search.validate().unwrap(),
        start,
        count,
    }
}
