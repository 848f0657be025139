//! Each version that the search of a feed finds is an item of it exactly once, for every reader.

use std::collections::BTreeMap;

use super::{Findings, Kind};
use crate::history::{Feed, FeedRead, History, Item, VersionName};

/// How many versions are shown.
const SHOWN: usize = 5;

pub(super) fn check(history: &History, findings: &mut Findings) {
    if !history.feeds_are_settled {
        findings.add(
            Kind::MissingItem,
            "feeds are not complete, or not all is delivered",
        );
    }
    let present = history.feeds.iter().filter(|feed| feed.is_present).count();
    if present != history.present_feeds {
        let text = format!(
            "{} feeds exist, and the database has {present}",
            history.present_feeds
        );
        findings.add(Kind::MissingItem, text);
    }
    for feed in &history.feeds {
        items(feed, findings);
        runs(history, feed, findings);
    }
    for read in &history.feed_reads {
        if !is_of_one_feed(history, read) {
            findings.add(
                Kind::Wrong,
                format!(
                    "feed {} was read as {} items that it does not have: {:?} …",
                    read.name,
                    read.items.len(),
                    &read.items[..read.items.len().min(SHOWN)]
                ),
            );
        }
    }
}

fn items(feed: &Feed, findings: &mut Findings) {
    let who = format!("feed {} ({})", feed.name, feed.uid);
    let mut count: BTreeMap<&VersionName, usize> = BTreeMap::new();
    for version in feed.items.iter().filter_map(|item| item.version.as_ref()) {
        *count.entry(version).or_default() += 1;
    }
    let shown = |kind: Kind, text: &str, versions: Vec<&VersionName>, findings: &mut Findings| {
        if !versions.is_empty() {
            let some = &versions[..versions.len().min(SHOWN)];
            findings.add(
                kind,
                format!("{who}: {} versions {text}: {some:?} …", versions.len()),
            );
        }
    };
    let twice = count.iter().filter(|(_, count)| **count > 1);
    let twice = twice.map(|(version, _)| *version).collect();
    shown(Kind::DuplicateItem, "are items twice", twice, findings);
    let missing = feed
        .required
        .iter()
        .filter(|version| !count.contains_key(version));
    shown(Kind::MissingItem, "are no items", missing.collect(), findings);
    let invented = count.keys().filter(|version| !feed.found.contains(**version));
    let invented = invented.copied().collect();
    shown(Kind::Wrong, "are items and were never found", invented, findings);
    let positions = feed.items.iter().map(|item| item.position);
    if let Some((expected, position)) = (1..)
        .zip(positions)
        .find(|(expected, position)| expected != position)
    {
        let text = format!("{who}: position {position} instead of {expected}");
        findings.add(Kind::MissingItem, text);
    }
}

/// The results of each run are its items. On two servers the row in `queries` of a run that was removed may never come.
fn runs(history: &History, feed: &Feed, findings: &mut Findings) {
    let mut count: BTreeMap<&str, i64> = BTreeMap::new();
    for item in &feed.items {
        *count.entry(&item.origin).or_default() += 1;
    }
    for (run, items) in count {
        let row = history.queries.iter().find(|row| row.uid.as_deref() == Some(run));
        let entries = row.map(|row| row.num_entries);
        if entries != Some(items) && !(history.split && entries.is_none()) {
            let name = &feed.name;
            let text = format!("run {run} of feed {name} has {items} items and {entries:?} results");
            findings.add(Kind::Lost, text);
        }
    }
}

/// Whether these are items of one feed, without a gap, and all of them if it was read as a whole.
fn is_of_one_feed(history: &History, read: &FeedRead) -> bool {
    let has = |feed: &Feed, item: &Item| {
        let index = usize::try_from(item.position - 1).ok();
        let stored = index.and_then(|index| feed.items.get(index));
        item.origin.contains(&feed.uid) && stored.is_some_and(|stored| stored.version == item.version)
    };
    let gapless = read
        .items
        .windows(2)
        .all(|pair| pair[0].position + 1 == pair[1].position);
    let mut feeds = history.feeds.iter().filter(|feed| feed.name == read.name);
    let fits = |feed: &Feed| {
        let is_whole = feed.is_present && read.items.len() == feed.items.len();
        (!read.is_whole || is_whole) && read.items.iter().all(|item| has(feed, item))
    };
    gapless && feeds.any(fits)
}

#[cfg(test)]
mod tests {
    use super::super::example::{accepts, finds};
    use super::*;

    fn version(number: u16) -> VersionName {
        ("2402.00001".into(), number)
    }

    #[test]
    fn second_and_missing_items_are_violations() {
        use Kind::{DuplicateItem, Lost, MissingItem, Wrong};
        finds(
            "twice",
            |f| f.feeds[0].items[1].version = Some(version(1)),
            DuplicateItem,
            "1 versions are items twice",
        );
        finds(
            "missing",
            |f| drop(f.feeds[0].items.pop()),
            MissingItem,
            "1 versions are no items",
        );
        finds(
            "never found",
            |f| {
                f.feeds[0].found.remove(&version(2));
            },
            Wrong,
            "never found",
        );
        finds(
            "a gap",
            |f| f.feeds[0].items[1].position = 3,
            MissingItem,
            "position 3 instead of 2",
        );
        finds(
            "without results",
            |f| f.queries.retain(|row| row.uid.as_deref() != Some("run")),
            Lost,
            "2 items and None results",
        );
        finds(
            "not settled",
            |f| f.feeds_are_settled = false,
            MissingItem,
            "not complete",
        );
        finds("not known", |f| f.present_feeds = 2, MissingItem, "2 feeds exist");
        accepts("not required of one that is gone", |f| {
            f.feeds[0].is_present = false;
            f.present_feeds = 0;
            f.feed_reads.retain(|read| !read.is_whole);
            f.feeds[0].required.clear();
        });
    }

    #[test]
    fn reads_that_differ_from_what_is_stored_are_violations() {
        let wrong = |name: &str, change: fn(&mut FeedRead)| {
            finds(
                name,
                |f| change(&mut f.feed_reads[0]),
                Kind::Wrong,
                "does not have",
            );
        };
        wrong("a part", |read| drop(read.items.pop()));
        wrong("another version", |read| read.items[0].version = Some(version(2)));
        wrong("another feed", |read| read.items[0].origin = "tag:other".into());
        accepts("a part, during the run", |f| {
            f.feed_reads[0].is_whole = false;
            f.feed_reads[0].items.pop();
        });
        accepts("nothing, during the run", |f| {
            f.feed_reads[0].is_whole = false;
            f.feed_reads[0].items.clear();
        });
    }
}
