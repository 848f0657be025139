//! Times between Postgres and us: as microseconds since 1970, Postgres' own resolution.

use jiff::Timestamp;

use crate::StorageError;

/// A `timestamptz` read as `(extract(epoch from t) * 1000000)::bigint`.
pub(crate) fn from_micros(micros: i64) -> Result<Timestamp, StorageError> {
    Timestamp::from_microsecond(micros).map_err(|_| StorageError::Unreadable)
}

/// For SQL's bigint parameters; a duration beyond 292,000 years is taken as that.
pub(crate) fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
