//! Whether a store is prepared for the user who asks.

use sqlx::PgPool;

use crate::StorageError;

/// What a process needs of a database.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Need {
    /// Numbers ([`crate::Sequence`]).
    Sequence,
    /// The ledger ([`crate::Ledger`]).
    Ledger,
    /// Gate and pages ([`crate::Gate`], [`crate::Pages`]).
    Upstream,
    /// `queries`, to write.
    QueriesWrite,
    /// `results`, to write.
    ResultsWrite,
    /// `queries`, to read.
    QueriesRead,
    /// `results`, to read.
    ResultsRead,
}

/// None when the schema is there and this user has the rights it needs; else the reason, safe for users.
pub async fn check(pool: &PgPool, need: Need) -> Result<Option<&'static str>, StorageError> {
    todo!("{pool:?}{need:?}")
}
