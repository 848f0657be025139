//! A real `PgBouncer` between the programs and the server.

use std::time::Duration;

use storage::{
    Access, Gate, GateSettings, Ledger, Pool, PoolSettings, RequestOutcome,
    migrate::{self, MigrateSettings},
    schema::{self, Need},
};
use testbed::postgres::Pooler;
use uuid::Uuid;

use crate::setup::{OWNER, Server, pool_settings};

const WAIT: Duration = Duration::from_mins(1);

#[tokio::test]
async fn gate_migrations_and_pools_work_behind_a_session_pooler() {
    let server = Server::migrated().await;
    let users = ["arxiv_operator", "arxiv_upstream", "arxiv_rw"];
    let pooler = Pooler::start(&server.postgres, "session", &users).await.unwrap();
    let url = |user: &str| pooler.url(&server.url(user, "arxiv_sequence")).unwrap();

    let gate = || {
        let settings = GateSettings::new(url("arxiv_upstream"), "pooled".into());
        Gate::new(settings).unwrap()
    };
    let (first, second) = (gate(), gate());
    let held = first.acquire(WAIT).await.unwrap();
    let busy = second.acquire(Duration::from_millis(300)).await;
    assert!(busy.is_err(), "the lock is that of one session");
    held.finish(RequestOutcome::Answered, None).await.unwrap();
    second.acquire(WAIT).await.unwrap().release().await;

    let pool = |statement_cache| {
        let settings = PoolSettings {
            statement_cache,
            ..pool_settings(Access::ReadWrite)
        };
        Pool::open(url("arxiv_operator"), &settings).unwrap()
    };
    for statement_cache in [true, false] {
        let pool = pool(statement_cache);
        assert_eq!(schema::check(&pool, Need::Ledger).await.unwrap(), None);
        Ledger::new(pool).assign(Uuid::new_v4()).await.unwrap();
    }
}

#[tokio::test]
async fn migrations_run_behind_a_session_pooler() {
    let server = Server::empty().await;
    server
        .execute("postgres", &format!("alter role {OWNER} password '{OWNER}'"))
        .await;
    let pooler = Pooler::start(&server.postgres, "session", &[OWNER])
        .await
        .unwrap();
    let url = |database: &str| pooler.url(&server.url(OWNER, database)).unwrap();
    let settings = MigrateSettings {
        sequence_url: url("arxiv_sequence"),
        upstream_url: url("arxiv_sequence"),
        queries_url: url("arxiv"),
        results_url: url("arxiv"),
        ..server.settings()
    };
    migrate::run(&settings, &|_| ()).await.unwrap();
    let pool = server.pool("arxiv_rw", "arxiv");
    assert_eq!(schema::check(&pool, Need::ResultsWrite).await.unwrap(), None);
}
