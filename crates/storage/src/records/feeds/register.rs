//! Registering a feed, and reading what is known of it.

use jiff::Timestamp;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::{Backfill, FeedSpec, FeedState, Feeds, InitialItems, LastRun, Outcome, Progress};
use crate::{
    StorageError,
    connection::{Kind, Session, from_micros},
};

/// A time as microseconds since 1970.
macro_rules! micros {
    ($column:literal) => {
        concat!(
            "(extract(epoch from ",
            $column,
            ") * 1000000)::bigint as ",
            $column
        )
    };
}

/// The row of a feed that is not being removed; ends with a condition that may be followed by a lock.
macro_rules! state {
    ($lock:literal) => {
        concat!(
            "select feed_uid, search, seen_set, initial_items, revisions, last_position, is_established, backfill_start, last_outcome,
                    last_new_items, ",
            micros!("watermark"), ", ", micros!("floor"), ", ", micros!("backfill_watermark"), ", ",
            micros!("backfill_covered"), ", ", micros!("backfill_submitted_before"), ", ",
            micros!("last_run_at"), ", ", micros!("last_complete_at"),
            " from public.arxiv_feeds where object_uid = $1 and namespace = $2 and dropped_at is null",
            $lock
        )
    };
}

/// So long a feed whose object is gone can be restored; then it is removed.
macro_rules! is_kept {
    () => {
        "(f.dropped_at is null or f.dropped_at >= clock_timestamp() - interval '7 days')"
    };
}

/// The feed of a restored object: the last one of these names and this search.
const RESTORE: &str = concat!(
    "update public.arxiv_feeds set object_uid = $1
     where feed_uid = (
         select f.feed_uid from public.arxiv_feeds f where f.namespace = $2 and f.name = $3 and f.search = $4 and ",
    is_kept!(),
    " order by f.registered_at desc limit 1)
       and not exists (select from public.arxiv_feeds where object_uid = $1)"
);
const REGISTER: &str = concat!(
    "insert into public.arxiv_feeds as f
       (feed_uid, object_uid, namespace, name, title, search, initial_items, revisions, retention_days,
        schedule, time_zone, is_suspended, next_run_at)
     values ($1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, timestamptz 'epoch' + $12 * interval '1 microsecond')
     on conflict (object_uid) do update set
       namespace = $2, name = $3, title = $4, search = $5, initial_items = $6, revisions = $7, retention_days = $8,
       schedule = $9, time_zone = $10, is_suspended = $11, next_run_at = excluded.next_run_at, dropped_at = null,
       seen_set = f.seen_set + (f.search <> $5)::integer,
       watermark = case when f.search = $5 then f.watermark end,
       floor = case when f.search = $5 then f.floor end,
       is_established = f.is_established and f.search = $5,
       backfill_watermark = case when f.search = $5 then f.backfill_watermark end,
       backfill_covered = case when f.search = $5 then f.backfill_covered end,
       backfill_start = case when f.search = $5 then f.backfill_start end,
       backfill_submitted_before = case when f.search = $5 then f.backfill_submitted_before end,
       last_complete_at = case when f.search = $5 then f.last_complete_at end,
       last_outcome = case when f.search = $5 or f.last_outcome is null then f.last_outcome else 'OtherSearch' end
     where ",
    is_kept!(),
    " and (f.namespace, f.name, f.title, f.search, f.initial_items, f.revisions, f.retention_days, f.schedule, f.time_zone,
          f.is_suspended, f.next_run_at, f.dropped_at)
         is distinct from ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, excluded.next_run_at, null::timestamptz)"
);

/// Whether a feed is registered as it is now.
const IS_REGISTERED: &str = "select exists (
     select from public.arxiv_feeds
     where object_uid = $1 and dropped_at is null
       and (namespace, name, title, search, initial_items, revisions, retention_days, schedule, time_zone, is_suspended, next_run_at)
           is not distinct from ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, timestamptz 'epoch' + $12 * interval '1 microsecond'))";

impl Feeds {
    /// What is known of a feed, if it is registered as it is now. It writes nothing, so it is cheap, and what it says may not be safe
    /// from a fail-over yet: no run may be created by it.
    pub async fn registered(&self, feed: &FeedSpec<'_>) -> Result<Option<FeedState>, StorageError> {
        Session::run(&self.pool, Kind::Transaction, async |session| {
            let is_registered = session.query_scalar::<bool>(IS_REGISTERED);
            let is_registered = is_registered
                .bind(feed.uid)
                .bind(feed.namespace)
                .bind(feed.name)
                .bind(feed.title)
                .bind(feed.search)
                .bind(feed.initial_items.word())
                .bind(feed.revisions.word())
                .bind(feed.retention_days)
                .bind(&feed.timing.schedule)
                .bind(&feed.timing.time_zone)
                .bind(feed.timing.is_suspended)
                .bind(feed.timing.next_run.map(Timestamp::as_microsecond))
                .fetch_one(session.conn())
                .await?;
            if !is_registered {
                return Ok(None);
            }
            let row = session.query(state!("")).bind(feed.uid).bind(feed.namespace);
            let row = row.fetch_optional(session.conn()).await?;
            row.as_ref().map(state_of).transpose()
        })
        .await
    }

    /// Registers a feed, or what has changed of it, before a run of it is created; what is known of it. With another search nothing
    /// counts as seen any more. None when the feed is being removed, as its object was gone for a week.
    pub async fn register(&self, feed: &FeedSpec<'_>) -> Result<Option<FeedState>, StorageError> {
        Session::run(&self.pool, Kind::Transaction, async |session| {
            if feed.is_restored {
                let restore = session.query(RESTORE).bind(feed.uid).bind(feed.namespace);
                let restore = restore.bind(feed.name).bind(feed.search);
                restore.execute(session.conn()).await?;
            }
            let register = session.query(REGISTER);
            register
                .bind(feed.uid)
                .bind(feed.namespace)
                .bind(feed.name)
                .bind(feed.title)
                .bind(feed.search)
                .bind(feed.initial_items.word())
                .bind(feed.revisions.word())
                .bind(feed.retention_days)
                .bind(&feed.timing.schedule)
                .bind(&feed.timing.time_zone)
                .bind(feed.timing.is_suspended)
                .bind(feed.timing.next_run.map(Timestamp::as_microsecond))
                .execute(session.conn())
                .await?;
            let row = row(session, feed.uid, feed.namespace).await?;
            let state = row.as_ref().map(state_of).transpose()?;
            if state.is_some() {
                // What it says is safe: a run is created by it.
                session.await_durable().await?;
            }
            Ok(state)
        })
        .await
    }
}

impl Feeds {
    /// Notes that no run of a feed is planned, as its object is, too: for readers.
    pub async fn unschedule(&self, uid: Uuid) -> Result<(), StorageError> {
        Session::run(&self.pool, Kind::Statement, async |session| {
            let unschedule = session.query(
                "update public.arxiv_feeds set next_run_at = null where object_uid = $1 and next_run_at is not null",
            );
            unschedule.bind(uid).execute(session.conn()).await?;
            Ok(())
        })
        .await
    }
}

/// The row of the feed, locked until the end of the transaction; none where there is no such feed.
pub(super) async fn lock(
    session: &mut Session,
    uid: Uuid,
    namespace: &str,
) -> Result<Option<PgRow>, StorageError> {
    let row = session.query(state!(" for update")).bind(uid).bind(namespace);
    Ok(row.fetch_optional(session.conn()).await?)
}

/// The row of the feed; none where there is no such feed.
pub(super) async fn row(
    session: &mut Session,
    uid: Uuid,
    namespace: &str,
) -> Result<Option<PgRow>, StorageError> {
    let row = session.query(state!("")).bind(uid).bind(namespace);
    Ok(row.fetch_optional(session.conn()).await?)
}

pub(super) fn state_of(row: &PgRow) -> Result<FeedState, StorageError> {
    let time = |column: &str| -> Result<Option<Timestamp>, StorageError> {
        let micros: Option<i64> = row.try_get(column)?;
        micros.map(from_micros).transpose()
    };
    let start: Option<i32> = row.try_get("backfill_start")?;
    let backfill = time("backfill_watermark")?
        .zip(time("backfill_covered")?)
        .zip(start);
    let backfill = match backfill {
        Some(((watermark, covered), start)) => Some(Backfill {
            watermark,
            covered,
            start: u32::try_from(start).map_err(|_| StorageError::Unreadable)?,
            submitted_before: time("backfill_submitted_before")?,
        }),
        None => None,
    };
    Ok(FeedState {
        id: row.try_get("feed_uid")?,
        search: row.try_get("search")?,
        seen_set: row.try_get("seen_set")?,
        items: row.try_get("last_position")?,
        progress: Progress {
            watermark: time("watermark")?,
            floor: time("floor")?,
            is_established: row.try_get("is_established")?,
            backfill,
        },
        initial_items: InitialItems::of_word(row.try_get("initial_items")?)?,
        last_run: last_run_of(row)?,
        last_complete_run: time("last_complete_at")?,
    })
}

/// What came of the last run of a feed, if it had one.
pub(super) fn last_run_of(row: &PgRow) -> Result<Option<LastRun>, StorageError> {
    let recorded_at: Option<i64> = row.try_get("last_run_at")?;
    let outcome: Option<&str> = row.try_get("last_outcome")?;
    let new_items: Option<i32> = row.try_get("last_new_items")?;
    let last_run = recorded_at.zip(outcome).zip(new_items);
    let last_run = last_run.map(|((recorded_at, outcome), new_items)| {
        Ok(LastRun {
            recorded_at: from_micros(recorded_at)?,
            outcome: Outcome::of_word(outcome)?,
            new_items,
        })
    });
    last_run.transpose()
}
