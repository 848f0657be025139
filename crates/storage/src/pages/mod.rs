//! Fetched pages of arXiv's answers: a cache, the point where a query continues after a restart, and what makes the first fetch
//! win.
//!
//! Of one page there may be several versions, when a query would not take the one that was there. Which version is for which
//! query depends on nothing that comes later, so that a query that continues finds what it found before.
//!
//! The search is found by its SHA-256, since it may be longer than an index entry can be. The format of the papers is hashed
//! with it: during an upgrade, processes of two versions find only pages that they can read.

mod find;

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, civil::Date};
use paper::PaperVersion;
use sqlx::PgConnection;

use self::find::{Find, accepted, find};
use crate::{
    GateLease, StorageError,
    connection::{Batcher, Kind, Pool, Session, bounded, from_micros, micros},
};

/// Which version of a page is read.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum PageVersion {
    /// The newest.
    #[default]
    Newest,
    /// The newest that was there at this time; if there was none, the first one after it.
    AsOf(Timestamp),
    /// The first one that came after this time.
    After(Timestamp),
}

impl PageVersion {
    /// The time, in microseconds since 1970, and whether only versions after it are accepted.
    fn bounds(self) -> (i64, bool) {
        match self {
            // Later than anything, and still a time for Postgres.
            Self::Newest => (Timestamp::MAX.as_microsecond(), false),
            Self::AsOf(time) => (time.as_microsecond(), false),
            Self::After(time) => (time.as_microsecond(), true),
        }
    }
}

/// What one fetched page is an answer to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PageKey {
    /// The search in its normalised form.
    pub search: String,
    /// The day (arXiv's) that the answer holds for.
    pub day: Date,
    /// First entry.
    pub start: u32,
    /// Entries asked for.
    pub count: u32,
    /// Which one of them, if there are several.
    pub version: PageVersion,
}

/// What arXiv's answer says besides its papers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PageHead {
    /// Papers found in all.
    pub total: u32,
    /// The feed's title.
    pub title: String,
    /// The answer's Date header.
    pub date: Option<Timestamp>,
    /// The answer's HTTP status.
    pub status: u16,
    /// What was wrong with its entries: those that were repaired, and those that are not among the papers.
    pub defects: Vec<String>,
}

/// A stored page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// What it says besides its papers.
    pub head: PageHead,
    /// The papers.
    pub papers: Vec<PaperVersion>,
    /// When it was stored, by the database's clock.
    pub fetched_at: Timestamp,
}

/// A stored page as it was found at some time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FoundPage {
    /// What it says besides its papers.
    pub head: PageHead,
    /// The papers, if they were read. All who look the page up at the same time have the same.
    pub papers: Option<Arc<Vec<PaperVersion>>>,
    /// When it was stored, by the database's clock.
    pub fetched_at: Timestamp,
    /// When it was found, by the same clock.
    pub found_at: Timestamp,
}

/// The store of pages, for the user `arxiv_upstream`.
#[derive(Clone, Debug)]
pub struct Pages {
    pool: Pool,
    batches: Batcher<Find>,
}

/// The most papers of a page that is looked up together with others.
const FEW: u32 = 50;

impl Pages {
    /// The pages in the upstream database.
    pub fn new(pool: Pool) -> Self {
        let batches = Batcher::new(Find(pool.clone()));
        Self { pool, batches }
    }

    /// The stored page, if it may still be used.
    pub async fn get(&self, key: &PageKey) -> Result<Option<Page>, StorageError> {
        Session::run(&self.pool, Kind::Statement, async |session| {
            get(session, key).await
        })
        .await
    }

    /// The same, with its papers or without them, and when it was found. Small pages that are looked up while others are looked up
    /// are read together by the next statement.
    pub async fn find(&self, key: &PageKey, with_papers: bool) -> Result<Option<FoundPage>, StorageError> {
        if !with_papers || key.count <= FEW {
            return self.batches.run((key.clone(), with_papers)).await?;
        }
        let found = Session::run(&self.pool, Kind::Statement, async |session| {
            find(session, &[(key, with_papers)]).await
        });
        found.await?.remove(key).transpose()
    }

    /// Stores a page unless there is a version that this key accepts; the page for this key then. It may be used for `keep_for`,
    /// or for all of its day.
    ///
    /// It is stored in the session of the gate's lock, which serialises those who store pages: two at once would find none. It also
    /// costs fewer round trips than a transaction with a lock of its own.
    pub async fn put(
        &self,
        lease: &mut GateLease,
        key: &PageKey,
        head: PageHead,
        papers: Vec<PaperVersion>,
        keep_for: Option<Duration>,
    ) -> Result<Page, StorageError> {
        let stored = bounded(insert(lease.session(), key, &head, &papers, keep_for)).await?;
        let fetched_at = match stored {
            Some(fetched_at) => fetched_at,
            None => match self.get(key).await? {
                Some(page) => return Ok(page),
                // It expired meanwhile, so this is the freshest answer there is.
                None => self.now().await?,
            },
        };
        // As precise as a page that is read back.
        let date = head
            .date
            .map(|date| from_micros(date.as_microsecond()))
            .transpose()?;
        Ok(Page {
            head: PageHead { date, ..head },
            papers,
            fetched_at,
        })
    }

    /// Deletes pages of days before `day`, those that expired, and the oldest above `max_bytes` in all; how many.
    ///
    /// Pages of the searches in `kept` stay until they expire: without them, a query that has fetched some slices would have to
    /// ask for these again, and several such queries might never end.
    pub async fn prune(&self, day: Date, max_bytes: u64, kept: &[&str]) -> Result<u64, StorageError> {
        Session::run(&self.pool, Kind::Statement, async |session| {
            let prune = session.query(
                "delete from public.arxiv_pages p using (
                   select search_hash, day, start, count, fetched_at, expires_at,
                          sum(bytes) over (order by fetched_at desc, search_hash, day, start, count) as bytes_to_here
                   from public.arxiv_pages) as each
                 where (p.search_hash, p.day, p.start, p.count, p.fetched_at)
                      = (each.search_hash, each.day, each.start, each.count, each.fetched_at)
                   and (each.expires_at <= clock_timestamp()
                     or (p.day < $1::text::date or each.bytes_to_here > $2) and p.search <> all ($3))",
            );
            let prune = prune
                .bind(day.to_string())
                .bind(i64::try_from(max_bytes).unwrap_or(i64::MAX))
                .bind(kept);
            Ok(prune.execute(session.conn()).await?.rows_affected())
        })
        .await
    }

    /// The database's clock.
    pub async fn now(&self) -> Result<Timestamp, StorageError> {
        Session::run(&self.pool, Kind::Statement, Session::clock).await
    }
}

/// The hash of the search of `key`. A process that writes papers in another format has another prefix; the first format had none.
macro_rules! search_hash {
    () => {
        "sha256(convert_to('format 2: ' || key.search, 'UTF8'))"
    };
}
use search_hash;

/// The page that may still be used.
async fn get(session: &mut Session, key: &PageKey) -> Result<Option<Page>, StorageError> {
    let found = find(session, &[(key, true)]).await?.remove(key).transpose()?;
    Ok(found.map(|found| Page {
        head: found.head,
        papers: Arc::unwrap_or_clone(found.papers.unwrap_or_default()),
        fetched_at: found.fetched_at,
    }))
}

/// Inserts the page unless there is a version that the key accepts. When it was stored, if it was.
async fn insert(
    connection: &mut PgConnection,
    key: &PageKey,
    head: &PageHead,
    papers: &[PaperVersion],
    keep_for: Option<Duration>,
) -> Result<Option<Timestamp>, StorageError> {
    let entries = serde_json::to_string(papers).map_err(|_| StorageError::Unreadable)?;
    let bytes = entries.len() + head.title.len() + key.search.len();
    let insert = sqlx::query_as::<_, (i64,)>(concat!(
        "insert into public.arxiv_pages
           (search_hash, search, day, start, count, total, title, answered_at, status, entries, bytes, expires_at, defects)
         select ",
        search_hash!(),
        ", search, day, start, count, $7, $8,
           timestamptz 'epoch' + $9 * interval '1 microsecond', $10, $11, $12,
           clock_timestamp() + $13 * interval '1 microsecond', $14
         from (select $1::text as search, $2::text::date as day, $3::bigint as start, $4::bigint as count,
           timestamptz 'epoch' + $5::bigint * interval '1 microsecond' as at, $6::boolean as only_after) key
         where not exists (select from public.arxiv_pages p where ",
        accepted!(),
        ") returning (extract(epoch from fetched_at) * 1000000)::bigint",
    ));
    let (at, only_after) = key.version.bounds();
    let insert = insert
        .bind(&key.search)
        .bind(key.day.to_string())
        .bind(i64::from(key.start))
        .bind(i64::from(key.count))
        .bind(at)
        .bind(only_after)
        .bind(i64::from(head.total))
        .bind(&head.title)
        .bind(head.date.map(Timestamp::as_microsecond))
        .bind(i32::from(head.status))
        .bind(entries)
        .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
        .bind(keep_for.map(micros))
        .bind(&head.defects);
    let stored = insert.fetch_optional(connection).await?;
    stored.map(|(micros,)| from_micros(micros)).transpose()
}
