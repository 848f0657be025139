//! Feeds as clients read them.

use std::collections::HashMap;

use jiff::Timestamp;
use paper::{PaperId, PaperVersion};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::{LastRun, Timing, register};
use crate::{
    Reads, StorageError,
    connection::{Kind, Session, from_micros},
    reads::paper_key::id_of,
    reads::{WhichVersion, whole_papers},
};

/// A feed, as clients see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Feed {
    /// The uid of its object.
    pub uid: Uuid,
    /// Its object's namespace.
    pub namespace: String,
    /// Its object's name.
    pub name: String,
    /// The search, for people.
    pub title: String,
    /// How many items it ever had: the highest position.
    pub items: i64,
    /// The last run; none before the first.
    pub last_run: Option<LastRun>,
    /// When the last complete run of its search was recorded.
    pub last_complete_run: Option<Timestamp>,
    /// When it runs.
    pub timing: Timing,
}

/// An item of a feed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FeedItem {
    /// From 1, without gaps in the order of their recording.
    pub position: i64,
    /// Which of the feed's searches found it, from 1: each finds a version once.
    pub seen_set: i32,
    /// The version that was new. Its paper is stored as long as the item is.
    pub id: PaperId,
    /// When the run that found it was recorded.
    pub recorded_at: Timestamp,
}

/// Which items of a feed are read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ItemRange {
    /// Only those with a lower position.
    pub before: Option<i64>,
    /// Only those with a higher position.
    pub after: Option<i64>,
    /// Only those that were recorded at this time or later.
    pub since: Option<Timestamp>,
}

/// Where a list of feeds goes on: they are in the order of their namespaces and names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FeedKey {
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

/// The columns of feeds that are there.
macro_rules! feeds {
    ($distinct:literal, $condition:literal) => {
        concat!(
            "select ",
            $distinct,
            " feed_uid, namespace, name, title, last_position, last_outcome, last_new_items, schedule, time_zone, is_suspended,
                (extract(epoch from last_run_at) * 1000000)::bigint as last_run_at,
                (extract(epoch from last_complete_at) * 1000000)::bigint as last_complete_at,
                (extract(epoch from next_run_at) * 1000000)::bigint as next_run_at
             from public.arxiv_feeds where dropped_at is null and ",
            $condition
        )
    };
}
/// The feeds of a namespace, or of all, after one of them. Of a name that was used again there is the last one.
const FEEDS: &str = feeds!(
    "distinct on (namespace collate \"C\", name collate \"C\")",
    "($1::text is null or namespace = $1) and ($4::text is null or name = $4)
       and (namespace collate \"C\", name collate \"C\") > ($2, $3)
     order by namespace collate \"C\", name collate \"C\", registered_at desc limit $5"
);
const FEEDS_BY_UID: &str = feeds!("", "feed_uid = any($1)");

/// Items of a feed, in the order of their positions.
macro_rules! items {
    ($order:literal) => {
        concat!(
            "select position, seen_set, paper, version, (extract(epoch from recorded_at) * 1000000)::bigint
             from public.arxiv_feed_items
             where feed_uid = $1 and position < $2 and position > $3
               and recorded_at >= timestamptz 'epoch' + $4 * interval '1 microsecond'
             order by position ",
            $order,
            " limit $5"
        )
    };
}

impl Reads {
    /// The feeds of a namespace, or of all, after this one, at most `limit`.
    pub async fn feeds(
        &self,
        namespace: Option<&str>,
        after: &FeedKey,
        limit: i64,
    ) -> Result<Vec<Feed>, StorageError> {
        self.find_feeds(namespace, after, None, limit).await
    }

    /// The feed of this name.
    pub async fn feed(&self, namespace: Option<&str>, name: &str) -> Result<Option<Feed>, StorageError> {
        let first = FeedKey::default();
        let found = self.find_feeds(namespace, &first, Some(name), 1);
        Ok(found.await?.pop())
    }

    async fn find_feeds(
        &self,
        namespace: Option<&str>,
        after: &FeedKey,
        name: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Feed>, StorageError> {
        Session::read(self.results_pool(), Kind::Statement, async |session| {
            let feeds = session.query(FEEDS).bind(namespace);
            let feeds = feeds.bind(&after.namespace).bind(&after.name);
            let feeds = feeds.bind(name).bind(limit);
            let feeds = feeds.fetch_all(session.conn()).await?;
            feeds.iter().map(feed_of).collect()
        })
        .await
    }

    /// Those of these feeds that are there, in any order.
    pub async fn feeds_by_uid(&self, uids: &[Uuid]) -> Result<Vec<Feed>, StorageError> {
        Session::read(self.results_pool(), Kind::Statement, async |session| {
            let feeds = session.query(FEEDS_BY_UID).bind(uids);
            let feeds = feeds.fetch_all(session.conn()).await?;
            feeds.iter().map(feed_of).collect()
        })
        .await
    }

    /// Items of a feed, the newest first, at most `limit`.
    pub async fn feed_items(
        &self,
        feed: Uuid,
        range: ItemRange,
        limit: i64,
    ) -> Result<Vec<FeedItem>, StorageError> {
        Session::read(self.results_pool(), Kind::Statement, async |session| {
            find_items(session, items!("desc"), feed, range, limit).await
        })
        .await
    }

    /// The same with their papers.
    pub async fn feed_items_with_papers(
        &self,
        feed: Uuid,
        range: ItemRange,
        limit: i64,
    ) -> Result<Vec<(FeedItem, PaperVersion)>, StorageError> {
        self.find_with_papers(items!("desc"), feed, range, limit).await
    }

    /// Items of a feed with their papers, the oldest first, at most `limit`.
    pub async fn oldest_feed_items(
        &self,
        feed: Uuid,
        range: ItemRange,
        limit: i64,
    ) -> Result<Vec<(FeedItem, PaperVersion)>, StorageError> {
        self.find_with_papers(items!("asc"), feed, range, limit).await
    }

    async fn find_with_papers(
        &self,
        statement: &'static str,
        feed: Uuid,
        range: ItemRange,
        limit: i64,
    ) -> Result<Vec<(FeedItem, PaperVersion)>, StorageError> {
        Session::read(self.results_pool(), Kind::Transaction, async |session| {
            let items = find_items(session, statement, feed, range, limit).await?;
            with_papers(session, items).await
        })
        .await
    }
}

async fn find_items(
    session: &mut Session,
    statement: &'static str,
    feed: Uuid,
    range: ItemRange,
    limit: i64,
) -> Result<Vec<FeedItem>, StorageError> {
    let items = session.query_as::<(i64, i32, String, i32, i64)>(statement);
    let since = range.since.unwrap_or(Timestamp::UNIX_EPOCH);
    let items = items
        .bind(feed)
        .bind(range.before.unwrap_or(i64::MAX))
        .bind(range.after.unwrap_or_default())
        .bind(since.max(Timestamp::UNIX_EPOCH).as_microsecond())
        .bind(limit);
    let items = items.fetch_all(session.conn()).await?;
    items.into_iter().map(item_of).collect()
}

/// Items with their papers, read from the same server as they were: a replica that has an item has its paper, another one may not.
pub(super) async fn with_papers(
    session: &mut Session,
    items: Vec<FeedItem>,
) -> Result<Vec<(FeedItem, PaperVersion)>, StorageError> {
    let ids: Vec<_> = items.iter().map(|item| item.id.clone()).collect();
    let papers = whole_papers(session, &ids, WhichVersion::Named).await?;
    // One that was found by two searches of a feed comes twice.
    let papers: HashMap<_, _> = papers
        .into_iter()
        .map(|paper| (paper.id.clone(), paper))
        .collect();
    let with_paper = |item: FeedItem| {
        let paper = papers.get(&item.id).cloned();
        paper.map(|paper| (item, paper)).ok_or(StorageError::Unreadable)
    };
    items.into_iter().map(with_paper).collect()
}

fn feed_of(row: &PgRow) -> Result<Feed, StorageError> {
    let time = |column: &str| -> Result<Option<Timestamp>, StorageError> {
        let micros: Option<i64> = row.try_get(column)?;
        micros.map(from_micros).transpose()
    };
    Ok(Feed {
        uid: row.try_get("feed_uid")?,
        namespace: row.try_get("namespace")?,
        name: row.try_get("name")?,
        title: row.try_get("title")?,
        items: row.try_get("last_position")?,
        last_run: register::last_run_of(row)?,
        last_complete_run: time("last_complete_at")?,
        timing: Timing {
            schedule: row.try_get("schedule")?,
            time_zone: row.try_get("time_zone")?,
            is_suspended: row.try_get("is_suspended")?,
            next_run: time("next_run_at")?,
        },
    })
}

pub(super) fn item_of(
    (position, seen_set, paper, version, recorded_at): (i64, i32, String, i32, i64),
) -> Result<FeedItem, StorageError> {
    Ok(FeedItem {
        position,
        seen_set,
        id: id_of(paper, version)?,
        recorded_at: from_micros(recorded_at)?,
    })
}
