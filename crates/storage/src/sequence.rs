//! The number sequence that the existing service uses too.

use sqlx::PgPool;

use crate::StorageError;

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

    /// The next number; never given twice.
    pub async fn next(&self) -> Result<i64, StorageError> {
        todo!("{:?}", self.pool)
    }
}
