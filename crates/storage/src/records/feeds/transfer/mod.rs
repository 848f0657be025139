//! The state of a feed as lines of text, to move it to another database: what it is and how far it is complete, its items with their
//! papers, and what it has seen. The rows of its runs are not part of it.

mod export;
mod import;

use std::io;

use jiff::Timestamp;
use paper::{PaperId, PaperVersion};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::import::{Import, Place};
use super::{FeedState, Revisions};
use crate::StorageError;

/// Of the form of the lines. One that is higher is of a later version of the program.
pub const FORMAT: u32 = 1;

/// One line of an exported feed: first the feed, then its items, then what it has seen, then the end.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// What the feed is.
    Feed(Box<ExportedFeed>),
    /// An item. They come in the order of their versions.
    Item(Box<ExportedItem>),
    /// A version that the present search has seen.
    Seen(PaperId),
    /// How many lines there were of each: a file without it is not complete.
    End(Counts),
}

/// A feed without its items.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ExportedFeed {
    /// [`FORMAT`].
    pub format: u32,
    /// The namespace of its object.
    pub namespace: String,
    /// The name of its object.
    pub name: String,
    /// The search, for people.
    pub title: String,
    /// What becomes of new versions.
    pub revisions: Revisions,
    /// After how many days items are removed; never when none.
    pub retention_days: Option<i32>,
    /// How far it is.
    pub state: FeedState,
}

/// An item with its paper.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ExportedItem {
    /// Its position.
    pub position: i64,
    /// Which of the feed's searches found it.
    pub seen_set: i32,
    /// The uid of the ArxivQuery that found it.
    pub run: Uuid,
    /// When that was recorded.
    pub recorded_at: Timestamp,
    /// When arXiv said what the paper is.
    pub fetched_at: Timestamp,
    /// The version.
    pub paper: PaperVersion,
}

/// Numbers of lines.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// Of items.
    pub items: u64,
    /// Of versions that were seen.
    pub seen: u64,
}

/// Why a feed was not exported or imported. Nothing of it was written to the database.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Where it is written to.
    #[error("the feed cannot be written")]
    Write(#[from] io::Error),
    /// There is none to export.
    #[error("there is no feed {name} of the namespace {namespace} in this database")]
    NoFeed {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// The lines are of a later version of the program.
    #[error(
        "the file has the format {0}, which a later version of this program writes; this one reads up to {FORMAT}"
    )]
    Format(u32),
    /// They are not those of one whole feed.
    #[error("the file is not that of one whole feed: {0}")]
    Broken(&'static str),
    /// The feed of this database goes on.
    #[error(
        "an object uses this feed here: it goes on where it is. Delete the ArxivFeed and wait until the operator has noticed (a minute)"
    )]
    InUse,
    /// Another feed of this database has the name.
    #[error(
        "another feed has the name {name} in the namespace {namespace} here. Delete that ArxivFeed and wait until the operator has \
         noticed (a minute), or choose another name"
    )]
    NameInUse {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// This database has more of the feed.
    #[error(
        "this database is ahead: it has had {here} items and {searches_here} searches of the feed, the file {there} and {searches_there}"
    )]
    Ahead {
        /// Items here.
        here: i64,
        /// Searches here.
        searches_here: i32,
        /// Items of the file.
        there: i64,
        /// Searches of the file.
        searches_there: i32,
    },
    /// This database has another item at the position of one of the file's.
    #[error("this database has other items of the feed: it went on in both places since it was exported")]
    Differs,
}
