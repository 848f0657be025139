//! What transactions wait for each other by: advisory locks, which end with the transaction.

use std::fmt::Write;

use uuid::Uuid;

/// An advisory lock. Its key is of one integer or of two; these never meet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lock {
    /// Of one integer.
    Key(i64),
    /// Of two.
    Pair(i32, i32),
    /// Of two, and others may have it at the same time in this way.
    SharedPair(i32, i32),
}

impl Lock {
    /// Serialises operations on one object. It has 64 of the uid's bits: two uids that agree in these only wait for each other.
    pub(crate) fn of_uid(uid: Uuid) -> Self {
        let (first, .., rest) = uid.as_fields();
        let [.., a, b, c, d] = *rest;
        Self::Pair(first.cast_signed(), i32::from_be_bytes([a, b, c, d]))
    }

    /// Serialises operations on one query id: objects' records and clients' writes alike.
    pub(crate) fn of_query_id(query_id: i64) -> Self {
        Self::Key(query_id)
    }
}

/// The statements that take these locks, in this order. They have no parameters, so that they are one message with others.
pub(crate) fn sql(locks: &[Lock]) -> String {
    locks.iter().fold(String::new(), |mut sql, lock| {
        // Writing to a string never fails.
        let _ = match lock {
            Lock::Key(key) => write!(sql, "select pg_advisory_xact_lock({key});"),
            Lock::Pair(a, b) => write!(sql, "select pg_advisory_xact_lock({a}, {b});"),
            Lock::SharedPair(a, b) => write!(sql, "select pg_advisory_xact_lock_shared({a}, {b});"),
        };
        sql
    })
}
