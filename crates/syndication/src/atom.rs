//! Atom (RFC 4287), with arXiv's own elements as in its own feeds.

use crate::{Feed, Item, xml::Document};

const NAMESPACES: [(&str, &str); 2] = [("xmlns", "http://www.w3.org/2005/Atom"), ("xmlns:arxiv", ARXIV)];
const ARXIV: &str = "http://arxiv.org/schemas/atom";

/// The feed as a document of `application/atom+xml`.
pub fn atom(feed: &Feed<'_>) -> String {
    let mut document = Document::new();
    document.element("feed", &NAMESPACES, |document| {
        document.text("id", &[], &feed.id);
        document.text("title", &[], &feed.title);
        document.text("subtitle", &[], &feed.description);
        document.text("updated", &[], &feed.updated.to_string());
        document.text("generator", &[], "arxiv-operator");
        // For entries of which no author is known.
        document.element("author", &[], |document| document.text("name", &[], "arXiv"));
        link(document, "self", "application/atom+xml", &feed.address);
        link(document, "alternate", "text/html", &feed.home);
        if let Some(next) = &feed.next {
            link(document, "next", "application/atom+xml", next);
        }
        for item in &feed.items {
            document.element("entry", &[], |document| entry(document, item));
        }
    });
    document.finish()
}

fn link(document: &mut Document, rel: &str, media_type: &str, href: &str) {
    document.empty("link", &[("rel", rel), ("type", media_type), ("href", href)]);
}

fn entry(document: &mut Document, item: &Item<'_>) {
    let paper = item.paper;
    document.text("id", &[], &item.id);
    document.text("title", &[], &item.title());
    document.text("updated", &[], &item.updated().to_string());
    document.text("published", &[], &item.published().to_string());
    for author in &paper.authors {
        document.element("author", &[], |document| {
            document.text("name", &[], &author.name);
            for affiliation in &author.affiliations {
                document.text("arxiv:affiliation", &[], affiliation);
            }
        });
    }
    document.text("summary", &[], paper.abstract_text.trim());
    link(document, "alternate", "text/html", &item.abstract_page());
    let pdf = item.pdf();
    document.empty(
        "link",
        &[
            ("rel", "related"),
            ("type", "application/pdf"),
            ("title", "pdf"),
            ("href", &pdf),
        ],
    );
    for doi in paper.doi.iter().flat_map(|dois| dois.split_whitespace()) {
        let href = format!("https://doi.org/{doi}");
        document.empty("link", &[("rel", "related"), ("title", "doi"), ("href", &href)]);
        document.text("arxiv:doi", &[], doi);
    }
    for category in &paper.categories {
        document.empty("category", &[("term", category), ("scheme", ARXIV)]);
    }
    if let Some(primary) = paper.categories.first() {
        document.empty("arxiv:primary_category", &[("term", primary), ("scheme", ARXIV)]);
    }
    for (name, text) in [
        ("arxiv:comment", &paper.comment),
        ("arxiv:journal_ref", &paper.journal),
    ] {
        if let Some(text) = text {
            document.text(name, &[], text);
        }
    }
}
