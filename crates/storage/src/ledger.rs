//! Which number belongs to which object.
//!
//! The ledger saves numbers: however often an object asks, it gets the same one. It is no fence (rows belong to a uid by
//! the uid on them), so that it may be pruned once an object is gone.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use crate::{StorageError, connect::bounded, locks::lock_uid, session::Session, time::micros};

/// The ledger beside the sequence, for the user `arxiv_operator`.
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
        // Looked up without a lock first, the usual case on a retry.
        let known = bounded(async {
            let mut session = Session::statement(&self.pool).await?;
            let known = look(&mut session, uid).await?;
            session.done().await?;
            Ok(known)
        })
        .await?;
        match known {
            Some(number) => Ok(number),
            None => self.settle(uid, None).await,
        }
    }

    /// The object's number if it has another than `taken` by now, else a new one in its place.
    pub async fn replace(&self, uid: Uuid, taken: i64) -> Result<i64, StorageError> {
        self.settle(uid, Some(taken)).await
    }

    /// Under the uid's lock, so that callers at the same time agree and burn one number only.
    async fn settle(&self, uid: Uuid, taken: Option<i64>) -> Result<i64, StorageError> {
        bounded(async {
            let mut session = Session::transaction(&self.pool).await?;
            lock_uid(&mut session, uid).await?;
            let known = look(&mut session, uid).await?;
            if let Some(number) = known.filter(|number| Some(*number) != taken) {
                session.done().await?;
                return Ok(number);
            }
            let set = session.query_as::<(i64,)>(
                "insert into public.arxiv_ledger as l (uid, number) values ($1, nextval('public.arxiv_sequence'))
                 on conflict (uid) do update set number = excluded.number, entered_at = clock_timestamp()
                 returning l.number",
            );
            let (number,) = set.bind(uid).fetch_one(session.on()).await?;
            session.done().await?;
            Ok(number)
        })
        .await
    }

    /// Uids with an entry older than `older_than`, in order, after `after` (for paging), at most `limit`: to ask which of
    /// them are gone.
    pub async fn uids(
        &self,
        older_than: Duration,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Uuid>, StorageError> {
        bounded(async {
            let mut session = Session::statement(&self.pool).await?;
            let list = session.query_as::<(Uuid,)>(
                "select uid from public.arxiv_ledger
                 where uid > $1 and entered_at < clock_timestamp() - $2 * interval '1 microsecond'
                 order by uid limit $3",
            );
            // No object has the nil uid.
            let list = list
                .bind(after.unwrap_or(Uuid::nil()))
                .bind(micros(older_than))
                .bind(i64::from(limit));
            let rows = list.fetch_all(session.on()).await?;
            session.done().await?;
            Ok(rows.into_iter().map(|(uid,)| uid).collect())
        })
        .await
    }

    /// Forgets the entries of these objects (they are gone); how many there were.
    pub async fn prune(&self, gone: &[Uuid]) -> Result<u64, StorageError> {
        bounded(async {
            let mut session = Session::statement(&self.pool).await?;
            let delete = session
                .query("delete from public.arxiv_ledger where uid = any($1)")
                .bind(gone);
            let done = delete.execute(session.on()).await?;
            session.done().await?;
            Ok(done.rows_affected())
        })
        .await
    }
}

async fn look(session: &mut Session, uid: Uuid) -> Result<Option<i64>, StorageError> {
    let look = session
        .query_as::<(i64,)>("select number from public.arxiv_ledger where uid = $1")
        .bind(uid);
    Ok(look.fetch_optional(session.on()).await?.map(|(number,)| number))
}
