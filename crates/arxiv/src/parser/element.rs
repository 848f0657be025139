//! The elements of a feed that matter, recognised by namespace and name, whatever their prefixes.

use atom::{ARXIV, ATOM};
use quick_xml::events::BytesStart;
use quick_xml::name::{Namespace, NamespaceResolver, ResolveResult};

use super::FeedError;

/// That of the numbers of a result set.
pub(super) const OPENSEARCH: &str = "http://a9.com/-/spec/opensearch/1.1/";

/// arXiv's feeds are four elements deep.
pub(super) const MAX_DEPTH: usize = 32;

/// An element by its place in a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Feed,
    FeedTitle,
    Total,
    Entry,
    Id,
    Title,
    Summary,
    Published,
    Updated,
    Author,
    Name,
    Affiliation,
    Comment,
    Journal,
    Doi,
    Category,
    PrimaryCategory,
    Link,
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
            (Self::Entry, ATOM, "published") => Self::Published,
            (Self::Entry, ATOM, "updated") => Self::Updated,
            (Self::Entry, ATOM, "author") => Self::Author,
            (Self::Author, ATOM, "name") => Self::Name,
            (Self::Author, ARXIV, "affiliation") => Self::Affiliation,
            (Self::Entry, ARXIV, "comment") => Self::Comment,
            (Self::Entry, ARXIV, "journal_ref") => Self::Journal,
            (Self::Entry, ARXIV, "doi") => Self::Doi,
            (Self::Entry, ATOM, "category") => Self::Category,
            (Self::Entry, ARXIV, "primary_category") => Self::PrimaryCategory,
            (Self::Entry, ATOM, "link") => Self::Link,
            _ => Self::Other,
        }
    }

    /// Whether its text is read.
    pub(super) fn has_text(self) -> bool {
        !matches!(
            self,
            Self::Feed
                | Self::Entry
                | Self::Author
                | Self::Category
                | Self::PrimaryCategory
                | Self::Link
                | Self::Other
        )
    }
}

/// The elements that are open, the innermost one last.
#[derive(Default)]
pub(super) struct ElementPath {
    open: Vec<Element>,
    root_seen: bool,
}

impl ElementPath {
    /// Enters an element.
    pub(super) fn open(
        &mut self,
        tag: &BytesStart<'_>,
        resolver: &NamespaceResolver,
    ) -> Result<Element, FeedError> {
        let (namespace, name) = resolver.resolve_element(tag.name());
        let namespace = match namespace {
            ResolveResult::Bound(Namespace(uri)) => uri,
            ResolveResult::Unbound => "",
            ResolveResult::Unknown(_) => return Err(FeedError::Malformed("unknown prefix")),
        };
        if self.open.len() == MAX_DEPTH {
            return Err(FeedError::TooLarge);
        }
        let element = match self.open.last() {
            Some(parent) => Element::within(*parent, namespace, name.as_ref()),
            None if self.root_seen => return Err(FeedError::Malformed("more than one document")),
            None if (namespace, name.as_ref()) == (ATOM, "feed") => Element::Feed,
            None => return Err(FeedError::NotAFeed),
        };
        self.root_seen = true;
        self.open.push(element);
        Ok(element)
    }

    /// Leaves the innermost element. The XML reader checks that tags are in pairs, so there is always one.
    pub(super) fn close(&mut self) -> Option<Element> {
        self.open.pop()
    }

    /// The innermost element.
    pub(super) fn innermost(&self) -> Option<Element> {
        self.open.last().copied()
    }

    /// Whether the document's first tag has come.
    pub(super) fn root_seen(&self) -> bool {
        self.root_seen
    }
}
