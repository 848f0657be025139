//! Atom (RFC 4287), with arXiv's own elements as in its own feeds.

use std::io;

use crate::Feed;

/// The feed as a document of `application/atom+xml`.
pub fn atom(feed: &Feed<'_>) -> io::Result<String> {
    let mut links = vec![("self", feed.address.clone()), ("alternate", feed.home.clone())];
    links.extend(feed.next.clone().map(|next| ("next", next)));
    let head = ::atom::head(&::atom::Feed {
        id: feed.id.clone(),
        title: feed.title.clone(),
        subtitle: Some(feed.description.clone()),
        updated: feed.updated,
        links,
    })?;
    let mut document = head.into_bytes();
    for item in &feed.items {
        ::atom::write_entry(&mut document, Some(&item.id), item.paper, item.added)?;
    }
    document.extend_from_slice(::atom::TAIL.as_bytes());
    String::from_utf8(document).map_err(io::Error::other)
}
