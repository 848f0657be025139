use arxiv::Search;
use crd::ArxivQuerySpec;
use futures::StreamExt;
use jiff::civil::date;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::*;

const BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(1),
};

fn page() -> WantedPage {
    let search = Search {
        title: Some("x".into()),
        ..Search::default()
    };
    WantedPage {
        request: PageRequest {
            search: search.validate().unwrap(),
            start: 0,
            count: 8,
        },
        day: date(2024, 5, 6),
    }
}

fn object(query: u128) -> ArxivQuery {
    let mut object = ArxivQuery::new(&format!("q{query}"), ArxivQuerySpec::default());
    object.metadata.namespace = Some("ns".into());
    object
}

/// Begins a reconciliation of a query and lets it want the page.
fn wants(tracker: &Tracker, query: u128) -> Uuid {
    let uid = Uuid::from_u128(query);
    tracker.begin(uid, &object(query), Timestamp::UNIX_EPOCH);
    tracker.want(uid, &object(query), page(), 0, Timestamp::UNIX_EPOCH);
    uid
}

#[test]
fn who_has_some_of_its_slices_is_under_way_until_it_leaves() {
    let (tracker, _woken) = Tracker::new(BACKOFF);
    let (first, second) = (wants(&tracker, 1), wants(&tracker, 2));
    assert!(tracker.under_way().is_empty());
    tracker.want(second, &object(2), page(), 1, Timestamp::UNIX_EPOCH);
    let key = tracker.next().unwrap();
    tracker.answered(&key, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, None);
    assert_eq!(tracker.under_way(), [key]);
    tracker.forget(first);
    assert_eq!(tracker.under_way().len(), 1);
    tracker.forget(second);
    assert!(tracker.under_way().is_empty());
}

#[tokio::test]
async fn who_waits_is_woken_once_and_who_has_left_is_not() {
    let (tracker, mut woken) = Tracker::new(BACKOFF);
    let (stays, leaves) = (wants(&tracker, 1), wants(&tracker, 2));
    let key = tracker.next().unwrap();
    tracker.forget(leaves);
    tracker.answered(&key, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, None);
    assert_eq!(woken.next().await.unwrap().name, "q1");
    assert!(woken.try_recv().is_err(), "nobody else");
    assert!(!tracker.state().woken.is_empty(), "it has not begun yet");
    tracker.begin(
        stays,
        &ArxivQuery::new("q1", ArxivQuerySpec::default()),
        Timestamp::UNIX_EPOCH,
    );
    tracker.all_told().await;
}

#[test]
fn nothing_is_held_of_objects_that_are_gone_or_come_too_late() {
    let (tracker, _woken) = Tracker::new(BACKOFF);
    let (stays, _gone) = (wants(&tracker, 1), wants(&tracker, 2));
    tracker.retain(&HashSet::from([stays]));
    assert_eq!(tracker.state().known.len(), 1);
    let stranger = Uuid::from_u128(3);
    tracker.want(stranger, &object(3), page(), 0, Timestamp::UNIX_EPOCH);
    tracker.forget(stays);
    assert_eq!(
        (tracker.backlog(), tracker.state().known.len()),
        (Backlog::default(), 0)
    );
    tracker.close();
    wants(&tracker, 4);
    assert_eq!(tracker.backlog(), Backlog::default(), "the process ends");
}

/// Whatever the order in which reconciliations begin.
#[test]
fn of_those_made_in_one_second_the_first_written_is_first() {
    let (tracker, _woken) = Tracker::new(BACKOFF);
    let mut wanted = Vec::new();
    for (query, version) in [(1, "1002"), (2, "999"), (3, "1001")] {
        let mut object = object(query);
        object.metadata.creation_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        object.metadata.resource_version = Some(version.into());
        let uid = Uuid::from_u128(query);
        tracker.begin(uid, &object, Timestamp::UNIX_EPOCH);
        let mut page = page();
        page.request.start = u32::try_from(query).unwrap();
        wanted.push((uid, object, page));
    }
    for (uid, object, page) in wanted {
        // A change gives it no other place.
        let changed = ArxivQuery {
            metadata: ObjectMeta {
                resource_version: Some("5000".into()),
                ..object.metadata.clone()
            },
            ..object
        };
        tracker.begin(uid, &changed, Timestamp::UNIX_EPOCH);
        tracker.want(uid, &changed, page, 0, Timestamp::UNIX_EPOCH);
    }
    let order: Vec<_> = std::iter::from_fn(|| {
        let page = tracker.next()?;
        tracker.answered(&page, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, None);
        Some(page.request.start)
    })
    .collect();
    assert_eq!(order, [2, 3, 1]);
}
