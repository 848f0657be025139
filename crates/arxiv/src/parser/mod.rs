//! A streaming parser from the bytes of an Atom document to a [`Feed`].
//!
//! 1. [`splitter`] cuts the bytes into the document's entries and its outline, which is all that is around them. It needs no
//!    well-formed entry for that, so that one broken entry does not cost the others.
//! 2. [`entry`] parses each entry on its own, if need be after [`repair`]. What cannot be read is dropped, and the feed says so.
//! 3. [`outline`] parses the rest when the document has ended: if it breaks off, its first part is not used either.
//!
//! No more than one entry is in memory at a time, besides what is kept of the others.

mod element;
mod entry;
mod outline;
mod repair;
mod splitter;

use std::io;

use quick_xml::errors::Error as XmlError;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use self::splitter::{Piece, Splitter};
use crate::Feed;

/// The most defects that a feed lists.
const MAX_DEFECTS: usize = 20;
/// The part of an unexpected text that is kept to recognise it, in characters.
const EXCERPT: usize = 300;

/// Why a document is not accepted as a feed. The text completes "arXiv's answer …" and is fit for users.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Reading the body failed.
    #[error("broke off")]
    Read(#[source] io::Error),
    /// The document is not XML, or not as it should be.
    #[error("is not well-formed")]
    Syntax(#[source] XmlError),
    /// As [`Self::Syntax`], for errors that this parser finds itself.
    #[error("is not well-formed: {0}")]
    Malformed(&'static str),
    /// It is not an XML document, but a text that begins like this.
    #[error("is not a feed")]
    PlainText(String),
    /// It is some other document.
    #[error("is not a feed")]
    NotAFeed,
    /// It has a document type declaration, which no feed of arXiv's has.
    #[error("has a document type declaration")]
    Doctype,
    /// It, or something in it, exceeds a limit.
    #[error("is too large")]
    TooLarge,
    /// The total number of results is missing, or is not a number.
    #[error("does not say how many results there are")]
    Total,
    /// It has entries, and none of them can be read; why the first one cannot.
    #[error("has no readable entry: {0}")]
    Unreadable(String),
    /// A feed that reports an error, with arXiv's words for it.
    #[error("is an error: {0}")]
    Reported(String),
}

impl From<XmlError> for FeedError {
    fn from(error: XmlError) -> Self {
        Self::Syntax(error)
    }
}

/// Reads a feed of at most `max_body` bytes; of its entries the first `wanted` are read.
pub async fn parse<R: AsyncBufRead + Unpin>(
    mut body: R,
    max_body: usize,
    wanted: usize,
) -> Result<Feed, FeedError> {
    let mut splitter = Splitter::default();
    let mut feed = Feed::default();
    let mut read: usize = 0;
    loop {
        let chunk = body.fill_buf().await.map_err(|error| match error.kind() {
            // Of a decoder; the connection's errors have other kinds.
            io::ErrorKind::InvalidData => FeedError::Malformed("its compression is broken"),
            _ => FeedError::Read(error),
        })?;
        let length = chunk.len();
        if length == 0 {
            break;
        }
        read = read.saturating_add(length);
        if read > max_body {
            return Err(FeedError::TooLarge);
        }
        splitter.push(chunk);
        body.consume(length);
        loop {
            match splitter.next() {
                Ok(Some(piece)) => add(&mut feed, wanted, &splitter, &piece)?,
                Ok(None) => break,
                Err(too_large) => {
                    // Another kind of document, if its beginning says so.
                    return Err(match outline::parse(splitter.outline()) {
                        Err(error @ (FeedError::PlainText(_) | FeedError::Doctype)) => error,
                        Err(FeedError::NotAFeed) if splitter.root().has_come() => FeedError::NotAFeed,
                        _ => too_large,
                    });
                }
            }
        }
    }
    let outline = outline::parse(splitter.finish())?;
    feed.title = outline.title;
    feed.total = outline.total;
    match feed.defects.iter().find(|defect| defect.is_unreadable()) {
        Some(defect) if feed.entries.is_empty() => Err(FeedError::Unreadable(defect.to_string())),
        _ => Ok(feed),
    }
}

/// Adds an entry, or what is wrong with it; an error is one that the feed reports instead of results.
fn add(feed: &mut Feed, wanted: usize, splitter: &Splitter, piece: &Piece) -> Result<(), FeedError> {
    let index = feed.entries.len().saturating_add(feed.dropped);
    if index >= wanted {
        return Ok(());
    }
    let place = u32::try_from(index).unwrap_or(u32::MAX);
    let defect = match entry::parse(splitter.root(), piece, place) {
        entry::Parsed::Entry(entry, defect) => {
            feed.entries.push(*entry);
            defect
        }
        entry::Parsed::Dropped(defect) => {
            feed.dropped = feed.dropped.saturating_add(1);
            Some(defect)
        }
        // An element of another namespace, which only has the name.
        entry::Parsed::Other => None,
        entry::Parsed::Error(reason) => return Err(FeedError::Reported(reason)),
    };
    if feed.defects.len() < MAX_DEFECTS {
        feed.defects.extend(defect);
    }
    Ok(())
}

fn excerpt(text: &str) -> String {
    let shown = text.trim().chars().filter(|c| !c.is_control());
    shown.take(EXCERPT).collect()
}

#[cfg(test)]
mod tests;
