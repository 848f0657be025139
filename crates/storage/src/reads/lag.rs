//! How far behind the server is that answers reads.

use std::time::Duration;

use crate::{
    StorageError,
    connection::{Kind, Pool, Session},
};

/// How far the server of one connection has replayed its primary's log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReplicaState {
    is_primary: bool,
    /// It has replayed all it got from a primary that it follows.
    is_caught_up: bool,
    /// The age of the last transaction that it replayed, none if there is none since its start.
    last_replayed: Option<Duration>,
}

impl ReplicaState {
    /// Asks one of the pool's servers.
    pub async fn of(pool: &Pool) -> Result<Self, StorageError> {
        Session::run(pool, Kind::Statement, Self::of_session).await
    }

    /// Asks the server of this session.
    pub(super) async fn of_session(session: &mut Session) -> Result<Self, StorageError> {
        // Every user may see that there is a receiver, but not its state.
        let state = session.query_as::<(bool, bool, Option<i64>)>(
            "select not pg_is_in_recovery(),
               coalesce(pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
                 and exists (select from pg_stat_get_wal_receiver() where pid is not null), false),
               (extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000000)::bigint",
        );
        let (is_primary, is_caught_up, micros) = state.fetch_one(session.conn()).await?;
        Ok(Self {
            is_primary,
            is_caught_up,
            last_replayed: micros
                .map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or_default())),
        })
    }

    /// How old what it shows may be: none for a primary; zero for a replica that has replayed all it got from a primary that it
    /// follows. In a quiet time a replica that lost its primary counts as far behind as its last transaction is old.
    pub fn lag(&self) -> Option<Duration> {
        let behind = self.last_replayed.filter(|_| !self.is_caught_up);
        (!self.is_primary).then(|| behind.unwrap_or_default())
    }

    /// Whether it shows what it got: a primary; a replica that has replayed all it got from a primary that it follows, or whose
    /// last transaction is less than a second old. One that has replayed none since its start may lack any number, so it does not.
    pub(super) fn is_current(&self) -> bool {
        self.is_primary
            || self.is_caught_up
            || self.last_replayed.is_some_and(|age| age < Duration::from_secs(1))
    }
}
