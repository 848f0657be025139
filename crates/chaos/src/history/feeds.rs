//! What is known of feeds, their items and their deliveries.

use std::collections::BTreeSet;

use serde_json::Value;
pub(crate) use testbed::arxiv::archive::VersionName;

/// A feed that the database knows, and what it should have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feed {
    /// The uid of its object.
    pub(crate) uid: String,
    pub(crate) name: String,
    /// Whether its object exists at the end. Only then all is delivered.
    pub(crate) is_present: bool,
    pub(crate) has_webhook: bool,
    /// By their positions.
    pub(crate) items: Vec<Item>,
    /// The versions that it must have.
    pub(crate) required: BTreeSet<VersionName>,
    /// Those that its search has found on any day.
    pub(crate) found: BTreeSet<VersionName>,
    /// By their positions.
    pub(crate) deliveries: Vec<Delivery>,
}

/// A version of a paper, as an item of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) position: i64,
    /// None if it cannot be read.
    pub(crate) version: Option<VersionName>,
    /// The uid of the feed, as its identifier has it, or that of the run that found it.
    pub(crate) origin: String,
}

/// Items of one feed, as a client read them.
#[derive(Clone, Debug, Default)]
pub(crate) struct FeedRead {
    pub(crate) name: String,
    /// Whether these are all items, and the feed had all its items before.
    pub(crate) is_whole: bool,
    /// By their positions.
    pub(crate) items: Vec<Item>,
}

/// A row of `arxiv_feed_deliveries`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) state: String,
}

/// A request that the receiver of webhooks got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt {
    /// The header `webhook-id`.
    pub(crate) id: String,
    /// The event, without what arXiv changes of a version.
    pub(crate) body: Value,
    /// The items in the body.
    pub(crate) items: Vec<Item>,
    /// Whether it was answered with status 200.
    pub(crate) is_accepted: bool,
}

impl Item {
    /// An item in a response of /feeds/NAME, or in the event of a webhook.
    pub(crate) fn of_json(item: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            position: item["position"].as_i64().unwrap_or_default(),
            version: version_name(&text(&item["paper"]["id"])),
            origin: text(&item["id"]),
        }
    }
}

/// The parts of arXiv's identifier with a version.
fn version_name(id: &str) -> Option<VersionName> {
    let (paper, version) = id.rsplit_once('v')?;
    Some((paper.to_owned(), version.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn item_is_read_from_json() {
        let item = json!({"id": "tag:x", "position": 7, "paper": {"id": "2402.00001v12"}});
        let expected = Item {
            position: 7,
            version: Some(("2402.00001".into(), 12)),
            origin: "tag:x".into(),
        };
        assert_eq!(Item::of_json(&item), expected);
        assert_eq!(Item::of_json(&json!({})), Item::default());
    }
}
