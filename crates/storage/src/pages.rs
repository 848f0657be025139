//! Fetched pages.

use std::time::Duration;

use jiff::{Timestamp, civil::Date};
use sqlx::PgPool;

use crate::StorageError;

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
}

/// One paper of a page.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct PageEntry {
    /// arXiv's id.
    pub id: String,
    /// All authors, joined.
    pub authors: String,
    /// Title.
    pub title: String,
    /// Journal reference, empty when there is none.
    pub journal: String,
}

/// A page as it was fetched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewPage {
    /// Papers found in all.
    pub total: u32,
    /// The feed's title.
    pub title: String,
    /// The answer's Date header.
    pub date: Option<Timestamp>,
    /// The answer's HTTP status.
    pub status: u16,
    /// The papers.
    pub entries: Vec<PageEntry>,
    /// How long it may be used, if not for all of its day.
    pub keep_for: Option<Duration>,
}

/// A page as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// Papers found in all.
    pub total: u32,
    /// The feed's title.
    pub title: String,
    /// The answer's Date header.
    pub date: Option<Timestamp>,
    /// The answer's HTTP status.
    pub status: u16,
    /// The papers.
    pub entries: Vec<PageEntry>,
    /// When it was stored, by the database's clock.
    pub fetched_at: Timestamp,
}

/// The store of pages.
#[derive(Clone, Debug)]
pub struct Pages {
    pool: PgPool,
}

impl Pages {
    /// The pages in the upstream database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The page that stands there and may still be used.
    pub async fn get(&self, key: &PageKey) -> Result<Option<Page>, StorageError> {
        todo!("{key:?}")
    }

    /// Stores a page unless one stands there; what stands there.
    pub async fn put(&self, key: &PageKey, page: &NewPage) -> Result<Page, StorageError> {
        todo!("{key:?}{page:?}")
    }

    /// Deletes pages of days before `day`, those past their time, and the oldest above `max_bytes`; how many.
    pub async fn prune(&self, day: Date, max_bytes: u64) -> Result<u64, StorageError> {
        todo!("{day:?}{max_bytes:?}")
    }

    /// The database's clock.
    pub async fn now(&self) -> Result<Timestamp, StorageError> {
        todo!("{:?}", self.pool)
    }
}
