//! Fetched pages of arXiv's answers: a cache, the point where a query continues after a restart, and what makes the first fetch
//! win.
//!
//! Of one page there may be several versions, when a query would not take the one that was there. Which version is for which
//! query depends on nothing that comes later, so that a query that continues finds what it found before.
//!
//! The search is found by its SHA-256, since it may be longer than an index entry can be.

mod key;
mod sql;

use std::time::Duration;

use jiff::{Timestamp, civil::Date};
use sqlx::PgPool;

pub use self::key::{PageKey, PageVersion};
use crate::{
    Paper, StorageError,
    connection::{Kind, Session, from_micros, micros},
};

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
}

/// A stored page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// What it says besides its papers.
    pub head: PageHead,
    /// The papers.
    pub papers: Vec<Paper>,
    /// When it was stored, by the database's clock.
    pub fetched_at: Timestamp,
}

/// The store of pages, for the user `arxiv_upstream`.
#[derive(Clone, Debug)]
pub struct Pages {
    pool: PgPool,
}

impl Pages {
    /// The pages in the upstream database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The stored page, if it may still be used.
    pub async fn get(&self, key: &PageKey) -> Result<Option<Page>, StorageError> {
        Session::run(&self.pool, Kind::Statement, async |session| {
            sql::get(session, key).await
        })
        .await
    }

    /// The same without its papers, and when it was stored.
    pub async fn head(&self, key: &PageKey) -> Result<Option<(PageHead, Timestamp)>, StorageError> {
        let found = Session::run(&self.pool, Kind::Statement, async |session| {
            sql::find(session, key, false).await
        });
        Ok(found.await?.map(|(head, fetched_at, _)| (head, fetched_at)))
    }

    /// Stores a page unless there is a version that this key accepts; the page for this key then. It may be used for `keep_for`,
    /// or for all of its day.
    pub async fn put(
        &self,
        key: &PageKey,
        head: PageHead,
        papers: Vec<Paper>,
        keep_for: Option<Duration>,
    ) -> Result<Page, StorageError> {
        Session::run(&self.pool, Kind::Transaction, async move |session| {
            let fetched_at = match sql::insert(session, key, &head, &papers, keep_for).await? {
                Some(fetched_at) => fetched_at,
                None => match sql::get(session, key).await? {
                    Some(page) => return Ok(page),
                    // It expired meanwhile, so this is the freshest answer there is.
                    None => sql::clock(session).await?,
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
        })
        .await
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
        Session::run(&self.pool, Kind::Statement, sql::clock).await
    }
}
