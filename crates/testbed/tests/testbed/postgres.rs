//! Servers start fast, replicas follow, and kills lose nothing that was committed.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use testbed::Postgres;

async fn count(server: &Postgres) -> i64 {
    let mut connection = server.connect("arxiv").await.unwrap();
    sqlx::query_scalar("select count(*) from t")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn replica_replays_lags_and_is_promoted() {
    let primary = Postgres::start().await.unwrap();
    primary.create_database("arxiv").await.unwrap();
    primary.execute("arxiv", "create table t (n int)").await.unwrap();
    let replica = primary.replica().await.unwrap();
    replica.wait_replayed(&primary).await.unwrap();
    assert_eq!(count(&replica).await, 0);
    assert!(
        replica
            .execute("arxiv", "insert into t values (1)")
            .await
            .is_err(),
        "a replica is read-only"
    );

    replica.pause_replay().await.unwrap();
    primary
        .execute("arxiv", "insert into t values (1)")
        .await
        .unwrap();
    assert_eq!(count(&replica).await, 0);
    replica.resume_replay().await.unwrap();
    replica.wait_replayed(&primary).await.unwrap();
    assert_eq!(count(&replica).await, 1);

    primary.kill9().await.unwrap();
    assert!(primary.connect("arxiv").await.is_err());
    primary.start_again().await.unwrap();
    assert_eq!(count(&primary).await, 1);
    primary
        .execute("arxiv", "insert into t values (2)")
        .await
        .unwrap();
    replica.wait_replayed(&primary).await.unwrap();
    primary.stop().await.unwrap();
    replica.promote().await.unwrap();
    replica
        .execute("arxiv", "insert into t values (3)")
        .await
        .unwrap();
    assert_eq!(count(&replica).await, 3);
}

#[tokio::test]
async fn wrong_password_is_refused() {
    let server = Postgres::start().await.unwrap();
    server
        .execute("postgres", "create role someone login password 'p@ss/w:rd'")
        .await
        .unwrap();
    PgConnection::connect(&server.url("someone", "p@ss/w:rd", "postgres"))
        .await
        .unwrap();
    assert!(
        PgConnection::connect(&server.url("someone", "wrong", "postgres"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn frozen_server_answers_after_thaw() {
    let server = Postgres::start().await.unwrap();
    let mut connection = server.connect("postgres").await.unwrap();
    server.freeze();
    let limit = Duration::from_millis(200);
    let ping = async { connection.ping().await };
    tokio::pin!(ping);
    assert!(tokio::time::timeout(limit, &mut ping).await.is_err());
    server.thaw();
    ping.await.unwrap();
}

#[tokio::test]
async fn postgres_start_uses_existing_template() {
    let made_by_initdb = async || {
        let server = Postgres::start().await.unwrap();
        let mut connection = server.connect("postgres").await.unwrap();
        // Each run of initdb creates another one.
        sqlx::query_scalar::<_, i64>("select system_identifier from pg_control_system()")
            .fetch_one(&mut connection)
            .await
            .unwrap()
    };
    assert_eq!(made_by_initdb().await, made_by_initdb().await);
}
