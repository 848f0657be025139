//! Servers and databases for the tests.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Mutex,
    time::Duration,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use paper::{Author, PaperId, PaperVersion};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use storage::{
    Access, PaperBatch, PaperSource, PoolSettings, Records, StorageError,
    migrate::{self, MigrateSettings, RolePasswords},
};
use testbed::{Postgres, net::Proxy};
use tokio::sync::OnceCell;

/// A server with the two usual databases, and their owner, who is no superuser.
pub(crate) struct Server {
    pub(crate) postgres: Postgres,
}

pub(crate) const OWNER: &str = "arxiv_owner";

impl Server {
    /// Databases that are still empty.
    pub(crate) async fn empty() -> Self {
        let postgres = Postgres::start().await.unwrap();
        postgres
            .execute(
                "postgres",
                "create role arxiv_owner login createrole password 'owner'",
            )
            .await
            .unwrap();
        for database in ["arxiv", "arxiv_sequence"] {
            postgres.create_database(database).await.unwrap();
            let owner = format!("alter database {database} owner to arxiv_owner");
            postgres.execute("postgres", &owner).await.unwrap();
        }
        Self { postgres }
    }

    /// Databases that are ready: a copy of those that were migrated first, which takes a fraction of the time.
    pub(crate) async fn migrated() -> Self {
        static MIGRATED: OnceCell<Server> = OnceCell::const_new();
        let original = MIGRATED.get_or_init(async || {
            let server = Self::empty().await;
            server.migrate().await;
            server.postgres.stop().await.unwrap();
            server
        });
        let postgres = original.await.postgres.start_copy().await.unwrap();
        Self { postgres }
    }

    /// Runs the migrations; gives their messages.
    pub(crate) async fn migrate(&self) -> Vec<String> {
        let messages = Mutex::new(Vec::new());
        migrate::run(&self.settings(), &|line| {
            messages.lock().unwrap().push(line.to_owned());
        })
        .await
        .unwrap();
        messages.into_inner().unwrap()
    }

    pub(crate) fn settings(&self) -> MigrateSettings {
        let arxiv = self.postgres.url(OWNER, "owner", "arxiv");
        // The same database by another name of the host.
        let same = self
            .postgres
            .url(OWNER, "owner", "arxiv_sequence")
            .replace("127.0.0.1", "localhost");
        MigrateSettings {
            sequence_url: self.postgres.url(OWNER, "owner", "arxiv_sequence"),
            upstream_url: same,
            queries_url: arxiv.clone(),
            results_url: arxiv,
            passwords: passwords(),
            retention_days: None,
        }
    }

    pub(crate) fn url(&self, user: &str, database: &str) -> String {
        self.postgres.url(user, user, database)
    }

    /// The same by way of a proxy.
    pub(crate) fn url_by(&self, proxy: &Proxy, user: &str, database: &str) -> String {
        let port = |port: u16| format!(":{port}/");
        self.url(user, database)
            .replace(&port(self.postgres.port()), &port(proxy.port()))
    }

    pub(crate) fn pool(&self, user: &str, database: &str) -> storage::Pool {
        // As the processes open them.
        let access = if database == "arxiv_sequence" {
            Access::ReadWriteByKey
        } else {
            Access::ReadWrite
        };
        storage::Pool::open(self.url(user, database), &pool_settings(access)).unwrap()
    }

    pub(crate) async fn admin(&self, database: &str) -> PgConnection {
        self.postgres.connect(database).await.unwrap()
    }

    pub(crate) async fn execute(&self, database: &str, sql: &str) {
        self.postgres.execute(database, sql).await.unwrap();
    }

    /// One value, asked for by the superuser.
    pub(crate) async fn value<T>(&self, database: &str, sql: &str) -> T
    where
        T: Send + Unpin + sqlx::Type<sqlx::Postgres> + for<'r> sqlx::Decode<'r, sqlx::Postgres>,
    {
        let mut admin = self.admin(database).await;
        let value = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut admin)
            .await
            .unwrap();
        admin.close().await.unwrap();
        value
    }
}

/// `queries` on one server, `results` on another.
pub(crate) struct Split {
    pub(crate) queries: Server,
    pub(crate) results: Postgres,
}

impl Split {
    pub(crate) async fn migrated() -> Self {
        let queries = Server::empty().await;
        let results = Postgres::start().await.unwrap();
        results.create_database("papers").await.unwrap();
        let split = Self { queries, results };
        migrate::run(&split.settings(), &|_| ()).await.unwrap();
        split
    }

    pub(crate) fn settings(&self) -> MigrateSettings {
        MigrateSettings {
            results_url: self.results.admin_url("papers"),
            ..self.queries.settings()
        }
    }

    pub(crate) fn records(&self) -> Records {
        let url = self.results.url("arxiv_rw", "arxiv_rw", "papers");
        let results = storage::Pool::open(&url, &pool_settings(Access::ReadWrite)).unwrap();
        Records::new(self.queries.pool("arxiv_rw", "arxiv"), results, true)
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let mut admin = self.results.connect("papers").await.unwrap();
        let count = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut admin)
            .await
            .unwrap();
        admin.close().await.unwrap();
        count
    }
}

/// Every user's password is its name.
pub(crate) fn address_of(server: &Postgres) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()))
}

pub(crate) fn passwords() -> RolePasswords {
    RolePasswords {
        arxiv_rw: Some("arxiv_rw".into()),
        arxiv_ro: Some("arxiv_ro".into()),
        arxiv_sequence: Some("arxiv_sequence".into()),
        arxiv_operator: Some("arxiv_operator".into()),
        arxiv_upstream: Some("arxiv_upstream".into()),
    }
}

pub(crate) fn pool_settings(access: Access) -> PoolSettings {
    PoolSettings {
        access,
        max_connections: 10,
        acquire_timeout: Duration::from_secs(5),
        statement_cache: true,
        application_name: "storage-tests".into(),
    }
}

/// Papers that come two at a time.
pub(crate) struct PaperBatches(pub(crate) Vec<PaperVersion>);

impl PaperSource for PaperBatches {
    fn batch_count(&self) -> usize {
        self.len().div_ceil(2)
    }

    fn batches(&self) -> BoxStream<'_, Result<PaperBatch, StorageError>> {
        let batch = |papers: &[PaperVersion]| PaperBatch {
            papers: papers.to_vec().into(),
            fetched_at: Timestamp::UNIX_EPOCH,
        };
        stream::iter(self.chunks(2).map(move |papers| Ok(batch(papers)))).boxed()
    }

    fn in_memory(&self) -> Option<(&[PaperVersion], Timestamp)> {
        (self.batch_count() == 1).then_some((&self.0, Timestamp::UNIX_EPOCH))
    }
}

impl std::ops::Deref for PaperBatches {
    type Target = [PaperVersion];

    fn deref(&self) -> &[PaperVersion] {
        &self.0
    }
}

pub(crate) fn papers(count: usize) -> PaperBatches {
    let paper = |n| PaperVersion {
        id: PaperId::of_entry("2405.00001v1"),
        title: format!("T{n}"),
        authors: vec![Author {
            name: format!("A{n}"),
            ..Author::default()
        }],
        journal: Some(format!("J{n}")),
        categories: vec!["math.CO".to_owned(), "cs.DM".to_owned()],
        ..PaperVersion::default()
    };
    PaperBatches((0..count).map(paper).collect())
}

/// Waits until `check` holds, a bounded time.
pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    while !check().await {
        assert!(std::time::Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
