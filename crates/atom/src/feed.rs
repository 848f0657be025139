//! What is around the entries.

use std::io::{self, Write};

use jiff::{Timestamp, Unit, tz::TimeZone};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesStart, Event},
};

use crate::{
    ARXIV, ATOM,
    text::{address, element},
};

/// What comes after the last entry.
pub const TAIL: &str = "</feed>\n";

/// What a feed says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Feed {
    /// Its permanent identifier, an address or an [`urn`](crate::urn).
    pub id: String,
    /// Its title.
    pub title: String,
    /// What it is about, if it says so.
    pub subtitle: Option<String>,
    /// When an entry changed last.
    pub updated: Timestamp,
    /// Relations (`self`, `next`, `alternate`) and their addresses.
    pub links: Vec<(&'static str, String)>,
}

/// The document up to its first entry.
pub fn head(feed: &Feed) -> io::Result<String> {
    let mut xml = Writer::new(Vec::new());
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.get_mut().write_all(b"\n")?;
    let start = BytesStart::new("feed").with_attributes([("xmlns", ATOM), ("xmlns:arxiv", ARXIV)]);
    xml.write_event(Event::Start(start))?;
    xml.get_mut().write_all(b"\n")?;
    element(&mut xml, "id", &feed.id)?;
    element(&mut xml, "title", &feed.title)?;
    if let Some(subtitle) = &feed.subtitle {
        element(&mut xml, "subtitle", subtitle)?;
    }
    element(&mut xml, "updated", &time(feed.updated))?;
    // It is that of entries that name none, which Atom does not allow otherwise.
    xml.create_element("author")
        .write_inner_content(|xml| element(xml, "name", "arXiv"))?;
    for (rel, href) in &feed.links {
        let href = address(href);
        let link = xml.create_element("link").with_attribute(("rel", *rel));
        link.with_attribute(("href", href.as_str())).write_empty()?;
    }
    xml.get_mut().write_all(b"\n")?;
    String::from_utf8(xml.into_inner()).map_err(io::Error::other)
}

/// The time, if feeds can express it: from the year 1 on.
pub fn expressible(time: Timestamp) -> Option<Timestamp> {
    (time.to_zoned(TimeZone::UTC).year() >= 1).then_some(time)
}

/// A time as Atom has it, in whole seconds.
pub(crate) fn time(time: Timestamp) -> String {
    time.round(Unit::Second).unwrap_or(time).to_string()
}
