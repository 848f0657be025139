//! What a page is stored under.

use jiff::{Timestamp, civil::Date};

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
    pub(super) fn bounds(self) -> (i64, bool) {
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
