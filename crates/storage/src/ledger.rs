//! The ledger.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use crate::StorageError;

/// Which number belongs to which object.
#[derive(Clone, Debug)]
pub struct Ledger {
    pool: PgPool,
}

impl Ledger {
    /// The ledger in the sequence's database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The number of the object with this uid: the one it has, or a new one.
    pub async fn number(&self, uid: Uuid) -> Result<i64, StorageError> {
        todo!("{:?}{uid}", self.pool)
    }

    /// Another number than `taken`.
    pub async fn replace(&self, uid: Uuid, taken: i64) -> Result<i64, StorageError> {
        todo!("{taken}{uid}")
    }

    /// Uids with an entry older than `older_than`, in order, after `after` (for paging), at most `limit`.
    pub async fn uids(&self, older_than: Duration, after: Option<Uuid>, limit: u32) -> Result<Vec<Uuid>, StorageError> {
        todo!("{older_than:?}{after:?}{limit}")
    }

    /// Forgets the entries of these objects (they are gone); how many there were.
    pub async fn prune(&self, gone: &[Uuid]) -> Result<u64, StorageError> {
        todo!("{gone:?}")
    }
}
