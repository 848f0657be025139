use std::collections::BTreeMap;

use crd::{ArxivQuerySpec, ArxivQueryStatus, CLIENT_LABEL, Phase};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use uuid::Uuid;

use super::{admission::Full, *};

fn backlog(in_all: usize, of_client: usize) -> Arc<Backlog> {
    let bounds = Bounds { in_all, of_client };
    Backlog::new(bounds, Duration::from_secs(3), Gauge::default())
}

/// An object made at this second.
fn object(name: &str, client: Option<&str>, second: i64, title: &str, phase: Phase) -> Arc<ArxivQuery> {
    let mut object = ArxivQuery::new(name, ArxivQuerySpec::default());
    object.spec.title = Some(title.into());
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
    backlog.listed(listing);
}

#[test]
fn bounds_hold_in_all_and_for_a_client() {
    let backlog = backlog(3, 2);
    backlog.seen(&pending("kubectl", None));
    let first = backlog.admit("a1", Some("a")).ok().unwrap();
    let second = backlog.admit("b1", Some("b")).ok().unwrap();
    assert_eq!(backlog.admit("c1", Some("c")).err(), Some(Full::InAll(3)));
    drop(second);
    let second = backlog.admit("a2", Some("a")).ok().unwrap();
    first.made();
    second.made();
    // Made by another process too, and all of it seen: nothing is counted twice.
    for name in ["a1", "a2"] {
        backlog.seen(&pending(name, Some("a")));
    }
    backlog.gone("kubectl");
    assert_eq!(backlog.admit("a3", Some("a")).err(), Some(Full::OfClient(2)));
    let other = backlog.admit("x", None).ok().unwrap();
    assert_eq!(backlog.admit("y", None).err(), Some(Full::InAll(3)));
    drop(other);
    backlog.seen(&object("a1", Some("a"), 0, "a1", Phase::Succeeded));
    assert!(backlog.admit("a3", Some("a")).is_ok());
}

#[test]
fn a_list_replaces_what_was_known_but_not_what_is_under_way() {
    let backlog = backlog(10, 10);
    backlog.seen(&pending("old", Some("a")));
    backlog.admit("before", Some("a")).ok().unwrap().made();
    let listing = backlog.begin_listing();
    backlog.admit("meanwhile", Some("a")).ok().unwrap().made();
    backlog.listed(listing);
    let state = backlog.lock();
    assert!(state.held.is_empty());
    assert_eq!(state.coming.keys().collect::<Vec<_>>(), ["meanwhile"]);
    assert_eq!(state.of_client.get("a"), Some(&1));
}

#[test]
fn every_query_has_its_place() {
    let backlog = backlog(10, 10);
    list(
        &backlog,
        &[
            object("c", None, 30, "same", Phase::Pending),
            object("a", None, 10, "one", Phase::Running),
            object("d", None, 40, "other", Phase::Pending),
            object("b", None, 20, "same", Phase::Pending),
        ],
    );
    let told = |name| {
        let place = backlog.place(name)?;
        Some((place.place, place.requests_before, place.expected_seconds))
    };
    assert_eq!(told("a"), Some((1, 0, 0)));
    assert_eq!(told("b"), Some((2, 1, 3)));
    assert_eq!(told("c"), Some((3, 1, 3)), "one request for both");
    assert_eq!(told("d"), Some((4, 2, 6)));
    assert_eq!(told("e"), None);
}

/// As in the operator's queue: see `queue::Since`.
#[test]
fn of_those_made_in_one_second_the_first_written_is_first() {
    let backlog = backlog(10, 10);
    let written = |object: &Arc<ArxivQuery>, version: &str| {
        let mut object = ArxivQuery::clone(object);
        object.metadata.resource_version = Some(version.into());
        Arc::new(object)
    };
    let [a, b, c] = ["a", "b", "c"].map(|name| pending(name, None));
    for (object, version) in [(&a, "1002"), (&b, "999"), (&c, "1001")] {
        backlog.seen(&written(object, version));
    }
    let order = || {
        let state = backlog.lock();
        let held = state.held.iter();
        let held = held.map(|(name, waiting)| (Arc::clone(name), Arc::clone(waiting)));
        let (order, _) = places::in_order(held.collect(), backlog.interval, Timestamp::UNIX_EPOCH);
        order.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(order(), ["b", "c", "a"]);
    // Neither a change nor another list gives it another place.
    backlog.seen(&written(&b, "5000"));
    assert_eq!(order(), ["b", "c", "a"]);
    list(
        &backlog,
        &[written(&c, "6000"), written(&a, "1002"), written(&b, "5000")],
    );
    assert_eq!(order(), ["b", "c", "a"]);
    // One that is made anew under the same name is another one.
    backlog.seen(&written(&pending("b", None), "7000"));
    assert_eq!(order(), ["c", "a", "b"]);
}

#[test]
fn the_last_that_ended_are_remembered() {
    let backlog = backlog(10, 10);
    for number in 0..MAX_ENDED + 5 {
        let name = format!("q{number}");
        backlog.seen(&object(&name, None, 0, "x", Phase::Succeeded));
    }
    backlog.gone("q24");
    let snapshot = backlog.snapshot();
    assert_eq!(snapshot.ended.len(), MAX_ENDED - 1);
    assert_eq!(snapshot.ended[0].metadata.name.as_deref(), Some("q23"));
    assert!(snapshot.order.is_empty());
}

#[test]
fn beyond_what_is_held_queries_are_counted() {
    let backlog = backlog(usize::MAX, 10);
    let mut listing = backlog.begin_listing();
    let one = pending("x", None);
    for number in 0..=MAX_HELD {
        listing.state.hold(&number.to_string(), &one);
    }
    backlog.listed(listing);
    let state = backlog.lock();
    assert_eq!((state.held.len(), state.counted.len()), (MAX_HELD, 1));
    assert_eq!(state.pending(), MAX_HELD + 1);
}
