//! A streaming parser from the bytes of an Atom document to a [`Feed`].
//!
//! Elements are recognised by namespace and name, whatever their prefixes. Elements that are not needed are
//! skipped, but the document is read to its end: if it breaks off later, its first part is not used either.

use std::io;

use quick_xml::XmlVersion;
use quick_xml::errors::Error as XmlError;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;
use tokio::io::{AsyncBufRead, AsyncReadExt};

use crate::{Entry, Feed};

const ATOM: &str = "http://www.w3.org/2005/Atom";
const OPENSEARCH: &str = "http://a9.com/-/spec/opensearch/1.1/";
const ARXIV: &str = "http://arxiv.org/schemas/atom";

/// The longest tag, comment or stretch of text, in bytes. An abstract has at most 2 KiB.
const MAX_PIECE: usize = 1024 * 1024;
/// The longest text that is stored, in bytes. The longest title is below 1 KiB.
const MAX_TEXT: usize = 64 * 1024;
/// A paper has at most some ten.
const MAX_CATEGORIES: usize = 64;
/// arXiv's feeds are four elements deep.
const MAX_DEPTH: usize = 32;
/// The longest list of authors has some 15,000 names.
const MAX_AUTHORS: usize = 50_000;
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
    /// A feed that reports an error, with arXiv's words for it.
    #[error("is an error: {0}")]
    Reported(String),
}

impl From<XmlError> for FeedError {
    fn from(error: XmlError) -> Self {
        match error {
            XmlError::Io(error) => Self::Read(io::Error::new(error.kind(), error)),
            error => Self::Syntax(error),
        }
    }
}

/// Reads a feed of at most `max_body` bytes; of its entries the first `wanted` are kept.
pub async fn parse<R: AsyncBufRead + Unpin>(
    body: R,
    max_body: usize,
    wanted: usize,
) -> Result<Feed, FeedError> {
    // Each limit allows one byte more, so that it is used up only when it is exceeded.
    let body = body.take(max_body.saturating_add(1) as u64);
    let mut reader = NsReader::from_reader(body.take(0));
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    config.check_comments = true;
    let mut parser = Parser {
        wanted,
        ..Parser::default()
    };
    let mut buffer = Vec::new();
    loop {
        reader.get_mut().set_limit(MAX_PIECE as u64 + 1);
        buffer.clear();
        let event = reader.read_event_into_async(&mut buffer).await;
        if reader.get_ref().limit() == 0 || reader.get_ref().get_ref().limit() == 0 {
            return Err(FeedError::TooLarge);
        }
        let event = event?;
        match event {
            Event::Start(tag) => {
                let (namespace, name) = reader.resolver().resolve_element(tag.name());
                let namespace = match namespace {
                    ResolveResult::Bound(Namespace(uri)) => uri,
                    ResolveResult::Unbound => "",
                    ResolveResult::Unknown(_) => return Err(FeedError::Malformed("unknown prefix")),
                };
                parser.open(namespace, name.as_ref())?;
                if let Some(&element @ (Element::Category | Element::PrimaryCategory)) = parser.path.last() {
                    parser.category(&tag, element)?;
                }
            }
            Event::End(_) => parser.close()?,
            Event::Text(text) => parser.text(&text.xml10_content())?,
            Event::CData(text) if parser.path.is_empty() => {
                return Err(FeedError::PlainText(excerpt(&text.xml10_content())));
            }
            Event::CData(text) => parser.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => parser.reference(&reference)?,
            Event::Decl(declaration) => check_encoding(&declaration)?,
            Event::DocType(_) => return Err(FeedError::Doctype),
            Event::Comment(_) | Event::PI(_) | Event::Empty(_) => {}
            Event::Eof => return parser.finish(),
        }
    }
}

/// The body is always read as UTF-8; a document in another encoding would be misread.
fn check_encoding(declaration: &BytesDecl<'_>) -> Result<(), FeedError> {
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(name)) if ["utf-8", "utf8", "us-ascii"].contains(&name.to_ascii_lowercase().as_str()) => {
            Ok(())
        }
        Some(_) => Err(FeedError::Malformed("not in UTF-8")),
    }
}

/// The elements of a feed that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Feed,
    FeedTitle,
    Total,
    Entry,
    Id,
    Title,
    Summary,
    Author,
    Name,
    Journal,
    Category,
    PrimaryCategory,
    Other,
}

impl Element {
    fn within(parent: Self, namespace: &str, name: &str) -> Self {
        match (parent, namespace, name) {
            (Self::Feed, ATOM, "title") => Self::FeedTitle,
            (Self::Feed, OPENSEARCH, "totalResults") => Self::Total,
            (Self::Feed, ATOM, "entry") => Self::Entry,
            (Self::Entry, ATOM, "id") => Self::Id,
            (Self::Entry, ATOM, "title") => Self::Title,
            (Self::Entry, ATOM, "summary") => Self::Summary,
            (Self::Entry, ATOM, "author") => Self::Author,
            (Self::Author, ATOM, "name") => Self::Name,
            (Self::Entry, ARXIV, "journal_ref") => Self::Journal,
            (Self::Entry, ATOM, "category") => Self::Category,
            (Self::Entry, ARXIV, "primary_category") => Self::PrimaryCategory,
            _ => Self::Other,
        }
    }

    fn has_text(self) -> bool {
        !matches!(
            self,
            Self::Feed | Self::Entry | Self::Author | Self::Category | Self::PrimaryCategory | Self::Other
        )
    }
}

#[derive(Default)]
struct Parser {
    wanted: usize,
    path: Vec<Element>,
    root_seen: bool,
    /// The text so far of the element at the path's end, if it [has one](Element::has_text).
    text: String,
    title: String,
    total: Option<u32>,
    entries: Vec<Entry>,
    /// The entry that is open, and its summary.
    entry: Entry,
    summary: String,
}

impl Parser {
    fn open(&mut self, namespace: &str, name: &str) -> Result<(), FeedError> {
        if self.path.len() == MAX_DEPTH {
            return Err(FeedError::TooLarge);
        }
        let element = match self.path.last() {
            Some(parent) => Element::within(*parent, namespace, name),
            None if self.root_seen => return Err(FeedError::Malformed("more than one document")),
            None if (namespace, name) == (ATOM, "feed") => Element::Feed,
            None => return Err(FeedError::NotAFeed),
        };
        self.root_seen = true;
        if element == Element::Entry {
            (self.entry, self.summary) = Default::default();
        }
        if element.has_text() {
            self.text.clear();
        }
        self.path.push(element);
        Ok(())
    }

    /// Stores the `term` of a category; the primary one, which is among the others too, comes first.
    fn category(&mut self, tag: &BytesStart<'_>, element: Element) -> Result<(), FeedError> {
        let Some(term) = tag.try_get_attribute("term").map_err(XmlError::from)? else {
            return Ok(());
        };
        let term = term.normalized_value(XmlVersion::Explicit1_0)?;
        let categories = &mut self.entry.categories;
        // A term that is not a plain word is not arXiv's.
        let is_plain = !term.is_empty() && term.bytes().all(|b| b.is_ascii_graphic());
        if is_plain && categories.len() < MAX_CATEGORIES && !categories.iter().any(|known| *known == term) {
            categories.push(term.to_string());
        }
        if element == Element::PrimaryCategory
            && let Some(at) = categories.iter().position(|known| *known == term)
        {
            categories[..=at].rotate_right(1);
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), FeedError> {
        match self.path.last() {
            Some(element) if element.has_text() => {
                if self.text.len() + text.len() > MAX_TEXT {
                    return Err(FeedError::TooLarge);
                }
                if !text.chars().all(is_xml_char) {
                    return Err(FeedError::Malformed("forbidden character"));
                }
                self.text.push_str(text);
                Ok(())
            }
            Some(_) => Ok(()),
            None if text.trim().is_empty() => Ok(()),
            None if self.root_seen => Err(FeedError::Malformed("text after the document")),
            None => Err(FeedError::PlainText(excerpt(text))),
        }
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), FeedError> {
        if let Some(character) = reference.resolve_char_ref()? {
            return self.text(character.encode_utf8(&mut [0; 4]));
        }
        match resolve_xml_entity(reference) {
            Some(text) => self.text(text),
            None => Err(FeedError::Malformed("unknown entity")),
        }
    }

    fn close(&mut self) -> Result<(), FeedError> {
        // The XML reader checks that tags are in pairs, so there is always one.
        let Some(element) = self.path.pop() else {
            return Ok(());
        };
        match element {
            Element::Feed
            | Element::Author
            | Element::Category
            | Element::PrimaryCategory
            | Element::Other => {}
            Element::FeedTitle => self.title = self.take_text(),
            Element::Total => self.total = Some(self.take_text().parse().map_err(|_| FeedError::Total)?),
            Element::Entry => self.close_entry()?,
            Element::Id => self.entry.id = self.take_text(),
            Element::Title => self.entry.title = self.take_text(),
            Element::Summary => self.summary = self.take_text(),
            Element::Name => {
                if self.entry.authors.len() == MAX_AUTHORS {
                    return Err(FeedError::TooLarge);
                }
                let name = self.take_text();
                if !name.is_empty() {
                    self.entry.authors.push(name);
                }
            }
            Element::Journal => self.entry.journal = Some(self.take_text()).filter(|text| !text.is_empty()),
        }
        Ok(())
    }

    fn close_entry(&mut self) -> Result<(), FeedError> {
        let entry = std::mem::take(&mut self.entry);
        // An error has an identifier like https://arxiv.org/api/errors#…; a paper may well be titled "Error".
        if entry.id.contains("/api/errors") || (entry.title == "Error" && !entry.id.contains("/abs/")) {
            let reason = Some(excerpt(&self.summary)).filter(|reason| !reason.is_empty());
            return Err(FeedError::Reported(
                reason.unwrap_or_else(|| "no reason given".to_owned()),
            ));
        }
        if self.entries.len() < self.wanted {
            self.entries.push(entry);
        }
        Ok(())
    }

    /// The current text with each run of white space as one space.
    fn take_text(&mut self) -> String {
        let words: Vec<_> = self.text.split_whitespace().collect();
        let text = words.join(" ");
        self.text.clear();
        text
    }

    fn finish(self) -> Result<Feed, FeedError> {
        if !self.root_seen {
            return Err(FeedError::NotAFeed);
        }
        if !self.path.is_empty() {
            return Err(FeedError::Malformed("the end is missing"));
        }
        let total = self.total.ok_or(FeedError::Total)?;
        Ok(Feed {
            title: self.title,
            total,
            entries: self.entries,
        })
    }
}

/// The characters of XML 1.0; the XML reader accepts others, and a database may refuse them.
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{FFFD}' | '\u{10000}'..)
}

fn excerpt(text: &str) -> String {
    text.trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(EXCERPT)
        .collect()
}

#[cfg(test)]
mod tests;
