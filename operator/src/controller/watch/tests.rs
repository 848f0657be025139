use crd::ArxivQuerySpec;
use futures::FutureExt;

use super::*;

fn object(namespace: &str, name: &str) -> ArxivQuery {
    let mut object = ArxivQuery::new(name, ArxivQuerySpec::default());
    object.metadata.namespace = Some(namespace.into());
    object.metadata.uid = Some(Uuid::new_v4().to_string());
    object
}

fn feed(namespaces: &[Option<&str>]) -> Feed {
    let namespaces = namespaces.iter().map(|name| name.map(str::to_owned));
    Feed::new(
        namespaces.collect(),
        Tracker::new(queue::PriorityCeilings::default()).0,
    )
}

/// Takes a listing of these; returns the names of what is there after it, or gone with it.
fn list(feed: &mut Feed, watch: usize, objects: &[&ArxivQuery]) -> Vec<String> {
    assert!(feed.take(watch, Event::Init).is_empty());
    for object in objects {
        assert!(feed.take(watch, Event::InitApply((*object).clone())).is_empty());
        assert!(!feed.unfinished.is_current(), "a part of a listing");
    }
    let changed = feed.take(watch, Event::InitDone);
    names(changed.into_iter().map(|object| (object.namespace, object.name)))
}

fn stored(feed: &Feed) -> Vec<String> {
    let objects = feed.unfinished.store.state();
    let named = |object: &Arc<ArxivQuery>| (object.metadata.namespace.clone(), object.metadata.name.clone());
    names(
        objects
            .iter()
            .map(named)
            .map(|(namespace, name)| (namespace, name.unwrap_or_default())),
    )
}

fn names(objects: impl Iterator<Item = (Option<String>, String)>) -> Vec<String> {
    let mut names: Vec<_> = objects
        .map(|(namespace, name)| format!("{}/{name}", namespace.unwrap_or_default()))
        .collect();
    names.sort();
    names
}

#[test]
fn listing_of_one_namespace_removes_what_is_gone_there_and_nothing_elsewhere() {
    let mut feed = feed(&[Some("a"), Some("b")]);
    let (kept, gone, other) = (object("a", "kept"), object("a", "gone"), object("b", "gone"));
    assert_eq!(list(&mut feed, 0, &[&kept, &gone]), ["a/gone", "a/kept"]);
    assert!(!feed.unfinished.is_current(), "b is not listed yet");
    feed.unfinished.set_current(0, false);
    let was_listed = |feed: &Feed, watch| feed.unfinished.listed(watch).now_or_never().is_some();
    assert!(was_listed(&feed, 0), "an error does not change that");
    assert!(!was_listed(&feed, 1));
    feed.unfinished.set_current(0, true);
    assert_eq!(list(&mut feed, 1, &[&other]), ["b/gone"]);
    assert!(feed.unfinished.is_current() && was_listed(&feed, 1));
    assert_eq!(list(&mut feed, 0, &[&kept]), ["a/gone", "a/kept"]);
    assert_eq!(stored(&feed), ["a/kept", "b/gone"]);
    assert_eq!(feed.unfinished.uids().len(), 2);
    assert_eq!(feed.take(1, Event::Delete(other)).len(), 1);
    assert_eq!(stored(&feed), ["a/kept"]);
}

#[test]
fn one_watch_on_all_namespaces_removes_what_is_gone_in_any() {
    let mut feed = feed(&[None]);
    let (first, second) = (object("a", "q"), object("b", "q"));
    assert_eq!(list(&mut feed, 0, &[&first, &second]), ["a/q", "b/q"]);
    let third = object("c", "q");
    assert_eq!(feed.take(0, Event::Apply(third)).len(), 1);
    assert_eq!(list(&mut feed, 0, &[&second]), ["a/q", "b/q", "c/q"]);
    assert_eq!(stored(&feed), ["b/q"]);
}

#[test]
fn watch_confirms_an_object_as_it_was_read_for_a_moment_after_a_change_in_its_namespace() {
    let mut feed = feed(&[Some("a"), Some("b")]);
    let with_version = |object: &ArxivQuery, version: &str| {
        let mut object = object.clone();
        object.metadata.resource_version = Some(version.to_owned());
        object
    };
    let query = with_version(&object("a", "q"), "1");
    let (other, elsewhere) = (object("a", "other"), object("b", "other"));
    list(&mut feed, 0, &[&query]);
    list(&mut feed, 1, &[]);
    let (now, later) = (Instant::now(), Instant::now() + FRESH * 2);
    let confirms = |feed: &Feed, object: &ArxivQuery, at| feed.unfinished.confirms(object, at);
    assert!(!confirms(&feed, &query, now), "a listing may be old");
    feed.take(1, Event::Apply(elsewhere));
    assert!(!confirms(&feed, &query, now), "another watch");
    feed.take(0, Event::Apply(other.clone()));
    assert!(confirms(&feed, &query, now));
    assert!(!confirms(&feed, &query, later), "nothing was seen since");
    feed.unfinished.set_current(0, false);
    assert!(!confirms(&feed, &query, now), "the watch is interrupted");
    feed.take(0, Event::Delete(other));
    assert!(confirms(&feed, &query, now));
    assert!(
        !confirms(&feed, &with_version(&query, "0"), now),
        "it has changed"
    );
    let again = with_version(&object("a", "q"), "1");
    assert!(!confirms(&feed, &again, now), "another object of the same name");
    feed.take(0, Event::Delete(query.clone()));
    assert!(!confirms(&feed, &query, now), "it is gone");
}
