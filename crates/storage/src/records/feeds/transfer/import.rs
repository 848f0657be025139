//! Writing a feed into another database: all of it or nothing.

use jiff::Timestamp;
use paper::{PaperId, PaperVersion};
use uuid::Uuid;

use super::{
    super::{FeedState, Feeds, Progress},
    Counts, ExportedFeed, ExportedItem, FORMAT, Line, TransferError,
};
use crate::{
    StorageError,
    connection::{Session, bounded},
    reads::paper_key::{id_columns, version_of},
    records::{PaperBatch, papers},
};

/// Items that are written at once, with their papers.
const ITEMS: usize = 100;
/// Versions that were seen, written at once.
const SEEN: usize = 5_000;

/// The name that a feed gets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// Another namespace than it had.
    pub namespace: Option<&'a str>,
    /// Another name.
    pub name: Option<&'a str>,
}

/// A feed that is being imported. Dropped before its end, nothing of it is there.
pub struct Import {
    session: Session,
    state: FeedState,
    items: Vec<ExportedItem>,
    seen: Vec<PaperId>,
    counts: Counts,
    /// The version of the last item, and its search.
    last: Option<(String, i32, i32)>,
}

impl std::fmt::Debug for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl Feeds {
    /// Begins to import a feed. Until an object that was restored has its namespace, its name and its search, it is as one whose
    /// object is gone: nobody sees it, and a week later it is removed.
    pub async fn import(&self, feed: ExportedFeed, place: Place<'_>) -> Result<Import, TransferError> {
        if feed.format > FORMAT {
            return Err(TransferError::Format(feed.format));
        }
        let namespace = place.namespace.unwrap_or(&feed.namespace);
        let name = place.name.unwrap_or(&feed.name);
        // Items come in an order that all writers of papers have, as those of one batch.
        let mut session = bounded(Session::open_locked(&self.pool, &[papers::lock(1)])).await?;
        if bounded(is_in_use(&mut session, feed.state.id, namespace, name)).await? {
            return Err(TransferError::NameInUse {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            });
        }
        let is_written = bounded(write_feed(&mut session, &feed, namespace, name)).await?;
        if !is_written {
            return Err(bounded(conflict(&mut session, &feed.state)).await?);
        }
        Ok(Import {
            session,
            state: feed.state,
            items: Vec::new(),
            seen: Vec::new(),
            counts: Counts::default(),
            last: None,
        })
    }
}

impl Import {
    /// Takes the next line, but for the last one.
    pub async fn take(&mut self, line: Line) -> Result<(), TransferError> {
        match line {
            Line::Feed(_) => Err(TransferError::Broken("it has two feeds")),
            Line::End(_) => Err(TransferError::Broken("it has two ends")),
            Line::Item(item) => self.take_item(*item).await,
            Line::Seen(id) => {
                self.seen.push(id);
                self.counts.seen += 1;
                if self.seen.len() >= SEEN {
                    bounded(self.write_seen()).await?;
                }
                Ok(())
            }
        }
    }

    async fn take_item(&mut self, item: ExportedItem) -> Result<(), TransferError> {
        let ExportedItem {
            position, seen_set, ..
        } = item;
        if !(1..=self.state.items).contains(&position) || !(1..=self.state.seen_set).contains(&seen_set) {
            return Err(TransferError::Broken("an item is past the last one"));
        }
        // Rows of papers are locked in one order, whoever writes them.
        let key = (item.paper.id.paper.clone(), version_of(&item.paper.id), seen_set);
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            return Err(TransferError::Broken(
                "the items are not in the order of their versions",
            ));
        }
        self.last = Some(key);
        self.items.push(item);
        self.counts.items += 1;
        if self.items.len() >= ITEMS {
            self.write_items().await?;
        }
        Ok(())
    }

    /// Ends it by what the last line says: only now all of it is there.
    pub async fn end(mut self, counts: Counts) -> Result<(), TransferError> {
        if counts != self.counts {
            return Err(TransferError::Broken("lines are missing or there are too many"));
        }
        self.write_items().await?;
        bounded(self.write_seen()).await?;
        bounded(self.session.commit()).await?;
        Ok(())
    }

    async fn write_items(&mut self) -> Result<(), TransferError> {
        let items = std::mem::take(&mut self.items);
        let Some(fetched_at) = items.iter().map(|item| item.fetched_at).min() else {
            return Ok(());
        };
        let of = |item: &ExportedItem| item.paper.clone();
        let batch = PaperBatch {
            papers: items.iter().map(of).collect::<Vec<PaperVersion>>().into(),
            fetched_at,
        };
        bounded(papers::upsert(&mut self.session, &papers::of_answer(&batch))).await?;
        match bounded(insert_items(&mut self.session, self.state.id, &items)).await? {
            0 => Ok(()),
            _ => Err(TransferError::Differs),
        }
    }

    async fn write_seen(&mut self) -> Result<(), StorageError> {
        let mut seen = std::mem::take(&mut self.seen);
        seen.sort();
        let (papers, versions) = id_columns(&seen);
        let insert = self.session.query(
            "insert into public.arxiv_feed_seen (feed_uid, seen_set, paper, version)
             select $1, $2, paper, version from unnest($3::text[], $4::integer[]) as s (paper, version) on conflict do nothing",
        );
        let insert = insert.bind(self.state.id).bind(self.state.seen_set);
        insert
            .bind(papers)
            .bind(versions)
            .execute(self.session.conn())
            .await?;
        Ok(())
    }
}

/// Whether an object has the name that the feed gets, for another feed.
async fn is_in_use(
    session: &mut Session,
    feed: Uuid,
    namespace: &str,
    name: &str,
) -> Result<bool, StorageError> {
    let used = session.query_scalar::<bool>(
        "select exists (select from public.arxiv_feeds
           where feed_uid <> $1 and namespace = $2 and name = $3 and dropped_at is null)",
    );
    let used = used.bind(feed).bind(namespace).bind(name);
    Ok(used.fetch_one(session.conn()).await?)
}

/// Writes the row of the feed, unless what is there must stay. It is registered now: a restored object gets the last feed of its name.
const WRITE: &str = "insert into public.arxiv_feeds as f
       (feed_uid, object_uid, namespace, name, title, search, seen_set, initial_items, revisions, retention_days, last_position,
        is_established, backfill_start, last_outcome, last_new_items, watermark, floor, backfill_watermark, backfill_covered,
        backfill_submitted_before, last_run_at, last_complete_at, registered_at, dropped_at)
     select $1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, t[1], t[2], t[3], t[4], t[5], t[6], t[7],
       clock_timestamp(), clock_timestamp()
     from (select array_agg(timestamptz 'epoch' + micros * interval '1 microsecond' order by n) as t
           from unnest($15::bigint[]) with ordinality as u (micros, n)) times
     on conflict (feed_uid) do update set
       (namespace, name, title, search, seen_set, initial_items, revisions, retention_days, last_position, is_established,
        backfill_start, last_outcome, last_new_items, watermark, floor, backfill_watermark, backfill_covered,
        backfill_submitted_before, last_run_at, last_complete_at, registered_at, dropped_at)
       = (excluded.namespace, excluded.name, excluded.title, excluded.search, excluded.seen_set, excluded.initial_items,
        excluded.revisions, excluded.retention_days, excluded.last_position, excluded.is_established, excluded.backfill_start,
        excluded.last_outcome, excluded.last_new_items, excluded.watermark, excluded.floor, excluded.backfill_watermark,
        excluded.backfill_covered, excluded.backfill_submitted_before, excluded.last_run_at, excluded.last_complete_at,
        excluded.registered_at, excluded.dropped_at)
     where f.dropped_at is not null and f.last_position <= excluded.last_position and f.seen_set <= excluded.seen_set";

async fn write_feed(
    session: &mut Session,
    feed: &ExportedFeed,
    namespace: &str,
    name: &str,
) -> Result<bool, StorageError> {
    let FeedState {
        progress, last_run, ..
    } = &feed.state;
    let Progress {
        watermark,
        floor,
        is_established,
        backfill,
    } = progress;
    let times = [
        *watermark,
        *floor,
        backfill.map(|backfill| backfill.watermark),
        backfill.map(|backfill| backfill.covered),
        backfill.and_then(|backfill| backfill.submitted_before),
        last_run.map(|run| run.recorded_at),
        feed.state.last_complete_run,
    ];
    let times = times.map(|time| time.map(Timestamp::as_microsecond));
    let start = backfill.map(|backfill| i32::try_from(backfill.start)).transpose();
    let write = session
        .query(WRITE)
        .bind(feed.state.id)
        .bind(namespace)
        .bind(name);
    let written = write
        .bind(&feed.title)
        .bind(&feed.state.search)
        .bind(feed.state.seen_set)
        .bind(feed.state.initial_items.word())
        .bind(feed.revisions.word())
        .bind(feed.retention_days)
        .bind(feed.state.items)
        .bind(is_established)
        .bind(start.map_err(|_| StorageError::Unreadable)?)
        .bind(last_run.map(|run| run.outcome.word()))
        .bind(last_run.map(|run| run.new_items))
        .bind(times.to_vec())
        .execute(session.conn())
        .await?;
    Ok(written.rows_affected() == 1)
}

/// Why the row of the feed that is there must stay.
async fn conflict(session: &mut Session, file: &FeedState) -> Result<TransferError, StorageError> {
    let found = session.query_as::<(bool, i64, i32)>(
        "select dropped_at is null, last_position, seen_set from public.arxiv_feeds where feed_uid = $1",
    );
    let (is_used, here, searches_here) = found.bind(file.id).fetch_one(session.conn()).await?;
    Ok(if is_used {
        TransferError::InUse
    } else {
        TransferError::Ahead {
            here,
            searches_here,
            there: file.items,
            searches_there: file.seen_set,
        }
    })
}

/// Inserts those items that are not there; how many of them have another item in their place.
async fn insert_items(
    session: &mut Session,
    feed: Uuid,
    items: &[ExportedItem],
) -> Result<i64, StorageError> {
    let insert = session.query_scalar::<i64>(
        "with input as materialized (
           select position, seen_set, paper, version, run_uid, timestamptz 'epoch' + recorded * interval '1 microsecond' as recorded_at
           from unnest($2::bigint[], $3::integer[], $4::text[], $5::integer[], $6::uuid[], $7::bigint[])
             as i (position, seen_set, paper, version, run_uid, recorded)),
         added as (
           insert into public.arxiv_feed_items (feed_uid, position, seen_set, paper, version, run_uid, recorded_at)
           select $1, position, seen_set, paper, version, run_uid, recorded_at from input
           on conflict do nothing returning position, seen_set, paper, version)
         select count(*) from input i
         where not exists (select from added a
                           where (a.position, a.seen_set, a.paper, a.version) = (i.position, i.seen_set, i.paper, i.version))
           and not exists (select from public.arxiv_feed_items f where f.feed_uid = $1 and f.position = i.position
                             and (f.seen_set, f.paper, f.version) = (i.seen_set, i.paper, i.version))",
    );
    let (papers, versions) = id_columns(items.iter().map(|item| &item.paper.id));
    let different = insert
        .bind(feed)
        .bind(items.iter().map(|item| item.position).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.seen_set).collect::<Vec<_>>())
        .bind(papers)
        .bind(versions)
        .bind(items.iter().map(|item| item.run).collect::<Vec<_>>())
        .bind(
            items
                .iter()
                .map(|item| item.recorded_at.as_microsecond())
                .collect::<Vec<_>>(),
        );
    Ok(different.fetch_one(session.conn()).await?)
}
