//! The sequence of query ids, which the existing service uses too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::PgPool;
use tokio::sync::oneshot;

use crate::{
    StorageError,
    connection::{Kind, Session, bounded},
};

/// Concurrent statements: one more than is needed, so that one that hangs does not hold up every caller.
const MAX_STATEMENTS: usize = 2;
/// The most ids that one statement takes.
const MAX_BATCH: usize = 256;

type Reply = oneshot::Sender<Result<i64, StorageError>>;

/// Unique query ids, for the user `arxiv_sequence`, which can do nothing else.
///
/// Callers that arrive while statements are running are served by the next one, which takes an id for each of them: one round
/// trip and one commit for all.
#[derive(Clone, Debug)]
pub struct Sequence {
    pool: PgPool,
    state: Arc<Mutex<Batching>>,
}

#[derive(Debug, Default)]
struct Batching {
    waiting: Vec<Reply>,
    running: usize,
}

impl Sequence {
    /// Ids from the sequence in the pool's database.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            state: Arc::default(),
        }
    }

    /// The next id; never the same twice, also when the server is lost and a standby that confirms commits takes its place.
    pub async fn next(&self) -> Result<i64, StorageError> {
        let (reply, id) = oneshot::channel();
        {
            let mut state = self.lock();
            state.waiting.push(reply);
            if state.running < MAX_STATEMENTS {
                state.running += 1;
                // A task of its own: the first caller may give up, and the others still wait.
                tokio::spawn(self.clone().serve());
            }
        }
        // Without a reply only when the process ends.
        bounded(async { id.await.unwrap_or(Err(StorageError::TimedOut)) }).await
    }

    fn lock(&self) -> MutexGuard<'_, Batching> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves until no caller waits.
    async fn serve(self) {
        loop {
            let waiting: Vec<_> = {
                let mut state = self.lock();
                state.waiting.retain(|reply| !reply.is_closed());
                if state.waiting.is_empty() {
                    state.running -= 1;
                    return;
                }
                let count = state.waiting.len().min(MAX_BATCH);
                state.waiting.drain(..count).collect()
            };
            // A caller that has given up meanwhile leaves a gap.
            match self.take(waiting.len()).await {
                Ok(ids) => {
                    for (reply, id) in waiting.into_iter().zip(ids) {
                        let _ = reply.send(Ok(id));
                    }
                }
                Err(error) => {
                    for reply in waiting {
                        let _ = reply.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    async fn take(&self, count: usize) -> Result<Vec<i64>, StorageError> {
        Session::run(&self.pool, Kind::Statement, async |session| {
            // Postgres writes the sequence to its log once in 32 values, and only the session that causes that waits until the
            // log is safe. The others would get values that are not; with a log record of their own they wait as well.
            let next = session.query_scalar(
                "select nextval('public.arxiv_sequence')
                 from generate_series(1, $1), pg_logical_emit_message(true, 'arxiv', '')",
            );
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            Ok(next.bind(count).fetch_all(session.conn()).await?)
        })
        .await
    }
}
