//! Databases for the tests: one server for all of them, and for each test copies of migrated databases.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use storage::{
    Access, Pool, PoolSettings,
    migrate::{self, MigrateSettings, RolePasswords},
};
use testbed::Postgres;
use tokio::sync::OnceCell;

/// Owns the databases. Every user's password is its name.
const OWNER: &str = "arxiv_owner";

/// The databases of one test.
pub(crate) struct Databases {
    server: Server,
    number: u32,
}

enum Server {
    Shared(&'static Postgres),
    WithReplica {
        replica: Box<Postgres>,
        primary: Box<Postgres>,
    },
}

impl Databases {
    /// On the server that all tests of this process share; it is its own replica.
    pub(crate) async fn shared() -> Self {
        static SERVER: OnceCell<Postgres> = OnceCell::const_new();
        let server = SERVER.get_or_init(start).await;
        Self::on(Server::Shared(server)).await
    }

    /// On a primary and a replica that no other test uses.
    pub(crate) async fn with_replica() -> Self {
        let primary = start().await;
        let replica = primary.replica().await.unwrap();
        let (primary, replica) = (Box::new(primary), Box::new(replica));
        Self::on(Server::WithReplica { replica, primary }).await
    }

    async fn on(server: Server) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let databases = Self { server, number };
        for template in ["arxiv", "arxiv_sequence"] {
            let name = databases.name(template);
            let create = format!("create database {name} template {template} owner {OWNER}");
            databases.primary().execute("postgres", &create).await.unwrap();
        }
        databases.replicated().await;
        databases
    }

    pub(crate) fn primary(&self) -> &Postgres {
        match &self.server {
            Server::Shared(server) => server,
            Server::WithReplica { primary, .. } => primary,
        }
    }

    /// The replica of a test that has its own.
    pub(crate) fn replica(&self) -> &Postgres {
        match &self.server {
            Server::Shared(_) => panic!("this test has no replica of its own"),
            Server::WithReplica { replica, .. } => replica,
        }
    }

    /// Waits until the replica, if there is one, has replayed everything.
    pub(crate) async fn replicated(&self) {
        if let Server::WithReplica { replica, primary } = &self.server {
            replica.wait_replayed(primary).await.unwrap();
        }
    }

    /// The settings of the addresses.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let reads = match &self.server {
            Server::Shared(server) => server,
            Server::WithReplica { replica, .. } => replica.as_ref(),
        };
        let url = |user: &str, database: &str| self.primary().url(user, user, &self.name(database));
        vec![
            (
                "DATABASE_RO_URL",
                reads.url("arxiv_ro", "arxiv_ro", &self.name("arxiv")),
            ),
            ("DATABASE_RW_URL", url("arxiv_rw", "arxiv")),
            ("DATABASE_SEQUENCE_URL", url("arxiv_sequence", "arxiv_sequence")),
            ("DATABASE_UPSTREAM_URL", url("arxiv_upstream", "arxiv_sequence")),
            ("DATABASE_LEDGER_URL", url("arxiv_operator", "arxiv_sequence")),
        ]
    }

    pub(crate) fn pool(&self, user: &str, database: &str) -> Pool {
        let url = self.primary().url(user, user, &self.name(database));
        let settings = PoolSettings {
            access: Access::ReadWrite,
            max_connections: 2,
            acquire_timeout: Duration::from_secs(30),
            statement_cache: true,
            application_name: "route-tests".into(),
        };
        Pool::open(&url, &settings).unwrap()
    }

    /// Runs statements as the superuser, and waits until they are replicated.
    pub(crate) async fn execute(&self, database: &str, sql: &str) {
        self.execute_unreplicated(database, sql).await;
        self.replicated().await;
    }

    /// Runs statements as the superuser, also while the replica replays nothing.
    pub(crate) async fn execute_unreplicated(&self, database: &str, sql: &str) {
        let executed = self.primary().execute(&self.name(database), sql).await;
        executed.unwrap();
    }

    /// The first column of all rows.
    pub(crate) async fn column<T>(&self, sql: &str) -> Vec<T>
    where
        T: Send + Unpin + sqlx::Type<sqlx::Postgres> + for<'r> sqlx::Decode<'r, sqlx::Postgres>,
    {
        let mut connection: PgConnection = self.primary().connect(&self.name("arxiv")).await.unwrap();
        let rows = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        let rows = rows.fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows
    }

    /// The name of this test's copy of `arxiv` or `arxiv_sequence`.
    pub(crate) fn name(&self, template: &str) -> String {
        format!("{template}_{}", self.number)
    }
}

/// A server with migrated databases, which are templates.
async fn start() -> Postgres {
    let server = Postgres::start().await.unwrap();
    let owner = format!("create role {OWNER} login createrole password '{OWNER}'");
    server.execute("postgres", &owner).await.unwrap();
    for database in ["arxiv", "arxiv_sequence"] {
        let create = format!("create database {database} owner {OWNER}");
        server.execute("postgres", &create).await.unwrap();
    }
    let url = |database: &str| server.url(OWNER, OWNER, database);
    let password = |user: &str| Some(user.to_owned());
    let settings = MigrateSettings {
        sequence_url: url("arxiv_sequence"),
        upstream_url: url("arxiv_sequence"),
        queries_url: url("arxiv"),
        results_url: url("arxiv"),
        passwords: RolePasswords {
            arxiv_rw: password("arxiv_rw"),
            arxiv_ro: password("arxiv_ro"),
            arxiv_sequence: password("arxiv_sequence"),
            arxiv_operator: password("arxiv_operator"),
            arxiv_upstream: password("arxiv_upstream"),
        },
        retention_days: None,
    };
    migrate::run(&settings, &|_| ()).await.unwrap();
    server
}
