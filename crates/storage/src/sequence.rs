//! The number sequence that the existing service uses too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::PgPool;
use tokio::sync::oneshot;

use crate::{StorageError, connect::bounded, session::Session};

/// Statements at once: one more than is needed, so that one that hangs does not hold up everybody.
const AT_ONCE: usize = 2;
/// Numbers that one statement takes at most.
const MOST: usize = 256;

type Answer = Result<i64, StorageError>;

/// Unique numbers, for the user `arxiv_sequence`, which can do nothing else.
///
/// Whoever asks while statements are under way is served by the next one, which takes a number for each of them: one round
/// trip and one commit for all.
#[derive(Clone, Debug)]
pub struct Sequence {
    pool: PgPool,
    asking: Arc<Mutex<Asking>>,
}

#[derive(Debug, Default)]
struct Asking {
    waiting: Vec<oneshot::Sender<Answer>>,
    under_way: usize,
}

impl Sequence {
    /// Numbers from the sequence in the pool's database.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            asking: Arc::default(),
        }
    }

    /// The next number; never given twice, also when the server is lost and a standby that confirms commits takes its place.
    pub async fn next(&self) -> Result<i64, StorageError> {
        let (tell, told) = oneshot::channel();
        {
            let mut asking = self.asking();
            asking.waiting.push(tell);
            if asking.under_way < AT_ONCE {
                asking.under_way += 1;
                // On its own: whoever asked first may give up, the others still wait.
                tokio::spawn(self.clone().serve());
            }
        }
        // Untold only when the process ends.
        let told = bounded(async { Ok(told.await) }).await?;
        told.map_err(|_| StorageError::TimedOut)?
    }

    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves until nobody waits.
    async fn serve(self) {
        loop {
            let waiting: Vec<_> = {
                let mut asking = self.asking();
                asking.waiting.retain(|tell| !tell.is_closed());
                if asking.waiting.is_empty() {
                    asking.under_way -= 1;
                    return;
                }
                let count = asking.waiting.len().min(MOST);
                asking.waiting.drain(..count).collect()
            };
            // Whoever has given up meanwhile leaves a gap.
            match self.take(waiting.len()).await {
                Ok(numbers) => {
                    for (tell, number) in waiting.into_iter().zip(numbers) {
                        let _ = tell.send(Ok(number));
                    }
                }
                Err(error) => {
                    for tell in waiting {
                        let _ = tell.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    async fn take(&self, count: usize) -> Result<Vec<i64>, StorageError> {
        bounded(async {
            let mut session = Session::statement(&self.pool).await?;
            // Postgres writes numbers to its log 32 at a time, and only the one who causes that waits until it is safe. The
            // others would be given numbers that are not; with a record of their own they wait as well.
            let next = session.query_as::<(i64,)>(
                "select nextval('public.arxiv_sequence')
                 from generate_series(1, $1), pg_logical_emit_message(true, 'arxiv', '')",
            );
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let numbers = next.bind(count).fetch_all(session.conn()).await?;
            session.commit().await?;
            Ok(numbers.into_iter().map(|(number,)| number).collect())
        })
        .await
    }
}
