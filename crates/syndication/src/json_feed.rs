//! JSON Feed 1.1 (<https://www.jsonfeed.org/version/1.1/>), with what it has no members for in `_arxiv`.

use serde_json::{Map, Value, json};

use crate::{Feed, Item};

/// The feed as a document of `application/feed+json`.
pub fn json_feed(feed: &Feed<'_>) -> Value {
    let mut document = json!({
        "version": "https://jsonfeed.org/version/1.1",
        "title": feed.title,
        "description": feed.description,
        "home_page_url": feed.home,
        "feed_url": feed.address,
        "items": feed.items.iter().map(item).collect::<Vec<_>>(),
    });
    if let (Some(next), Some(members)) = (&feed.next, document.as_object_mut()) {
        members.insert("next_url".to_owned(), json!(next));
    }
    document
}

fn item(item: &Item<'_>) -> Value {
    let paper = item.paper;
    let authors: Vec<_> = item.authors().map(|name| json!({"name": name})).collect();
    let mut more = Map::new();
    more.insert("id".to_owned(), json!(paper.id));
    for (name, text) in [
        ("comment", &paper.comment),
        ("journal", &paper.journal),
        ("doi", &paper.doi),
    ] {
        if let Some(text) = text {
            more.insert(name.to_owned(), json!(text));
        }
    }
    json!({
        "id": item.id,
        "external_url": item.abstract_page(),
        "title": item.title(),
        "content_text": paper.abstract_text.trim(),
        "date_published": item.published().to_string(),
        "date_modified": item.updated().to_string(),
        "authors": authors,
        "tags": item.categories().collect::<Vec<_>>(),
        "attachments": [{"url": item.pdf(), "mime_type": "application/pdf"}],
        "_arxiv": more,
    })
}
