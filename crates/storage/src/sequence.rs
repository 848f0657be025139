//! The number sequence that the existing service uses too.

use sqlx::PgPool;

use crate::{StorageError, connect::bounded, session::Session};

/// Unique numbers, for the user `arxiv_sequence`, which can do nothing else.
#[derive(Clone, Debug)]
pub struct Sequence {
    pool: PgPool,
}

impl Sequence {
    /// Numbers from the sequence in the pool's database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The next number; never given twice, also when the server is lost and a standby that confirms commits takes its place.
    pub async fn next(&self) -> Result<i64, StorageError> {
        bounded(async {
            let mut session = Session::statement(&self.pool).await?;
            // Postgres writes numbers to its log 32 at a time, and only the one who causes that waits until it is safe. The
            // others would be given numbers that are not; with a record of their own they wait as well.
            let next = session.query_as::<(i64,)>(
                "select nextval('public.arxiv_sequence') from pg_logical_emit_message(true, 'arxiv', '')",
            );
            let (number,) = next.fetch_one(session.on()).await?;
            session.done().await?;
            Ok(number)
        })
        .await
    }
}
