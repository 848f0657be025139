use arxiv::ValidatedSearch;
use crd::ArxivQuerySpec;
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::*;

fn request() -> PageRequest {
    PageRequest {
        search: ValidatedSearch::new("ti:x".into(), String::new(), "", ""),
        start: 0,
        count: 8,
    }
}

fn object(query: u128) -> ArxivQuery {
    let mut object = ArxivQuery::new(&format!("q{query}"), ArxivQuerySpec::default());
    object.metadata.namespace = Some("ns".into());
    object
}

/// Begins a reconciliation of a query and queues it for the page.
fn enqueued(tracker: &Tracker, query: u128) -> Uuid {
    let uid = Uuid::from_u128(query);
    tracker.begin(uid, &object(query), Timestamp::UNIX_EPOCH);
    tracker.enqueue(uid, &object(query), request(), 0, Timestamp::UNIX_EPOCH);
    uid
}

fn answer(tracker: &Tracker, page: &Arc<QueuedPage>) {
    let at = Timestamp::UNIX_EPOCH;
    tracker.finish(page, |progress| progress.answered(at, at, None));
}

#[test]
fn next_slices_has_query_with_stored_slices_until_it_is_untracked() {
    let (tracker, _triggered) = Tracker::new(PriorityCeilings::default());
    let (first, second) = (enqueued(&tracker, 1), enqueued(&tracker, 2));
    assert!(tracker.next_slices().is_empty());
    tracker.enqueue(second, &object(2), request(), 1, Timestamp::UNIX_EPOCH);
    let key = tracker.next().unwrap();
    answer(&tracker, &key);
    assert_eq!(tracker.next_slices(), [key]);
    tracker.untrack(first);
    assert_eq!(tracker.next_slices().len(), 1);
    tracker.untrack(second);
    assert!(tracker.next_slices().is_empty());
}

#[tokio::test]
async fn answered_triggers_waiting_query_once_and_untracked_query_never() {
    let (tracker, mut triggered) = Tracker::new(PriorityCeilings::default());
    let (stays, leaves) = (enqueued(&tracker, 1), enqueued(&tracker, 2));
    let key = tracker.next().unwrap();
    tracker.untrack(leaves);
    answer(&tracker, &key);
    assert_eq!(triggered.next().await.unwrap().name, "q1");
    assert!(triggered.try_recv().is_err(), "no other query");
    let (_, notifications) = tracker.begin(stays, &object(1), Timestamp::UNIX_EPOCH);
    assert!(!tracker.notified.borrow().is_empty(), "it is not running yet");
    tracker.begun(stays, notifications);
    tracker.drained().await;
}

#[test]
fn notification_after_the_begin_of_a_reconciliation_needs_another_one() {
    let (tracker, _triggered) = Tracker::new(PriorityCeilings::default());
    let uid = enqueued(&tracker, 1);
    let page = tracker.next().unwrap();
    tracker.update_waiters(&page, |_| {});
    let (_, notifications) = tracker.begin(uid, &object(1), Timestamp::UNIX_EPOCH);
    answer(&tracker, &page);
    tracker.begun(uid, notifications);
    assert!(!tracker.notified.borrow().is_empty(), "the answer is not handled");
    let (_, notifications) = tracker.begin(uid, &object(1), Timestamp::UNIX_EPOCH);
    tracker.begun(uid, notifications);
    assert!(tracker.notified.borrow().is_empty());
}

/// One that began before the request failed does not know that it has to wait.
#[test]
fn reconciliation_queues_no_page_after_a_notification_that_it_does_not_know() {
    let (tracker, _triggered) = Tracker::new(PriorityCeilings::default());
    let uid = enqueued(&tracker, 1);
    let page = tracker.next().unwrap();
    let (_, notifications) = tracker.begin(uid, &object(1), Timestamp::UNIX_EPOCH);
    tracker.begun(uid, notifications);
    tracker.finish(&page, |_| {});
    tracker.enqueue(uid, &object(1), request(), 0, Timestamp::UNIX_EPOCH);
    assert_eq!(tracker.next(), None);
    let (_, notifications) = tracker.begin(uid, &object(1), Timestamp::UNIX_EPOCH);
    tracker.begun(uid, notifications);
    tracker.enqueue(uid, &object(1), request(), 0, Timestamp::UNIX_EPOCH);
    assert_eq!(tracker.next(), Some(page));
}

#[test]
fn untracked_and_closed_tracker_keeps_nothing() {
    let (tracker, _triggered) = Tracker::new(PriorityCeilings::default());
    let (stays, _gone) = (enqueued(&tracker, 1), enqueued(&tracker, 2));
    tracker.retain(&HashSet::from([stays]));
    assert_eq!(tracker.state().queries.len(), 1);
    let unknown = Uuid::from_u128(3);
    tracker.enqueue(unknown, &object(3), request(), 0, Timestamp::UNIX_EPOCH);
    tracker.untrack(stays);
    assert_eq!(
        (tracker.queue_stats(), tracker.state().queries.len()),
        (QueueStats::default(), 0)
    );
    tracker.close();
    enqueued(&tracker, 4);
    assert_eq!(tracker.queue_stats(), QueueStats::default(), "the process ends");
}

/// Whatever the order in which reconciliations begin.
#[test]
fn objects_of_one_second_are_fetched_in_order_of_their_resource_versions() {
    let (tracker, _triggered) = Tracker::new(PriorityCeilings::default());
    let mut requests = Vec::new();
    for (query, version) in [(1, "1002"), (2, "999"), (3, "1001")] {
        let mut object = object(query);
        object.metadata.creation_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        object.metadata.resource_version = Some(version.into());
        let uid = Uuid::from_u128(query);
        tracker.begin(uid, &object, Timestamp::UNIX_EPOCH);
        let mut request = request();
        request.start = u32::try_from(query).unwrap();
        requests.push((uid, object, request));
    }
    for (uid, object, request) in requests {
        // A change does not move it.
        let changed = ArxivQuery {
            metadata: ObjectMeta {
                resource_version: Some("5000".into()),
                ..object.metadata.clone()
            },
            ..object
        };
        tracker.begin(uid, &changed, Timestamp::UNIX_EPOCH);
        tracker.enqueue(uid, &changed, request, 0, Timestamp::UNIX_EPOCH);
    }
    let order: Vec<_> = std::iter::from_fn(|| {
        let page = tracker.next()?;
        answer(&tracker, &page);
        Some(page.request.start)
    })
    .collect();
    assert_eq!(order, [2, 3, 1]);
}
