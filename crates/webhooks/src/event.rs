//! What a webhook gets: an event of `CloudEvents` 1.0 in its JSON format, with items of a feed.

use jiff::Timestamp;
use paper::PaperVersion;
use serde::Serialize;

/// The media type of an event.
pub const MEDIA_TYPE: &str = "application/cloudevents+json";
/// The type of an event with items of a feed.
const TYPE: &str = "dev.arxiv-operator.feed.items";

/// New items of a feed, in the order of their positions.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The same in each attempt.
    pub id: &'a str,
    /// When the run was recorded that found the items.
    pub time: Timestamp,
    /// The feed.
    pub feed: EventFeed<'a>,
    /// The items.
    pub items: &'a [EventItem],
}

/// The feed of an event.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EventFeed<'a> {
    /// Its object's namespace.
    pub namespace: &'a str,
    /// Its object's name.
    pub name: &'a str,
    /// Its search, for people.
    pub search: &'a str,
}

/// An item, as `GET /feeds/NAME` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct EventItem {
    /// From 1 without gaps: the higher, the newer.
    pub position: i64,
    /// When it became an item.
    pub added: Timestamp,
    /// The paper.
    pub paper: PaperVersion,
}

#[derive(Serialize)]
struct Document<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    subject: &'a str,
    r#type: &'static str,
    time: Timestamp,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    feed: EventFeed<'a>,
    items: &'a [EventItem],
}

impl Event<'_> {
    /// The event as the body of a request.
    pub fn body(&self) -> serde_json::Result<Vec<u8>> {
        let EventFeed { namespace, name, .. } = self.feed;
        serde_json::to_vec(&Document {
            specversion: "1.0",
            id: self.id,
            source: format!("/apis/arxiv-operator.dev/v1alpha1/namespaces/{namespace}/arxivfeeds"),
            subject: name,
            r#type: TYPE,
            time: self.time,
            datacontenttype: "application/json",
            data: Data {
                feed: self.feed,
                items: self.items,
            },
        })
    }
}
