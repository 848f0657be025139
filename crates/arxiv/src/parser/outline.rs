//! Parses a feed without its entries: whether it is one, whether it is whole, and how many results there are.

use paper::single_spaced;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesDecl, Event};
use quick_xml::reader::NsReader;

use super::element::{Element, ElementPath};
use super::repair::{printable, with_references_repaired};
use super::{FeedError, excerpt};

/// What a feed says besides its entries.
#[derive(Debug)]
pub(super) struct Outline {
    pub(super) title: String,
    pub(super) total: u32,
}

/// Parses the outline, if need be after a repair of its texts.
pub(super) fn parse(bytes: &[u8]) -> Result<Outline, FeedError> {
    let (text, _) = printable(bytes);
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    read(text).or_else(|error| match error {
        FeedError::Syntax(_) | FeedError::Malformed(_) => {
            read(&with_references_repaired(text)).map_err(|_| error)
        }
        error => Err(error),
    })
}

fn read(text: &str) -> Result<Outline, FeedError> {
    let mut reader = NsReader::from_str(text);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    config.check_comments = true;
    let mut path = ElementPath::default();
    let mut text = String::new();
    let mut title = String::new();
    let mut total = None;
    loop {
        let more = match reader.read_event()? {
            Event::Start(tag) => {
                path.open(&tag, reader.resolver())?;
                text.clear();
                continue;
            }
            Event::End(_) => {
                match path.close() {
                    Some(Element::FeedTitle) => title = single_spaced(&text),
                    Some(Element::Total) => {
                        total = Some(text.trim().parse().map_err(|_| FeedError::Total)?);
                    }
                    _ => {}
                }
                continue;
            }
            Event::Text(more) => more.xml10_content().into_owned(),
            Event::CData(more) => more.xml10_content().into_owned(),
            Event::GeneralRef(reference) => match reference.resolve_char_ref()? {
                Some(character) => character.to_string(),
                None => match resolve_xml_entity(&reference) {
                    Some(text) => text.to_owned(),
                    None => return Err(FeedError::Malformed("unknown entity")),
                },
            },
            Event::Decl(declaration) => {
                check_encoding(&declaration)?;
                continue;
            }
            Event::DocType(_) => return Err(FeedError::Doctype),
            Event::Comment(_) | Event::PI(_) | Event::Empty(_) => continue,
            Event::Eof => break,
        };
        match path.innermost() {
            Some(element) if element.has_text() => text.push_str(&more),
            Some(_) => {}
            None if more.trim().is_empty() => {}
            None if path.root_seen() => return Err(FeedError::Malformed("text after the document")),
            None => return Err(FeedError::PlainText(excerpt(&more))),
        }
    }
    if !path.root_seen() {
        return Err(FeedError::NotAFeed);
    }
    if path.innermost().is_some() {
        return Err(FeedError::Malformed("the end is missing"));
    }
    Ok(Outline {
        title,
        total: total.ok_or(FeedError::Total)?,
    })
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
