//! Parses one entry of a feed.

use atom::is_xml_char;
use paper::{Author, Link, PaperId, PaperVersion, single_spaced};
use quick_xml::XmlVersion;
use quick_xml::errors::Error as XmlError;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::NsReader;

use super::element::{Element, ElementPath};
use super::repair::{printable, repaired};
use super::splitter::{Piece, Root};
use super::{FeedError, excerpt};
use crate::feed::{Defect, DefectKind};

/// The longest text that is kept, in bytes. An abstract has at most 2 KiB, the longest title is below 1 KiB.
pub(super) const MAX_TEXT: usize = 64 * 1024;
/// A paper has at most some ten.
const MAX_CATEGORIES: usize = 64;
/// The longest list of authors has some 15,000 names.
pub(super) const MAX_AUTHORS: usize = 50_000;
/// An author has few.
const MAX_AFFILIATIONS: usize = 64;
/// A paper has three or four.
const MAX_LINKS: usize = 16;

/// What an entry is.
pub(super) enum Parsed {
    /// A paper, and what had to be repaired.
    Entry(Box<PaperVersion>, Option<Defect>),
    /// One that cannot be read, or names no paper.
    Dropped(Defect),
    /// No entry of Atom's.
    Other,
    /// arXiv's words for an error.
    Error(String),
}

/// Parses the entry at this place, from 0, with the namespaces that the document's first tag declares.
pub(super) fn parse(root: &Root, piece: &Piece, index: u32) -> Parsed {
    let (tag, _) = printable(&root.tag);
    let (text, was_printable) = printable(&piece.bytes);
    let document = |entry: &str| format!("{tag}{entry}{}", root.end_tag());
    let strict = if piece.is_cut {
        Err(FeedError::TooLarge)
    } else {
        read(&document(&text))
    };
    let (result, is_repaired) = match strict {
        Err(error) if !piece.is_cut => match read(&document(&repaired(&text))) {
            Ok(entry) => (Ok(entry), true),
            Err(_) => (Err(error), true),
        },
        result => (result, !was_printable),
    };
    let defect = |id: &str, kind| Defect {
        index,
        id: excerpt(&PaperId::of_entry(id).to_string()),
        kind,
    };
    let (id, entry) = match result {
        Ok(Some(entry)) => entry,
        Ok(None) => return Parsed::Other,
        Err(error) => {
            let id = id_in(&text);
            return Parsed::Dropped(defect(id, DefectKind::Unreadable(error.to_string())));
        }
    };
    // An error has an identifier like https://arxiv.org/api/errors#…; a paper may well be titled "Error".
    if id.contains("/api/errors") || (entry.title == "Error" && !id.contains("/abs/")) {
        let reason = excerpt(&entry.abstract_text);
        return Parsed::Error(if reason.is_empty() {
            "no reason given".to_owned()
        } else {
            reason
        });
    }
    if entry.id.paper.is_empty() {
        return Parsed::Dropped(defect("", DefectKind::NoId));
    }
    let repaired = is_repaired.then(|| defect(&id, DefectKind::Repaired));
    Parsed::Entry(Box::new(entry), repaired)
}

/// The identifier in the text of an entry that cannot be read, for people.
fn id_in(text: &str) -> &str {
    let after = text.split_once("<id>").map_or("", |(_, after)| after);
    after.split('<').next().unwrap_or_default().trim()
}

/// The entry of a document that has one, after its identifier as it is written; none if it is of another namespace.
fn read(document: &str) -> Result<Option<(String, PaperVersion)>, FeedError> {
    let mut reader = NsReader::from_str(document);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    config.check_comments = true;
    let mut parser = Parser::default();
    loop {
        match reader.read_event()? {
            Event::Start(tag) => {
                let element = parser.path.open(&tag, reader.resolver());
                let element = match element {
                    // The document's first tag is not that of a feed, which its outline reports.
                    Err(FeedError::NotAFeed) => return Ok(None),
                    element => element?,
                };
                parser.start(element, &tag)?;
            }
            Event::End(_) => parser.end(),
            Event::Text(text) => parser.text(&text.xml10_content())?,
            Event::CData(text) => parser.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => match reference.resolve_char_ref()? {
                Some(character) => parser.text(character.encode_utf8(&mut [0; 4]))?,
                None => match resolve_xml_entity(&reference) {
                    Some(text) => parser.text(text)?,
                    None => return Err(FeedError::Malformed("unknown entity")),
                },
            },
            Event::DocType(_) => return Err(FeedError::Doctype),
            Event::Eof => return Ok(parser.is_entry.then_some((parser.id, parser.entry))),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::Empty(_) => {}
        }
    }
}

#[derive(Default)]
struct Parser {
    path: ElementPath,
    /// The text so far of the innermost element, if it [has one](Element::has_text).
    text: String,
    id: String,
    entry: PaperVersion,
    is_entry: bool,
}

impl Parser {
    fn start(&mut self, element: Element, tag: &BytesStart<'_>) -> Result<(), FeedError> {
        if element.has_text() {
            self.text.clear();
        }
        match element {
            Element::Entry => self.is_entry = true,
            Element::Author => {
                if self.entry.authors.len() == MAX_AUTHORS {
                    return Err(FeedError::TooLarge);
                }
                self.entry.authors.push(Author::default());
            }
            Element::Category | Element::PrimaryCategory => {
                self.category(&attribute(tag, "term")?, element);
            }
            Element::Link if self.entry.links.len() < MAX_LINKS => self.entry.links.push(Link {
                href: attribute(tag, "href")?,
                rel: attribute(tag, "rel")?,
                title: attribute(tag, "title")?,
            }),
            _ => {}
        }
        Ok(())
    }

    /// Stores the `term` of a category; the primary one, which is among the others too, comes first.
    fn category(&mut self, term: &str, element: Element) {
        let categories = &mut self.entry.categories;
        // A term that is not a plain word is not arXiv's.
        let is_plain = !term.is_empty() && term.bytes().all(|b| b.is_ascii_graphic());
        if is_plain && categories.len() < MAX_CATEGORIES && !categories.iter().any(|known| known == term) {
            categories.push(term.to_owned());
        }
        if element == Element::PrimaryCategory
            && let Some(at) = categories.iter().position(|known| known == term)
        {
            categories[..=at].rotate_right(1);
        }
    }

    fn text(&mut self, text: &str) -> Result<(), FeedError> {
        if !self.path.innermost().is_some_and(Element::has_text) {
            return Ok(());
        }
        if self.text.len() + text.len() > MAX_TEXT {
            return Err(FeedError::TooLarge);
        }
        if !text.chars().all(is_xml_char) {
            return Err(FeedError::Malformed("forbidden character"));
        }
        self.text.push_str(text);
        Ok(())
    }

    fn end(&mut self) {
        let Some(element) = self.path.close() else {
            return;
        };
        if !element.has_text() {
            // An author without a name is none.
            if element == Element::Author {
                self.entry.authors.pop_if(|author| author.name.is_empty());
            }
            return;
        }
        let text = single_spaced(&std::mem::take(&mut self.text));
        let entry = &mut self.entry;
        let optional = |text: String| Some(text).filter(|text| !text.is_empty());
        match element {
            Element::Id => {
                entry.id = PaperId::of_entry(&text);
                self.id = text;
            }
            Element::Title => entry.title = text,
            Element::Summary => entry.abstract_text = text,
            Element::Published => entry.published = text.parse().ok(),
            Element::Updated => entry.updated = text.parse().ok(),
            Element::Comment => entry.comment = optional(text),
            Element::Journal => entry.journal = optional(text),
            Element::Doi => entry.doi = optional(text),
            Element::Name => {
                if let Some(author) = entry.authors.last_mut() {
                    author.name = text;
                }
            }
            Element::Affiliation => {
                if let Some(author) = entry.authors.last_mut()
                    && author.affiliations.len() < MAX_AFFILIATIONS
                {
                    author.affiliations.extend(optional(text));
                }
            }
            _ => {}
        }
    }
}

/// An attribute's value, empty if there is none.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<String, FeedError> {
    let value = |attribute: Attribute<'_>| {
        attribute
            .normalized_value(XmlVersion::Explicit1_0)
            .map(|value| single_spaced(&value))
    };
    let found = tag.try_get_attribute(name).map_err(XmlError::from)?;
    let value = found.map(value).transpose()?.unwrap_or_default();
    if value.len() > MAX_TEXT {
        return Err(FeedError::TooLarge);
    }
    if !value.chars().all(is_xml_char) {
        return Err(FeedError::Malformed("forbidden character"));
    }
    Ok(value)
}
