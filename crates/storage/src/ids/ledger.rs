//! Which query id (`queries.query_id`) is assigned to which object.
//!
//! The ledger saves ids: however often an object asks, it gets the same one. It does not protect rows (a row belongs to the uid
//! that it holds), so an entry may be pruned once its object is deleted.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    StorageError,
    connection::{Kind, Session, lock_uid, micros},
};

/// The ledger, in the database of the sequence, for the user `arxiv_operator`.
#[derive(Clone, Debug)]
pub struct Ledger {
    pool: PgPool,
}

impl Ledger {
    /// The ledger in the sequence's database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The query id of the object with this uid: the one that it has, or a new one.
    pub async fn assign(&self, uid: Uuid) -> Result<i64, StorageError> {
        // Read without a lock first, the usual case on a retry.
        let known = Session::run(&self.pool, Kind::Statement, async |session| {
            find(session, uid).await
        });
        match known.await? {
            Some(query_id) => Ok(query_id),
            None => self.take_new(uid, None).await,
        }
    }

    /// The object's query id if it is another than `taken` by now, else a new one that replaces it.
    pub async fn reassign(&self, uid: Uuid, taken: i64) -> Result<i64, StorageError> {
        self.take_new(uid, Some(taken)).await
    }

    /// Under the uid's lock, so that concurrent callers agree and use up one id only.
    async fn take_new(&self, uid: Uuid, taken: Option<i64>) -> Result<i64, StorageError> {
        Session::run(&self.pool, Kind::Transaction, async |session| {
            lock_uid(session, uid).await?;
            let known = find(session, uid).await?;
            if let Some(query_id) = known.filter(|query_id| Some(*query_id) != taken) {
                return Ok(query_id);
            }
            let set = session.query_scalar(
                "insert into public.arxiv_ledger as l (uid, query_id) values ($1, nextval('public.arxiv_sequence'))
                 on conflict (uid) do update set query_id = excluded.query_id, entered_at = clock_timestamp()
                 returning l.query_id",
            );
            Ok(set.bind(uid).fetch_one(session.conn()).await?)
        })
        .await
    }

    /// Uids with an entry older than `older_than`, in order, after `after` (for paging), at most `limit`: the caller checks which of
    /// them no longer exist.
    pub async fn uids(
        &self,
        older_than: Duration,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Uuid>, StorageError> {
        Session::run(&self.pool, Kind::Statement, async |session| {
            let list = session.query_scalar(
                "select uid from public.arxiv_ledger
                 where uid > $1 and entered_at < clock_timestamp() - $2 * interval '1 microsecond'
                 order by uid limit $3",
            );
            // No object has the nil uid.
            let list = list
                .bind(after.unwrap_or(Uuid::nil()))
                .bind(micros(older_than))
                .bind(i64::from(limit));
            Ok(list.fetch_all(session.conn()).await?)
        })
        .await
    }

    /// Deletes the entries of these objects, which no longer exist; how many there were.
    pub async fn prune(&self, deleted: &[Uuid]) -> Result<u64, StorageError> {
        Session::run(&self.pool, Kind::Statement, async |session| {
            let delete = session.query("delete from public.arxiv_ledger where uid = any($1)");
            let done = delete.bind(deleted).execute(session.conn()).await?;
            Ok(done.rows_affected())
        })
        .await
    }
}

async fn find(session: &mut Session, uid: Uuid) -> Result<Option<i64>, StorageError> {
    let find = session.query_scalar("select query_id from public.arxiv_ledger where uid = $1");
    Ok(find.bind(uid).fetch_optional(session.conn()).await?)
}
