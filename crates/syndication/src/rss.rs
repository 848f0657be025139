//! RSS 2.0 (<https://www.rssboard.org/rss-specification>), with the authors by Dublin Core, as arXiv's own feeds have them.

use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};

use crate::{Feed, Item, xml::Document};

const NAMESPACES: [(&str, &str); 3] = [
    ("version", "2.0"),
    ("xmlns:atom", "http://www.w3.org/2005/Atom"),
    ("xmlns:dc", "http://purl.org/dc/elements/1.1/"),
];

/// The feed as a document of `application/rss+xml`.
pub fn rss(feed: &Feed<'_>) -> String {
    let mut document = Document::new();
    document.element("rss", &NAMESPACES, |document| {
        document.element("channel", &[], |document| {
            document.text("title", &[], &feed.title);
            document.text("link", &[], &feed.home);
            document.text("description", &[], &feed.description);
            document.text("lastBuildDate", &[], &date(feed.updated));
            document.text("generator", &[], "arxiv-operator");
            let address = [
                ("rel", "self"),
                ("type", "application/rss+xml"),
                ("href", &*feed.address),
            ];
            document.empty("atom:link", &address);
            if let Some(next) = &feed.next {
                document.empty("atom:link", &[("rel", "next"), ("href", next)]);
            }
            for item in &feed.items {
                document.element("item", &[], |document| write(document, item));
            }
        });
    });
    document.finish()
}

fn write(document: &mut Document, item: &Item<'_>) {
    document.text("title", &[], &item.title());
    document.text("link", &[], &item.abstract_page());
    document.text("guid", &[("isPermaLink", "false")], &item.id);
    document.text("pubDate", &[], &date(item.updated()));
    // Readers take it for HTML.
    document.text("description", &[], &html(item.paper.abstract_text.trim()));
    for author in item.authors() {
        document.text("dc:creator", &[], author);
    }
    for category in item.categories() {
        document.text("category", &[], category);
    }
}

/// A text as HTML.
fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Empty where the calendar of RSS has no such year.
fn date(time: Timestamp) -> String {
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&time);
    date.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_is_one_of_rss() {
        let date_of = |text: &str| date(text.parse().unwrap());
        assert_eq!(date_of("2024-05-02T10:00:00.5Z"), "Thu, 02 May 2024 10:00:00 GMT");
        assert_eq!(date(Timestamp::MIN), "");
    }
}
