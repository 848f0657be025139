//! How far behind the server is that answers reads.

use std::time::Duration;

use sqlx::PgPool;

use crate::{StorageError, connect::bounded, session::Session};

/// What is known of a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReplicaState {
    /// How old what it shows may be: none for a primary; zero for a replica that has replayed all it got from a primary that it
    /// follows. In a quiet time a replica that lost its primary is taken for as far behind as its last transaction is old.
    pub lag: Option<Duration>,
}

impl ReplicaState {
    /// Asks the server.
    pub async fn of(pool: &PgPool) -> Result<Self, StorageError> {
        bounded(async {
            let mut session = Session::statement(pool).await?;
            // That there is a receiver is told to everybody, its state is not.
            let look = session.query_as::<(Option<i64>,)>(
                "select case
                   when not pg_is_in_recovery() then null
                   when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
                     and exists (select from pg_stat_get_wal_receiver() where pid is not null) then 0
                   else greatest(0, coalesce(extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()), 0)
                     * 1000)::bigint
                 end",
            );
            let (millis,) = look.fetch_one(session.conn()).await?;
            session.commit().await?;
            Ok(Self {
                lag: millis.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or_default())),
            })
        })
        .await
    }
}

/// Whether the server of this connection shows what it got: a primary; a replica that has replayed all it got from a primary
/// that it follows, or whose last transaction is less than a second old. One that has replayed none since its start may have
/// any number before it, so it is not.
pub(super) async fn is_current(session: &mut Session) -> Result<bool, StorageError> {
    let look = session.query_as::<(bool,)>(
        "select not pg_is_in_recovery()
           or coalesce(pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
                and exists (select from pg_stat_get_wal_receiver() where pid is not null), false)
           or coalesce(clock_timestamp() - pg_last_xact_replay_timestamp() < interval '1 second', false)",
    );
    let (is_current,) = look.fetch_one(session.conn()).await?;
    Ok(is_current)
}
