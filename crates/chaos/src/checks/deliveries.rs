//! The receiver of webhooks gets each item, in their order, and what it knows by one id is always the same.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Kind};
use crate::history::{Attempt, Delivery, Feed, History};

pub(super) fn check(history: &History, findings: &mut Findings) {
    let mut bodies: BTreeMap<&str, &Attempt> = BTreeMap::new();
    let mut accepted: BTreeSet<&str> = BTreeSet::new();
    let by_id: BTreeMap<&str, (&Feed, &Delivery)> = history
        .feeds
        .iter()
        .flat_map(|feed| feed.deliveries.iter().map(move |delivery| (feed, delivery)))
        .map(|(feed, delivery)| (delivery.id.as_str(), (feed, delivery)))
        .collect();
    for attempt in &history.attempts {
        let id = attempt.id.as_str();
        if bodies.entry(id).or_insert(attempt).body != attempt.body {
            findings.add(Kind::WrongDelivery, format!("{id} has had another body before"));
        }
        let Some((feed, delivery)) = by_id.get(id) else {
            findings.add(Kind::WrongDelivery, format!("{id} is not known"));
            continue;
        };
        if !has_its_items(attempt, feed, delivery) {
            let (name, first, last) = (&feed.name, delivery.first, delivery.last);
            let text = format!("{id} of feed {name} has other items than {first} to {last}");
            findings.add(Kind::WrongDelivery, text);
        }
        let mut before = feed.deliveries.iter().filter(|other| {
            let is_due = matches!(other.state.as_str(), "Pending" | "Delivered");
            is_due && other.first < delivery.first
        });
        if let Some(before) = before.find(|before| !accepted.contains(before.id.as_str())) {
            let text = format!("{id} of feed {} came before {}", feed.name, before.id);
            findings.add(Kind::WrongDelivery, text);
        }
        if attempt.is_accepted {
            accepted.insert(id);
        }
    }
    for feed in &history.feeds {
        for delivery in feed
            .deliveries
            .iter()
            .filter(|delivery| delivery.state == "Delivered")
        {
            if !accepted.contains(delivery.id.as_str()) {
                let text = format!("{} of feed {} was not accepted", delivery.id, feed.name);
                findings.add(Kind::MissingDelivery, text);
            }
        }
        if feed.is_present && feed.has_webhook {
            all_items(feed, &accepted, findings);
        }
    }
}

fn has_its_items(attempt: &Attempt, feed: &Feed, delivery: &Delivery) -> bool {
    let stored = feed.items.iter();
    let stored = stored.filter(|item| (delivery.first..=delivery.last).contains(&item.position));
    let stored = stored.map(|item| (item.position, &item.version));
    stored.eq(attempt.items.iter().map(|item| (item.position, &item.version)))
}

/// Each item of a feed that exists is in a delivery that was accepted.
fn all_items(feed: &Feed, accepted: &BTreeSet<&str>, findings: &mut Findings) {
    let got: BTreeSet<i64> = feed
        .deliveries
        .iter()
        .filter(|delivery| accepted.contains(delivery.id.as_str()))
        .flat_map(|delivery| delivery.first..=delivery.last)
        .collect();
    let missing: Vec<i64> = feed
        .items
        .iter()
        .map(|item| item.position)
        .filter(|position| !got.contains(position))
        .collect();
    if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
        let states: BTreeSet<_> = feed.deliveries.iter().map(|delivery| &delivery.state).collect();
        let text = format!(
            "feed {} ({}): {} items from position {first} to {last} were not delivered; states {states:?}",
            feed.name,
            feed.uid,
            missing.len()
        );
        findings.add(Kind::MissingDelivery, text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{accepts, finds};
    use super::*;

    #[test]
    fn deliveries_that_are_missing_or_differ_are_violations() {
        use Kind::{MissingDelivery, WrongDelivery};
        finds(
            "never accepted",
            |f| {
                f.attempts
                    .iter_mut()
                    .for_each(|attempt| attempt.is_accepted = false);
            },
            MissingDelivery,
            "was not accepted",
        );
        finds(
            "no delivery",
            |f| {
                f.attempts.truncate(2);
                f.feeds[0].deliveries.truncate(1);
            },
            MissingDelivery,
            "1 items from position 2 to 2",
        );
        finds(
            "unknown",
            |f| f.attempts[0].id = "d9".into(),
            WrongDelivery,
            "is not known",
        );
        finds(
            "another body",
            |f| f.attempts[1].body = "other".into(),
            WrongDelivery,
            "another body",
        );
        finds(
            "another item",
            |f| f.attempts[0].items[0].version = Some(("2402.00001".into(), 2)),
            WrongDelivery,
            "other items than 1 to 1",
        );
        finds(
            "another order",
            |f| f.attempts.swap(1, 2),
            WrongDelivery,
            "came before d1",
        );
        accepts("repeated later", |f| f.attempts.push(f.attempts[0].clone()));
        accepts("given up as the feed was gone", |f| {
            f.feeds[0].is_present = false;
            f.present_feeds = 0;
            f.feed_reads.clear();
            f.feeds[0].deliveries[0].state = "Dropped".into();
            f.attempts.drain(..2);
        });
    }
}
