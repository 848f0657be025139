//! Papers as a feed that readers subscribe to: Atom (RFC 4287), RSS 2.0, and JSON Feed 1.1. No I/O.

mod atom;
mod json_feed;
mod rss;
mod xml;

use std::fmt::Display;

use jiff::Timestamp;
use paper::{PaperId, PaperVersion, single_spaced};

pub use self::{atom::atom, json_feed::json_feed, rss::rss};

/// What identifiers of feeds and items begin with (RFC 4151).
const TAG: &str = "tag:arxiv-operator.dev,2026:feeds";

/// The identifier of the feed with this uid.
pub fn feed_id(feed: impl Display) -> String {
    format!("{TAG}/{feed}")
}

/// The identifier of an item: of the version that a feed's search found, of which the feed has had so many. Not of its position: a
/// database that was restored to an earlier time gives positions again, and the same version has the same identifier.
pub fn item_id(feed: impl Display, search: i32, version: &PaperId) -> String {
    format!("{TAG}/{feed}/{search}/{version}")
}

/// A list of papers, the newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed<'a> {
    /// A URI that is the feed's for ever.
    pub id: String,
    /// For people.
    pub title: String,
    /// What it is about, for people.
    pub description: String,
    /// Where the feed in this format is.
    pub address: String,
    /// A page for people.
    pub home: String,
    /// Where the items after these are, if there are more.
    pub next: Option<String>,
    /// When it last changed.
    pub updated: Timestamp,
    /// The papers.
    pub items: Vec<Item<'a>>,
}

/// A paper in a feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<'a> {
    /// A URI that is the item's for ever: readers take an item with another one for new.
    pub id: String,
    /// When it became an item.
    pub added: Timestamp,
    /// Its metadata at arXiv.
    pub paper: &'a PaperVersion,
}

impl Item<'_> {
    /// The page of the version's abstract.
    fn abstract_page(&self) -> String {
        format!("https://arxiv.org/abs/{}", self.paper.id)
    }

    fn pdf(&self) -> String {
        format!("https://arxiv.org/pdf/{}", self.paper.id)
    }

    /// The title in one line; the identifier of a paper without one, as readers show nothing else in their lists.
    fn title(&self) -> String {
        let title = single_spaced(&self.paper.title);
        if title.is_empty() {
            self.paper.id.to_string()
        } else {
            title
        }
    }

    /// The names that are not empty.
    fn authors(&self) -> impl Iterator<Item = &str> {
        let names = self.paper.authors.iter().map(|author| author.name.as_str());
        names.filter(|name| !name.is_empty())
    }

    fn categories(&self) -> impl Iterator<Item = &str> {
        let categories = self.paper.categories.iter().map(String::as_str);
        categories.filter(|category| !category.is_empty())
    }

    /// When this version was submitted.
    fn updated(&self) -> Timestamp {
        self.paper
            .updated
            .and_then(::atom::expressible)
            .unwrap_or(self.added)
    }

    /// When the first one was.
    fn published(&self) -> Timestamp {
        let published = self.paper.published.and_then(::atom::expressible);
        published.unwrap_or_else(|| self.updated())
    }
}
