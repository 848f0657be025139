//! What the tests of runs share.

use crd::{ArxivFeed, ArxivFeedSpec};
use jiff::Timestamp;
use storage::feeds::NextRun;

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn feed() -> ArxivFeed {
    let mut feed = ArxivFeed::new("knuth", ArxivFeedSpec::default());
    feed.metadata.uid = Some("f0000000-0000-4000-8000-000000000000".to_owned());
    feed.metadata.namespace = Some("team".to_owned());
    feed.spec.search.author = Some("knuth".to_owned());
    feed
}

pub(super) fn first() -> NextRun {
    NextRun {
        start: 0,
        max_results: 2_000,
        updated_after: None,
        submitted_before: None,
    }
}
