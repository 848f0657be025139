//! Passwords that change while a process runs.

use std::{
    error::Error,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use storage::{Access, Address, Gate, GateSettings, Pool, PoolSettings, RequestOutcome, Sequence};

use crate::setup::{Server, eventually, pool_settings};

const LIMIT: Duration = Duration::from_secs(20);

/// What a process reads its address from, such as a file.
#[derive(Clone)]
struct Source {
    current: Arc<Mutex<Result<String, String>>>,
    reads: Arc<AtomicU32>,
}

impl Source {
    fn new(url: String) -> Self {
        Self {
            current: Arc::new(Mutex::new(Ok(url))),
            reads: Arc::default(),
        }
    }

    fn write(&self, current: Result<String, String>) {
        *self.current.lock().unwrap() = current;
    }

    fn address(&self) -> Address {
        let source = self.clone();
        Address::Read(Arc::new(move || {
            source.reads.fetch_add(1, SeqCst);
            Ok(source.current.lock().unwrap().clone()?)
        }))
    }

    /// Waits until it was read once more.
    async fn read_again(&self) {
        let before = self.reads.load(SeqCst);
        eventually("it is read again", async || self.reads.load(SeqCst) > before).await;
    }
}

fn open(source: &Source) -> Pool {
    let settings = PoolSettings {
        max_connections: 6,
        acquire_timeout: LIMIT,
        ..pool_settings(Access::ReadWrite)
    };
    Pool::open(source.address(), &settings).unwrap()
}

async fn set_password(server: &Server, user: &str, password: &str) {
    let alter = format!("alter role {user} password '{password}'");
    server.execute("postgres", &alter).await;
}

#[tokio::test]
async fn new_password_is_used_whether_the_file_or_the_database_has_it_first() {
    let server = Server::migrated().await;
    let url = |password: &str| server.postgres.url("arxiv_sequence", password, "arxiv_sequence");
    let source = Source::new(url("arxiv_sequence"));
    let pool = open(&source);
    // Each is held, so that the next one needs a session of its own.
    let mut held = vec![pool.acquire().await.unwrap()];

    // First the file: the password before it is used as long as the database accepts it.
    source.write(Ok(url("second")));
    held.push(pool.acquire().await.unwrap());
    set_password(&server, "arxiv_sequence", "second").await;
    held.push(pool.acquire().await.unwrap());

    // First the database: who needs a session waits for the file.
    set_password(&server, "arxiv_sequence", "third").await;
    let (connection, ()) = tokio::join!(pool.acquire(), async {
        source.read_again().await;
        source.write(Ok(url("third")));
    });
    held.push(connection.unwrap());
    for connection in &mut held {
        sqlx::query("select 1").execute(&mut **connection).await.unwrap();
    }
}

#[tokio::test]
async fn sessions_that_exist_serve_while_no_password_is_accepted() {
    let server = Server::migrated().await;
    let url = |password: &str| server.postgres.url("arxiv_sequence", password, "arxiv_sequence");
    let source = Source::new(url("arxiv_sequence"));
    let sequence = Sequence::new(open(&source));
    sequence.next().await.unwrap();
    set_password(&server, "arxiv_sequence", "not known").await;
    // Four at once, of which one finds the session: the others wait until it is free.
    let numbers = futures::future::join_all((0..4).map(|_| sequence.next())).await;
    for number in numbers {
        number.unwrap();
    }
}

#[tokio::test]
async fn unreadable_file_is_an_outage_whose_cause_is_for_the_log_alone() {
    let server = Server::migrated().await;
    let source = Source::new(server.url("arxiv_sequence", "arxiv_sequence"));
    let problem = "DATABASE_SEQUENCE_PASSWORD_FILE: is empty";
    source.write(Err(problem.into()));
    let sequence = Sequence::new(open(&source));
    let error = sequence.next().await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(!error.to_string().contains("FILE"), "{error}");
    let mut causes = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        causes += &error.to_string();
        cause = error.source();
    }
    assert!(causes.contains(problem), "{causes}");
    source.write(Ok(server.url("arxiv_sequence", "arxiv_sequence")));
    sequence.next().await.unwrap();
}

#[tokio::test]
async fn earlier_password_is_not_used_for_another_database() {
    let server = Server::migrated().await;
    let source = Source::new(server.url("arxiv_sequence", "arxiv_sequence"));
    let pool = PoolSettings {
        acquire_timeout: Duration::from_secs(2),
        ..pool_settings(Access::ReadWrite)
    };
    let pool = Pool::open(source.address(), &pool).unwrap();
    let first = pool.acquire().await.unwrap();
    source.write(Ok(server.postgres.url("arxiv_sequence", "wrong", "postgres")));
    let error = pool.acquire().await.err().unwrap();
    let code = error
        .as_database_error()
        .and_then(|error| error.code().map(String::from));
    assert_eq!(code.as_deref(), Some("28P01"));
    drop(first);
}

#[tokio::test]
async fn gate_continues_with_its_session_and_uses_the_new_password_for_the_next() {
    let server = Server::migrated().await;
    let url = |password: &str| server.postgres.url("arxiv_upstream", password, "arxiv_sequence");
    let source = Source::new(url("arxiv_upstream"));
    let gate = Gate::new(GateSettings {
        interval: Duration::from_millis(10),
        ..GateSettings::new(source.address(), "rotated gate".into())
    })
    .unwrap();
    let mut lease = gate.acquire(LIMIT).await.unwrap();
    set_password(&server, "arxiv_upstream", "second").await;
    source.write(Ok(url("second")));
    // The lock's session was there before.
    lease.slot(LIMIT).await.unwrap();
    lease.finish(RequestOutcome::Answered, None).await.unwrap();
    gate.acquire(LIMIT).await.unwrap().release().await;
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'rotated gate'";
    assert_eq!(server.value::<i64>("postgres", end).await, 1);
    let mut lease = gate.acquire(LIMIT).await.unwrap();
    lease.slot(LIMIT).await.unwrap();
}
