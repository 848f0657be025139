//! One paper as an entry.

use std::io::{self, Write};

use jiff::Timestamp;
use paper::{Author, Link, PaperVersion, normalized_id, single_spaced};
use quick_xml::Writer;

use crate::{
    ARXIV,
    feed::{expressible, time},
    text::{address, element, urn, xml_text},
};

/// Where arXiv's identifiers are addresses, as in the entries of its own API.
const ABSTRACT: &str = "http://arxiv.org/abs/";

/// Writes a version of a paper as an entry; `seen` is when it was found, for one whose dates are not known.
///
/// Without an `id`, its identifier is that of arXiv's own entry for this version, so that readers of both know it again.
pub fn write_entry(
    output: impl Write,
    id: Option<&str>,
    paper: &PaperVersion,
    seen: Timestamp,
) -> io::Result<()> {
    let mut xml = Writer::new(output);
    xml.create_element("entry")
        .write_inner_content(|xml| members(xml, id, paper, seen))?;
    xml.get_mut().write_all(b"\n")
}

fn members(
    xml: &mut Writer<impl Write>,
    id: Option<&str>,
    paper: &PaperVersion,
    seen: Timestamp,
) -> io::Result<()> {
    let arxiv_id = normalized_id(&paper.id.to_string());
    let own = || match &arxiv_id {
        Some(id) => format!("{ABSTRACT}{id}"),
        None => urn(&[
            "paper",
            &paper.id.to_string(),
            &paper.title,
            &paper.author_names(),
        ]),
    };
    element(xml, "id", &id.map_or_else(own, str::to_owned))?;
    element(xml, "title", &single_spaced(&xml_text(&paper.title)))?;
    let published = paper.published.and_then(expressible);
    let updated = paper.updated.and_then(expressible).or(published).unwrap_or(seen);
    element(xml, "updated", &time(updated))?;
    if let Some(published) = published {
        element(xml, "published", &time(published))?;
    }
    // Without the address of its page, an entry has to have its content.
    let has_page = links(xml, &paper.links, arxiv_id.as_deref())?;
    if !has_page {
        element(xml, "content", &paper.abstract_text)?;
    } else if !paper.abstract_text.is_empty() {
        element(xml, "summary", &paper.abstract_text)?;
    }
    for author in paper.authors.iter().filter(|author| !author.name.is_empty()) {
        xml.create_element("author")
            .write_inner_content(|xml| self::author(xml, author))?;
    }
    for (name, text) in [
        ("arxiv:comment", &paper.comment),
        ("arxiv:journal_ref", &paper.journal),
        ("arxiv:doi", &paper.doi),
    ] {
        if let Some(text) = text {
            element(xml, name, text)?;
        }
    }
    let primary = paper
        .categories
        .first()
        .map(|name| ("arxiv:primary_category", name));
    let all = paper.categories.iter().map(|name| ("category", name));
    for (element, category) in primary.into_iter().chain(all) {
        let category = xml_text(category);
        let element = xml.create_element(element);
        let attributes = [("term", category.as_ref()), ("scheme", ARXIV)];
        element.with_attributes(attributes).write_empty()?;
    }
    Ok(())
}

fn author(xml: &mut Writer<impl Write>, author: &Author) -> io::Result<()> {
    element(xml, "name", &author.name)?;
    for affiliation in &author.affiliations {
        element(xml, "arxiv:affiliation", affiliation)?;
    }
    Ok(())
}

/// Writes the links; where there are none, those that arXiv has for every paper. Says whether one is that of the paper's page.
fn links(xml: &mut Writer<impl Write>, links: &[Link], arxiv_id: Option<&str>) -> io::Result<bool> {
    let mut has_page = false;
    for link in links.iter().filter(|link| !link.href.is_empty()) {
        // Without a relation it is meant as the page's, of which there is one.
        let is_page = !has_page && matches!(link.rel.as_str(), "" | "alternate");
        has_page |= is_page;
        let rel = match link.rel.as_str() {
            _ if is_page => "alternate",
            "" | "alternate" => "related",
            rel => rel,
        };
        write_link(xml, rel, &link.href, &link.title)?;
    }
    if let Some(id) = arxiv_id.filter(|_| !has_page) {
        write_link(xml, "alternate", &format!("https://arxiv.org/abs/{id}"), "")?;
        has_page = true;
        if links.is_empty() {
            write_link(xml, "related", &format!("https://arxiv.org/pdf/{id}"), "pdf")?;
        }
    }
    Ok(has_page)
}

fn write_link(xml: &mut Writer<impl Write>, rel: &str, href: &str, title: &str) -> io::Result<()> {
    let (href, rel, title) = (address(href), xml_text(rel), xml_text(title));
    let mut link = xml
        .create_element("link")
        .with_attributes([("href", href.as_str()), ("rel", rel.as_ref())]);
    let media_type = match (rel.as_ref(), title.as_ref()) {
        ("alternate", _) => Some("text/html"),
        (_, "pdf") => Some("application/pdf"),
        _ => None,
    };
    if let Some(media_type) = media_type {
        link = link.with_attribute(("type", media_type));
    }
    if !title.is_empty() {
        link = link.with_attribute(("title", title.as_ref()));
    }
    link.write_empty()?;
    Ok(())
}
