use std::time::{Duration, Instant};

use storage::{Access, Ledger, PoolSettings, Sequence, StorageError};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use uuid::Uuid;

use crate::setup::{Server, pool_settings};

#[tokio::test]
async fn connection_is_dropped_when_primary_is_demoted() {
    let server = Server::migrated().await;
    let settings = PoolSettings {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(3),
        ..pool_settings(Access::ReadWrite)
    };
    let pool = storage::Pool::open(server.url("arxiv_operator", "arxiv_sequence"), &settings).unwrap();
    let ledger = Ledger::new(pool.clone());
    ledger.assign(Uuid::new_v4()).await.unwrap();
    assert_eq!(pool.counts(), (1, 0));

    let read_only = |on| format!("alter system set default_transaction_read_only = {on}");
    server.execute("postgres", &read_only("on")).await;
    server.execute("postgres", "select pg_reload_conf()").await;
    let connected = "select count(*) from pg_stat_activity where usename = 'arxiv_operator'";
    let error = loop {
        // The open session follows the setting a moment later.
        match ledger.assign(Uuid::new_v4()).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(error.is_unavailable(), "{error:?}");
    let _ = ledger.assign(Uuid::new_v4()).await;
    crate::setup::eventually("no connection is kept", async || {
        server.value::<i64>("postgres", connected).await == 0
    })
    .await;

    server.execute("postgres", &read_only("off")).await;
    server.execute("postgres", "select pg_reload_conf()").await;
    crate::setup::eventually("it works again", async || {
        ledger.assign(Uuid::new_v4()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn operation_fails_in_time_when_database_is_unavailable_and_recovers() {
    let server = Server::migrated().await;
    let settings = PoolSettings {
        acquire_timeout: Duration::from_secs(3),
        ..pool_settings(Access::ReadWrite)
    };
    let pool = storage::Pool::open(server.url("arxiv_sequence", "arxiv_sequence"), &settings).unwrap();
    let sequence = Sequence::new(pool);
    let first = sequence.next().await.unwrap();

    server.postgres.freeze();
    let began = Instant::now();
    // What is used again at once counts as under way, and is not tested.
    crate::setup::eventually("the connection was not used for a moment", async || {
        began.elapsed() > Duration::from_millis(200)
    })
    .await;
    let error = sequence.next().await.unwrap_err();
    server.postgres.thaw();
    assert!(
        error.is_unavailable() && began.elapsed() < Duration::from_secs(10),
        "{error:?} {:?}",
        began.elapsed()
    );

    server.postgres.kill9().await.unwrap();
    let error = sequence.next().await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(
            !shown.contains("arxiv_sequence") && !shown.contains("127.0.0.1"),
            "{shown}"
        );
    }
    server.postgres.start_again().await.unwrap();
    // Postgres may skip numbers over a crash, never repeat them.
    assert!(sequence.next().await.unwrap() > first);
}

#[tokio::test]
async fn session_has_timeouts_and_application_name() {
    let server = Server::migrated().await;
    let pool = server.pool("arxiv_ro", "arxiv");
    for (setting, expected) in [
        ("statement_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "30s"),
        ("tcp_keepalives_idle", "30"),
        ("application_name", "storage-tests"),
    ] {
        let value: String = sqlx::query_scalar("select current_setting($1)")
            .bind(setting)
            .fetch_one(&mut *pool.acquire().await.unwrap())
            .await
            .unwrap();
        assert_eq!(value, expected, "{setting}");
    }
}

#[tokio::test]
async fn statement_is_unnamed_without_statement_cache() {
    let server = Server::migrated().await;
    let settings = PoolSettings {
        statement_cache: false,
        max_connections: 1,
        ..pool_settings(Access::ReadWrite)
    };
    let pool = storage::Pool::open(server.url("arxiv_operator", "arxiv_sequence"), &settings).unwrap();
    let ledger = Ledger::new(pool.clone());
    ledger.assign(Uuid::new_v4()).await.unwrap();
    ledger.uids(Duration::ZERO, None, 5).await.unwrap();
    let named: i64 = sqlx::query_scalar("select count(*) from pg_prepared_statements where name <> ''")
        .persistent(false)
        .fetch_one(&mut *pool.acquire().await.unwrap())
        .await
        .unwrap();
    assert_eq!(named, 0);
}

#[tokio::test]
async fn error_hides_credentials_when_database_or_password_is_wrong() {
    let server = Server::migrated().await;
    for url in [
        server.postgres.url("arxiv_ro", "wrong-secret", "arxiv"),
        server.postgres.url("arxiv_ro", "arxiv_ro", "nowhere"),
    ] {
        let pool = storage::Pool::open(&url, &pool_settings(Access::ReadOnly)).unwrap();
        let error = storage::schema::check(&pool, storage::schema::Need::ResultsRead)
            .await
            .unwrap_err();
        assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("wrong-secret"));
        assert_eq!(error.to_string(), "the database is not available");
    }
}

#[tokio::test]
async fn connection_is_made_when_the_process_has_no_cpu_time_left() {
    let server = Server::migrated().await;
    let pool = server.pool("arxiv_sequence", "arxiv_sequence");
    let busy = |_| {
        tokio::spawn(async {
            loop {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(1) {
                    std::hint::spin_loop();
                }
                tokio::task::yield_now().await;
            }
        })
    };
    // Each time that the login gives way, they take 20 ms: with hundreds of times, more than it may take.
    let tasks: Vec<_> = (0..20).map(busy).collect();
    Sequence::new(pool).next().await.unwrap();
    for task in tasks {
        task.abort();
    }
}

#[tokio::test]
async fn last_answer_of_a_server_is_the_error_when_the_next_try_takes_too_long() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // It starts, and then it does not answer.
    let starting = async move {
        let (mut first, _) = listener.accept().await.unwrap();
        first.read_u8().await.unwrap();
        let fields = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0";
        first.write_u8(b'E').await.unwrap();
        first
            .write_u32(u32::try_from(fields.len()).unwrap() + 4)
            .await
            .unwrap();
        first.write_all(fields).await.unwrap();
        let second = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop((first, second));
    };
    let settings = PoolSettings {
        acquire_timeout: Duration::from_millis(500),
        ..pool_settings(Access::ReadWrite)
    };
    let url = format!("postgresql://u:p@{address}/d?sslmode=disable");
    let pool = storage::Pool::open(url, &settings).unwrap();
    let error = tokio::select! {
        connection = pool.acquire() => connection.map(drop).unwrap_err(),
        () = starting => unreachable!("it does not end"),
    };
    assert_eq!(
        error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .as_deref(),
        Some("57P03"),
        "{error:?}"
    );
}
