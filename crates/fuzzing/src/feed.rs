//! The Atom parser.

use std::fmt::Write;
use std::io;

use arxiv::{Feed, parse_feed};
use futures::{executor::block_on, stream};
use tokio_util::io::StreamReader;

/// Small, so that inputs reach it.
const MAX_BODY: usize = 32 * 1024;
/// The longest text that the parser keeps.
const MAX_TEXT: usize = 64 * 1024;

/// A body of arXiv's, which may be any bytes: it is a feed or an error, the same one however its bytes come,
/// within limits, and it is the same feed when it is written and parsed again.
pub fn feed(document: &[u8]) {
    // Never none: what is not kept is not compared.
    let wanted = 1 + document.len() % 4;
    let whole = parse(document, usize::MAX, wanted);
    let in_pieces = parse(document, 1 + document.len() % 17, wanted);
    assert_eq!(
        whole.as_ref().ok(),
        in_pieces.as_ref().ok(),
        "depends on how it comes"
    );
    match whole {
        Err(text) => {
            assert!(!text.chars().any(char::is_control), "{text:?}");
            assert!(text.len() < 2000, "{text:?}");
        }
        Ok(feed) => {
            assert!(document.len() <= MAX_BODY && feed.entries.len() <= wanted);
            for text in texts(&feed) {
                assert!(text.len() <= MAX_TEXT);
                assert!(
                    !text
                        .chars()
                        .any(|c| matches!(c, '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}')),
                    "{text:?}"
                );
                assert!(
                    !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  "),
                    "{text:?}"
                );
            }
            assert!(feed.entries.iter().all(|entry| !entry.id.paper.is_empty()));
            let written = write(&feed);
            let read = block_on(parse_feed(written.as_bytes(), usize::MAX, wanted));
            let without_defects = Feed {
                dropped: 0,
                defects: Vec::new(),
                ..feed
            };
            assert_eq!(read.ok(), Some(without_defects), "{written}");
        }
    }
}

/// The feed, or the text of the error.
fn parse(document: &[u8], chunk: usize, wanted: usize) -> Result<Feed, String> {
    let chunks = document.chunks(chunk).map(Ok::<_, io::Error>);
    let body = StreamReader::new(stream::iter(chunks));
    block_on(parse_feed(body, MAX_BODY, wanted)).map_err(|error| error.to_string())
}

fn texts(feed: &Feed) -> impl Iterator<Item = &str> {
    let of_entries = feed.entries.iter().flat_map(|entry| {
        let of_authors = entry
            .authors
            .iter()
            .flat_map(|author| std::iter::once(&author.name).chain(&author.affiliations));
        let of_links = entry
            .links
            .iter()
            .flat_map(|link| [&link.href, &link.rel, &link.title]);
        let optional = [&entry.comment, &entry.journal, &entry.doi].into_iter().flatten();
        let of_entry = [&entry.id.paper, &entry.title, &entry.abstract_text].into_iter();
        of_entry
            .chain(of_authors)
            .chain(of_links)
            .chain(optional)
            .chain(&entry.categories)
    });
    std::iter::once(&feed.title).chain(of_entries).map(String::as_str)
}

/// The feed as a document.
fn write(feed: &Feed) -> String {
    let mut out = format!(
        "<feed xmlns='http://www.w3.org/2005/Atom' xmlns:o='http://a9.com/-/spec/opensearch/1.1/' \
         xmlns:x='http://arxiv.org/schemas/atom'><title>{}</title><o:totalResults>{}</o:totalResults>",
        escaped(&feed.title),
        feed.total
    );
    for entry in &feed.entries {
        let (id, title) = (escaped(&entry.id.to_string()), escaped(&entry.title));
        let summary = escaped(&entry.abstract_text);
        write!(
            out,
            "<entry><id>{id}</id><title>{title}</title><summary>{summary}</summary>"
        )
        .unwrap();
        for author in &entry.authors {
            write!(out, "<author><name>{}</name>", escaped(&author.name)).unwrap();
            for text in &author.affiliations {
                write!(out, "<x:affiliation>{}</x:affiliation>", escaped(text)).unwrap();
            }
            out.push_str("</author>");
        }
        for (name, text) in [
            ("comment", &entry.comment),
            ("journal_ref", &entry.journal),
            ("doi", &entry.doi),
        ] {
            if let Some(text) = text {
                write!(out, "<x:{name}>{}</x:{name}>", escaped(text)).unwrap();
            }
        }
        for (name, time) in [("published", entry.published), ("updated", entry.updated)] {
            if let Some(time) = time {
                write!(out, "<{name}>{time}</{name}>").unwrap();
            }
        }
        for link in &entry.links {
            let (href, rel, title) = (escaped(&link.href), escaped(&link.rel), escaped(&link.title));
            write!(out, "<link href=\"{href}\" rel=\"{rel}\" title=\"{title}\"/>").unwrap();
        }
        for category in &entry.categories {
            write!(out, "<category term=\"{}\"/>", escaped(category)).unwrap();
        }
        out.push_str("</entry>");
    }
    out + "</feed>"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
