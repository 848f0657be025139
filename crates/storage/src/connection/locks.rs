//! What transactions wait for each other by: advisory locks, which end with the transaction.

use std::collections::BTreeSet;

use uuid::Uuid;

/// An advisory lock. Its key is of one integer or of two; these never meet.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Lock {
    /// Of one integer.
    Key(i64),
    /// Of two.
    Pair(i32, i32),
    /// Of two, and others may have it at the same time in this way.
    SharedPair(i32, i32),
}

impl Lock {
    /// Serialises operations on one object.
    pub(crate) fn of_uid(uid: Uuid) -> Self {
        let (key, subkey) = key_of_uid(uid);
        Self::Pair(key, subkey)
    }

    /// Serialises operations on one query id: objects' records and clients' writes alike.
    pub(crate) fn of_query_id(query_id: i64) -> Self {
        Self::Key(query_id)
    }
}

/// Locks of one kind in the order in which every operation takes several of them, each once: so none waits in a circle.
pub(crate) fn sorted(locks: impl IntoIterator<Item = Lock>) -> Vec<Lock> {
    let locks: BTreeSet<_> = locks.into_iter().collect();
    locks.into_iter().collect()
}

/// The keys of the locks of these uids, for a function of the database that takes them in this order: that of [`sorted`], each once.
pub(crate) fn keys_of_uids(uids: &[Uuid]) -> (Vec<i32>, Vec<i32>) {
    let keys: BTreeSet<_> = uids.iter().map(|uid| key_of_uid(*uid)).collect();
    keys.into_iter().unzip()
}

/// The two integers have 64 of the uid's bits: two uids that agree in these only wait for each other.
fn key_of_uid(uid: Uuid) -> (i32, i32) {
    let (first, .., rest) = uid.as_fields();
    let [.., a, b, c, d] = *rest;
    (first.cast_signed(), i32::from_be_bytes([a, b, c, d]))
}

/// The statement that takes these locks, in this order. It has no parameters, so that it is one message with others.
pub(crate) fn sql(locks: &[Lock]) -> String {
    let calls = locks.iter().map(|lock| match lock {
        Lock::Key(key) => format!("pg_advisory_xact_lock({key})"),
        Lock::Pair(a, b) => format!("pg_advisory_xact_lock({a}, {b})"),
        Lock::SharedPair(a, b) => format!("pg_advisory_xact_lock_shared({a}, {b})"),
    });
    // The expressions of a select list are evaluated from left to right.
    let calls = calls.collect::<Vec<_>>().join(", ");
    if calls.is_empty() {
        calls
    } else {
        format!("select {calls};")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_taken_once_and_in_one_order() {
        let uids = [7, 3, 7].map(Uuid::from_u128);
        let ids = [2, -1].map(Lock::of_query_id);
        let all = [
            sorted(uids.map(Lock::of_uid)),
            sorted(ids),
            vec![Lock::SharedPair(1, 2)],
        ]
        .concat();
        assert_eq!(
            sql(&all),
            "select pg_advisory_xact_lock(0, 3), pg_advisory_xact_lock(0, 7), pg_advisory_xact_lock(-1), \
             pg_advisory_xact_lock(2), pg_advisory_xact_lock_shared(1, 2);"
        );
        assert_eq!(sql(&[]), "");
        assert_eq!(keys_of_uids(&uids), (vec![0, 0], vec![3, 7]));
    }
}
