//! Papers as an Atom feed: what it says of itself, for each list of papers.

use jiff::Timestamp;
use paper::PaperId;
use uuid::Uuid;

use crate::{
    error::ApiError,
    output::{
        body::{self, RowEncoder},
        format::Format,
    },
};

/// A list of papers, by what its feed is known again.
#[derive(Clone, Debug)]
pub(crate) enum FeedOf<'a> {
    /// Results that meet a filter, as a text that identifies it.
    Results(&'a str),
    /// What a query found, by its uid and name.
    Query(Uuid, &'a str),
    /// One paper.
    Paper(&'a PaperId),
    /// Papers that meet a filter in an order, as a text that identifies them; and the address of the next page.
    Papers(&'a str, Option<String>),
}

impl FeedOf<'_> {
    /// The encoder, with the head of this feed if the format has one; `updated` is when an entry changed last.
    pub(crate) fn begin<R>(
        &self,
        encoder: RowEncoder<R>,
        format: Format,
        updated: impl FnOnce() -> Timestamp,
    ) -> Result<RowEncoder<R>, ApiError> {
        if format != Format::Atom {
            return Ok(encoder);
        }
        let head = atom::head(&self.feed(updated())).map_err(body::of_chunk)?;
        Ok(encoder.after_head(head))
    }

    fn feed(&self, updated: Timestamp) -> atom::Feed {
        let (id, title, next) = match self {
            Self::Results(filter) => (atom::urn(&["results", filter]), "Results".to_owned(), None),
            Self::Query(uid, name) => (uid.urn().to_string(), format!("Results of {name}"), None),
            Self::Paper(id) => (atom::urn(&["paper", &id.to_string()]), id.to_string(), None),
            Self::Papers(list, next) => (atom::urn(&["papers", list]), "Papers".to_owned(), next.clone()),
        };
        let links = next.map(|next| ("next", next));
        atom::Feed {
            id,
            title,
            subtitle: None,
            updated,
            links: links.into_iter().collect(),
        }
    }
}

/// The last of these times.
pub(crate) fn last(times: impl IntoIterator<Item = Timestamp>) -> Timestamp {
    times.into_iter().max().unwrap_or(Timestamp::UNIX_EPOCH)
}
