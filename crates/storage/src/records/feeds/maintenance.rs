//! Removal of what feeds no longer need, and of feeds that are gone.

use uuid::Uuid;

use super::Feeds;
use crate::{
    StorageError,
    connection::{Kind, Session},
};

impl Feeds {
    /// The objects of feeds by uid, after `after` in order, at most `limit`, without those that are known to be gone: uid and
    /// namespace of each.
    pub async fn objects(
        &self,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<(Uuid, String)>, StorageError> {
        Session::run(&self.pool, Kind::Statement, async |session| {
            let objects = session.query_as(
                "select object_uid, namespace from public.arxiv_feeds where object_uid > $1 and dropped_at is null
                 order by object_uid limit $2",
            );
            // No object has the nil uid.
            let objects = objects.bind(after.unwrap_or(Uuid::nil())).bind(i64::from(limit));
            Ok(objects.fetch_all(session.conn()).await?)
        })
        .await
    }

    /// Marks a feed whose object is gone: it is not shown any more, and no run of it is recorded. A week later it is removed, unless
    /// its object is restored.
    pub async fn drop(&self, uid: Uuid) -> Result<(), StorageError> {
        Session::run(&self.pool, Kind::Statement, async |session| {
            // Waits for a run that is being recorded.
            let drop = session.query(
                "update public.arxiv_feeds set dropped_at = clock_timestamp() where object_uid = $1 and dropped_at is null",
            );
            drop.bind(uid).execute(session.conn()).await?;
            Ok(())
        })
        .await
    }

    /// Removes some of the items past their age, and what is not needed any more; how many rows. To be repeated until it is none.
    pub async fn prune(&self) -> Result<u64, StorageError> {
        Session::run(&self.pool, Kind::Statement, async |session| {
            let prune = session.query_scalar::<i64>("select public.prune_feeds()");
            u64::try_from(prune.fetch_one(session.conn()).await?).map_err(|_| StorageError::Unreadable)
        })
        .await
    }
}
