use std::collections::BTreeMap;

use axum::response::IntoResponse;
use crd::{ArxivQuerySpec, ArxivQueryStatus, CLIENT_LABEL, Phase};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use uuid::Uuid;

use super::{admission::Admission, *};
use crate::error::{ApiError, Limit};

fn backlog(total: usize, per_client: usize) -> Arc<Backlog> {
    let quotas = Quotas { total, per_client };
    Backlog::new(quotas, Duration::from_secs(3), i32::MAX, Gauge::default())
}

/// An object created at this second.
fn object(name: &str, client: Option<&str>, second: i64, title: &str, phase: Phase) -> Arc<ArxivQuery> {
    let mut object = ArxivQuery::new(name, ArxivQuerySpec::default());
    object.spec.search.title = Some(title.into());
    object.spec.max_results = 8;
    object.metadata.uid = Some(Uuid::new_v4().to_string());
    object.metadata.creation_timestamp = Some(Time(Timestamp::from_second(second).unwrap()));
    object.metadata.labels =
        client.map(|client| BTreeMap::from([(CLIENT_LABEL.to_owned(), client.to_owned())]));
    object.status = Some(ArxivQueryStatus {
        phase,
        ..ArxivQueryStatus::default()
    });
    Arc::new(object)
}

fn pending(name: &str, client: Option<&str>) -> Arc<ArxivQuery> {
    object(name, client, 0, name, Phase::Pending)
}

fn list(backlog: &Backlog, objects: &[Arc<ArxivQuery>]) {
    let mut listing = backlog.begin_listing();
    for object in objects {
        listing.add(object);
    }
    backlog.replace(listing);
}

/// The quota that is used up, and its size.
fn exceeded(admission: Result<Admission, ApiError>) -> (&'static str, usize) {
    let response = admission.err().unwrap().into_response();
    match response.extensions().get::<Limit>() {
        Some(Limit::Concurrent { name, most }) => (name, *most),
        other => panic!("{other:?}"),
    }
}

#[test]
fn admission_fails_when_the_total_or_the_client_quota_is_used_up() {
    let backlog = backlog(3, 2);
    backlog.on_update(&pending("kubectl", None));
    let first = backlog.admit("a1", Some("a")).ok().unwrap();
    let second = backlog.admit("b1", Some("b")).ok().unwrap();
    assert_eq!(exceeded(backlog.admit("c1", Some("c"))), ("pending", 3));
    drop(second);
    let second = backlog.admit("a2", Some("a")).ok().unwrap();
    first.commit();
    second.commit();
    // Created by another process too, and all of it seen: nothing is counted twice.
    for name in ["a1", "a2"] {
        backlog.on_update(&pending(name, Some("a")));
    }
    backlog.on_delete("kubectl");
    assert_eq!(exceeded(backlog.admit("a3", Some("a"))), ("pending-of-client", 2));
    let other = backlog.admit("x", None).ok().unwrap();
    assert_eq!(exceeded(backlog.admit("y", None)), ("pending", 3));
    drop(other);
    backlog.on_update(&object("a1", Some("a"), 0, "a1", Phase::Succeeded));
    assert!(backlog.admit("a3", Some("a")).is_ok());
}

#[test]
fn ended_queries_are_newest_first_and_keep_their_place_when_they_are_changed() {
    let backlog = backlog(9, 9);
    let [one, two, three] = ["one", "two", "three"].map(|name| object(name, None, 0, name, Phase::Succeeded));
    for ended in [&one, &two, &three, &one] {
        backlog.on_update(ended);
    }
    let names = || {
        // The next one is new.
        *backlog.snapshot.lock().unwrap() = None;
        let ended = backlog.snapshot().ended.clone();
        let names = ended.iter().map(|object| object.metadata.name.clone().unwrap());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(), ["three", "two", "one"]);
    // Another object of the same name is another query.
    backlog.on_update(&object("one", None, 0, "one", Phase::Failed));
    assert_eq!(names(), ["one", "three", "two"]);
}

#[test]
fn list_replaces_known_queries_but_keeps_creates_in_flight() {
    let backlog = backlog(10, 10);
    backlog.on_update(&pending("old", Some("a")));
    backlog.admit("before", Some("a")).ok().unwrap().commit();
    let listing = backlog.begin_listing();
    backlog.admit("meanwhile", Some("a")).ok().unwrap().commit();
    backlog.replace(listing);
    let state = backlog.lock();
    assert!(state.tracked.is_empty());
    assert_eq!(state.creating.keys().collect::<Vec<_>>(), ["meanwhile"]);
    assert_eq!(state.pending(Some("a")), (1, 1));
}

#[test]
fn position_counts_shared_requests_once() {
    let backlog = backlog(10, 10);
    list(
        &backlog,
        &[
            object("c", None, 30, " same ", Phase::Pending),
            object("a", None, 10, "one", Phase::Running),
            object("d", None, 40, "other", Phase::Pending),
            object("b", None, 20, "same", Phase::Pending),
        ],
    );
    let position = |name| {
        let place = backlog.position(name)?;
        Some((place.place, place.requests_before, place.expected_seconds))
    };
    assert_eq!(position("a"), Some((1, 0, 0)));
    assert_eq!(position("b"), Some((2, 1, 3)));
    assert_eq!(
        position("c"),
        Some((3, 1, 3)),
        "one request for both, however they are spelt"
    );
    assert_eq!(position("d"), Some((4, 2, 6)));
    assert_eq!(position("e"), None);
}

/// As in the operator's queue: see `queue::Age`.
#[test]
fn queries_of_one_second_are_ordered_by_resource_version() {
    let backlog = backlog(10, 10);
    let written = |object: &Arc<ArxivQuery>, version: &str| {
        let mut object = ArxivQuery::clone(object);
        object.metadata.resource_version = Some(version.into());
        Arc::new(object)
    };
    let [a, b, c] = ["a", "b", "c"].map(|name| pending(name, None));
    for (object, version) in [(&a, "1002"), (&b, "999"), (&c, "1001")] {
        backlog.on_update(&written(object, version));
    }
    let order = || {
        let state = backlog.lock();
        let tracked = state.tracked.values().cloned().collect();
        let (order, _) = snapshot::in_order(tracked, backlog.interval, i32::MAX, Timestamp::UNIX_EPOCH);
        order
            .iter()
            .map(|queued| queued.view.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(order(), ["b", "c", "a"]);
    // Neither an update nor another list changes its position.
    backlog.on_update(&written(&b, "5000"));
    assert_eq!(order(), ["b", "c", "a"]);
    list(
        &backlog,
        &[written(&c, "6000"), written(&a, "1002"), written(&b, "5000")],
    );
    assert_eq!(order(), ["b", "c", "a"]);
    // An object that is created again under the same name is another one.
    backlog.on_update(&written(&pending("b", None), "7000"));
    assert_eq!(order(), ["c", "a", "b"]);
}

#[test]
fn priority_above_the_ceiling_of_the_namespace_does_not_count() {
    let urgent = {
        let mut object = ArxivQuery::clone(&object("urgent", None, 2, "urgent", Phase::Pending));
        object.spec.priority = 1000;
        Arc::new(object)
    };
    let first = object("first", None, 1, "first", Phase::Pending);
    for (ceiling, place) in [(i32::MAX, 1), (0, 2)] {
        let quotas = Quotas {
            total: 10,
            per_client: 10,
        };
        let backlog = Backlog::new(quotas, Duration::from_secs(3), ceiling, Gauge::default());
        list(&backlog, &[Arc::clone(&first), Arc::clone(&urgent)]);
        assert_eq!(backlog.position("urgent").unwrap().place, place, "{ceiling}");
    }
}

#[test]
fn snapshot_keeps_the_last_finished_queries() {
    let backlog = backlog(10, 10);
    for number in 0..MAX_ENDED + 5 {
        let name = format!("q{number}");
        backlog.on_update(&object(&name, None, 0, "x", Phase::Succeeded));
    }
    backlog.on_delete("q24");
    let snapshot = backlog.snapshot();
    assert_eq!(snapshot.ended.len(), MAX_ENDED - 1);
    assert_eq!(snapshot.ended[0].metadata.name.as_deref(), Some("q23"));
    assert!(snapshot.order.is_empty());
}

#[test]
fn query_is_only_counted_when_too_many_are_tracked() {
    let backlog = backlog(usize::MAX, 10);
    let mut listing = backlog.begin_listing();
    let one = pending("x", None);
    for number in 0..=MAX_TRACKED {
        listing.state.track(&number.to_string(), &one);
    }
    backlog.replace(listing);
    let state = backlog.lock();
    assert_eq!((state.tracked.len(), state.overflow.len()), (MAX_TRACKED, 1));
    assert_eq!(state.pending(None).0, MAX_TRACKED + 1);
}
