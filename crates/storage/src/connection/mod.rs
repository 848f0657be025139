//! Connections to Postgres: pools, the session of one operation, operations for several callers, and what sessions have in common.

mod batch;
mod connector;
mod locks;
mod manager;
mod pool;
mod session;
mod timing;

use jiff::Timestamp;

pub(crate) use self::{
    batch::{Batcher, LINGER, Outcome, Work},
    connector::Connector,
    locks::{Lock, keys_of_uids, sorted as sorted_locks},
    pool::{KEY_SETTINGS, bounded, bounded_with, session_settings, with_timeout},
    session::{Kind, Session},
};
pub use self::{
    connector::Address,
    pool::{Access, Pool, PoolSettings},
    timing::register_metrics,
};
use crate::StorageError;

/// A `timestamptz` read as `(extract(epoch from t) * 1000000)::bigint`: microseconds, Postgres' own resolution.
pub(crate) fn from_micros(micros: i64) -> Result<Timestamp, StorageError> {
    Timestamp::from_microsecond(micros).map_err(|_| StorageError::Unreadable)
}

/// For SQL's bigint parameters; a duration beyond 292,000 years is taken as that.
pub(crate) fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
