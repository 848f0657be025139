//! arXiv's public API: a search becomes a URL, an Atom answer becomes a feed.
//!
//! Nothing here knows of Kubernetes or of a database. What the crate relies on is arXiv's user manual
//! (<https://info.arxiv.org/help/api/user-manual.html>) and the answers it is seen to give.
//!
//! - [`clause`] and [`paper::normalized_id`] turn what a user typed into the parts of a [`ValidatedSearch`].
//! - [`PageRequest`] is one page of a search, [`Client`] fetches it, [`Feed`] is what came back:
//!   [`paper::PaperVersion`]s.
//! - [`FetchError`] says what went wrong; its class says what to do next.

mod client;
mod day;
mod error;
mod exchange;
mod feed;
mod grammar;
mod headers;
mod parser;
mod request;

pub use client::{Client, ClientError, ClientSettings};
pub use day::arxiv_day;
pub use error::{FailureClass, FetchError};
pub use exchange::{Answer, ArrivedBy, Fetched, PendingRequest};
pub use feed::{Defect, DefectKind, Feed, query_in_title};
pub use grammar::clause;
pub use headers::RedirectError;
pub use parser::{FeedError, parse as parse_feed};
pub use request::{MAX_PAGE, PageRequest, ValidatedSearch, display_query};
