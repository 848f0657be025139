//! Standing searches: what each has found, each version of a paper once, and how far its search is complete.
//!
//! The tables are next to `results` and are written in the transaction of a run's rows, under the lock of the feed's row. So two runs
//! of one feed are recorded one after the other, and a run that is recorded again finds what came of it.

mod attempts;
mod deliveries;
mod delivery_reads;
mod maintenance;
mod progress;
mod reads;
mod redeliver;
mod register;
mod run;
pub mod transfer;
mod webhooks;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::attempts::{AttemptEnd, DueDelivery, DueLimits};
pub use self::deliveries::DeliveryStats;
pub use self::delivery_reads::{Delivery, DeliveryKey};
pub use self::progress::{Backfill, NextRun, Outcome, Progress, RunEnd};
pub use self::reads::{Feed, FeedItem, FeedKey, ItemRange};
pub use self::redeliver::Redelivery;
pub(crate) use self::run::Recording;
pub use self::webhooks::{WebhookSpec, WebhookState};
use crate::connection::Pool;

/// What becomes of the papers that are there when a feed begins.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum InitialItems {
    /// They are items, too.
    Include,
    /// They are only taken as seen.
    Skip,
}

/// What becomes of new versions of papers that were seen.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Revisions {
    /// They are items of their own.
    Include,
    /// They are only taken as seen.
    Ignore,
}

/// A feed, as its object in Kubernetes describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FeedSpec<'a> {
    /// The object's uid.
    pub uid: Uuid,
    /// Whether it was restored, from a backup or in another cluster: then it goes on as the last feed of its names and search.
    pub is_restored: bool,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The search, for people.
    pub title: &'a str,
    /// A hash of the search. When it changes, nothing counts as seen any more.
    pub search: &'a str,
    /// What becomes of the first papers. A later change has no effect until the search changes.
    pub initial_items: InitialItems,
    /// What becomes of new versions.
    pub revisions: Revisions,
    /// After how many days items are removed, at least 1; never when none.
    pub retention_days: Option<i32>,
    /// When it runs, for readers.
    pub timing: Timing,
}

/// When a feed runs, as its readers see it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Timing {
    /// Five fields of cron, or a word like `@daily`.
    pub schedule: String,
    /// IANA time zone of the schedule.
    pub time_zone: String,
    /// Whether no runs start.
    pub is_suspended: bool,
    /// When the next run starts; none when none is planned.
    pub next_run: Option<Timestamp>,
}

/// What storage knows of a feed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FeedState {
    /// The uid of its first object.
    pub id: Uuid,
    /// The hash of its search.
    pub search: String,
    /// Counts its searches, from 1.
    pub seen_set: i32,
    /// How many items it ever had, also those that were removed for their age: the highest position.
    pub items: i64,
    /// How far its search is complete.
    pub progress: Progress,
    /// What becomes of the first papers.
    pub initial_items: InitialItems,
    /// The last run of any search; none before the first.
    pub last_run: Option<LastRun>,
    /// When the last complete run of this search was recorded.
    pub last_complete_run: Option<Timestamp>,
}

/// What came of the last run of a feed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LastRun {
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// How complete it was.
    pub outcome: Outcome,
    /// How many items it added.
    pub new_items: i32,
}

impl FeedState {
    /// Whether the last run was complete, and none of another search.
    pub fn is_complete(&self) -> bool {
        self.last_run.is_some_and(|run| run.outcome == Outcome::Complete)
    }

    /// What the next run has to search for, so that no paper is left out.
    pub fn next_run(&self, max_results: u32, lookback: std::time::Duration, now: Timestamp) -> NextRun {
        let skips = self.initial_items == InitialItems::Skip;
        self.progress.next_run(skips, max_results, lookback, now)
    }
}

/// A run, as part of its [`Record`](crate::Record): a search sorted by the last update, newest first.
#[derive(Clone, Copy, Debug)]
pub struct FeedRun<'a> {
    /// The uid of the object of its feed. The feed has to be in the namespace of the run.
    pub feed: Uuid,
    /// Hashes that the feed's search has if this is a run of it.
    pub searches: &'a [String],
    /// How many results were passed over.
    pub start: u32,
    /// How many were looked at, at most.
    pub max_results: u32,
    /// The papers are those that were last updated at this time or later.
    pub updated_after: Option<Timestamp>,
    /// The papers are those whose first version is of this time or earlier.
    pub submitted_before: Option<Timestamp>,
    /// Why there are no more results.
    pub end: RunEnd,
}

/// The feeds in the database of `results`, for the user `arxiv_rw`.
#[derive(Clone, Debug)]
pub struct Feeds {
    pool: Pool,
}

impl Feeds {
    /// The feeds in the database of `results`.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }
}

/// Words of a column, and their meanings.
macro_rules! words {
    ($type:ty: $($word:literal = $value:path),+) => {
        impl $type {
            /// The word in the tables.
            pub(crate) fn word(self) -> &'static str {
                match self { $($value => $word),+ }
            }

            pub(crate) fn of_word(word: &str) -> Result<Self, $crate::StorageError> {
                match word {
                    $($word => Ok($value),)+
                    _ => Err($crate::StorageError::Unreadable),
                }
            }
        }
    };
}
words!(InitialItems: "Include" = Self::Include, "Skip" = Self::Skip);
words!(Revisions: "Include" = Self::Include, "Ignore" = Self::Ignore);
words!(Outcome: "Complete" = Self::Complete, "Incomplete" = Self::Incomplete, "OtherSearch" = Self::OtherSearch);
