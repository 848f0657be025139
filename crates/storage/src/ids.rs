//! Query ids (`queries.query_id`): the sequence that gives them, which the existing service uses too, and the ledger.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    StorageError,
    connection::{Batcher, Kind, LINGER, Lock, Pool, Session, Work, keys_of_uids, micros},
};

/// Unique query ids, for the user `arxiv_sequence`, which can do nothing else.
///
/// Callers that arrive while statements are running are served by the next one, which takes an id for each of them: one round
/// trip and one commit for all.
#[derive(Clone, Debug)]
pub struct Sequence {
    batches: Batcher<Next>,
}

impl Sequence {
    /// Ids from the sequence in the pool's database.
    pub fn new(pool: Pool) -> Self {
        Self {
            batches: Batcher::new(Next(pool)),
        }
    }

    /// The next id; never the same twice, also when the server is lost and a standby that confirms commits takes its place.
    pub async fn next(&self) -> Result<i64, StorageError> {
        self.batches.run(()).await
    }
}

/// Takes ids.
struct Next(Pool);

impl Work for Next {
    type Item = ();
    type Answer = i64;
    const MAX_BATCH: usize = 256;
    const CONCURRENCY: usize = 2;
    const MAX_CONCURRENCY: usize = 2;
    // It takes shorter than any wait.
    const LINGER: Duration = Duration::ZERO;

    /// A caller that has given up meanwhile leaves a gap.
    async fn serve(&self, callers: Vec<()>) -> Result<Vec<i64>, StorageError> {
        Session::run(&self.0, Kind::Statement, async |session| {
            // Postgres writes the sequence to its log once in 32 values, and only the session that causes that waits until the
            // log is safe. The others would get values that are not; with a log record of their own they wait as well.
            let next = session.query_scalar(
                "select nextval('public.arxiv_sequence')
                 from generate_series(1, $1), pg_logical_emit_message(true, 'arxiv', '')",
            );
            let count = i64::try_from(callers.len()).unwrap_or(i64::MAX);
            Ok(next.bind(count).fetch_all(session.conn()).await?)
        })
        .await
    }
}

/// Which query id is assigned to which object, in the database of the sequence, for the user `arxiv_operator`.
///
/// The ledger saves ids: however often an object asks, it gets the same one. It does not protect rows (a row belongs to the uid
/// that it holds), so an entry may be pruned once its object is deleted.
#[derive(Clone, Debug)]
pub struct Ledger {
    pool: Pool,
    batches: Batcher<Assign>,
}

/// Assigns ids to objects.
struct Assign(Pool);

impl Work for Assign {
    type Item = Uuid;
    type Answer = i64;
    const MAX_BATCH: usize = 64;
    const CONCURRENCY: usize = 1;
    const MAX_CONCURRENCY: usize = 3;
    const LINGER: Duration = LINGER;

    async fn serve(&self, uids: Vec<Uuid>) -> Result<Vec<i64>, StorageError> {
        // Under the uids' locks, so that concurrent callers agree and use up one id only.
        let (keys, subkeys) = keys_of_uids(&uids);
        let ids = Session::run(&self.0, Kind::Statement, async |session| {
            let assign = session.query_scalar::<Vec<i64>>("select public.assign_query_ids($1, $2, $3)");
            let assign = assign.bind(&uids).bind(&keys).bind(&subkeys);
            Ok(assign.fetch_one(session.conn()).await?)
        });
        let ids = ids.await?;
        if ids.len() == uids.len() {
            Ok(ids)
        } else {
            Err(StorageError::Unreadable)
        }
    }
}

impl Ledger {
    /// The ledger in the sequence's database.
    pub fn new(pool: Pool) -> Self {
        let batches = Batcher::new(Assign(pool.clone()));
        Self { pool, batches }
    }

    /// The query id of the object with this uid: the one that it has, or a new one. Callers that arrive while statements are
    /// running are served by the next one.
    pub async fn assign(&self, uid: Uuid) -> Result<i64, StorageError> {
        self.batches.run(uid).await
    }

    /// The object's query id if it is another than `taken` by now, else a new one that replaces it.
    pub async fn reassign(&self, uid: Uuid, taken: i64) -> Result<i64, StorageError> {
        Session::run_locked(&self.pool, &[Lock::of_uid(uid)], async |session| {
            let known = find(session, uid).await?;
            match known.filter(|query_id| *query_id != taken) {
                Some(query_id) => Ok(query_id),
                None => replace(session, uid).await,
            }
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

async fn replace(session: &mut Session, uid: Uuid) -> Result<i64, StorageError> {
    let set = session.query_scalar(
        "insert into public.arxiv_ledger as l (uid, query_id) values ($1, nextval('public.arxiv_sequence'))
         on conflict (uid) do update set query_id = excluded.query_id, entered_at = clock_timestamp()
         returning l.query_id",
    );
    Ok(set.bind(uid).fetch_one(session.conn()).await?)
}

async fn find(session: &mut Session, uid: Uuid) -> Result<Option<i64>, StorageError> {
    let find = session.query_scalar("select query_id from public.arxiv_ledger where uid = $1");
    Ok(find.bind(uid).fetch_optional(session.conn()).await?)
}
