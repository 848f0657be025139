use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures::{FutureExt, channel::mpsc::unbounded};
use jiff::Timestamp;
use queue::Age;
use tokio::time::timeout;

use super::*;

fn object(name: &str) -> Object {
    Object::new(name).within("n")
}

/// The place of the object of this name: its uid is made of the name.
fn place(name: &str, client: &str, priority: i32, arrival: i64) -> QueueEntry {
    let uid = name
        .bytes()
        .fold(0, |sum: u128, byte| (sum << 8) | u128::from(byte));
    let (namespace, client) = client.split_once('/').unwrap_or(("n", client));
    QueueEntry {
        query: Uuid::from_u128(uid),
        priority,
        namespace: namespace.into(),
        client: client.into(),
        age: Age::answered(Timestamp::from_second(arrival).unwrap()),
    }
}

fn set(state: &mut State, name: &str, arrival: i64) {
    state.set(object(name), Some(place(name, "", 0, arrival)));
}

fn popped(state: &mut State) -> Vec<String> {
    std::iter::from_fn(|| state.pop())
        .map(|object| object.name)
        .collect()
}

#[test]
fn waiting_objects_are_taken_by_priority_then_namespaces_and_clients_in_turn_then_arrival() {
    /// (name, client or NAMESPACE/CLIENT, priority, arrival)
    type Row = (&'static str, &'static str, i32, i64);
    let cases: &[(&str, &[Row], &[&str])] = &[
        ("nothing", &[], &[]),
        (
            "arrival",
            &[("c", "", 0, 3), ("a", "", 0, 1), ("b", "", 0, 2)],
            &["a", "b", "c"],
        ),
        (
            "priority",
            &[("low", "", -1, 1), ("usual", "", 0, 2), ("urgent", "", 5, 3)],
            &["urgent", "usual", "low"],
        ),
        (
            "clients in turn",
            &[
                ("a1", "a", 0, 1),
                ("a2", "a", 0, 2),
                ("a3", "a", 0, 3),
                ("b4", "b", 0, 4),
            ],
            &["a1", "b4", "a2", "a3"],
        ),
        (
            "namespaces in turn",
            &[
                ("a1", "m/a", 0, 1),
                ("b1", "m/b", 0, 2),
                ("c1", "m/c", 0, 3),
                ("z", "o/a", 0, 9),
            ],
            &["a1", "z", "b1", "c1"],
        ),
        (
            "one that waits already keeps its arrival",
            &[("a", "", 0, 1), ("b", "", 0, 2), ("a", "", 0, 3)],
            &["a", "b"],
        ),
        (
            "one that waits already has its new priority",
            &[("a", "", 0, 1), ("b", "", 0, 2), ("b", "", 1, 3)],
            &["b", "a"],
        ),
        (
            "one whose page has come is as old as its object",
            &[("a", "", 0, 5), ("b", "", 0, 6), ("b", "", 0, 2)],
            &["b", "a"],
        ),
    ];
    for (case, rows, order) in cases {
        let mut state = State::new(99);
        for (name, client, priority, arrival) in *rows {
            state.set(object(name), Some(place(name, client, *priority, *arrival)));
        }
        assert_eq!(popped(&mut state), *order, "{case}");
        assert!(state.waiting.is_empty() && state.names.is_empty(), "{case}");
    }
}

#[test]
fn object_of_a_busy_client_waits_for_one_of_each_other_client_only() {
    let mut state = State::new(1);
    for n in 0..50 {
        let name = format!("busy-{n}");
        state.set(object(&name), Some(place(&name, "busy", 0, n)));
    }
    let mut turns: Vec<String> = Vec::new();
    for n in 50..60 {
        // The others come one by one, and each has its turn after one of the busy client at most.
        let name = format!("other-{n}");
        state.set(object(&name), Some(place(&name, "other", 0, n)));
        for _ in 0..2 {
            let next = state.pop().unwrap();
            state.begin(&next);
            state.ended(&next);
            turns.push(next.name);
        }
    }
    let others = turns.iter().filter(|name| name.starts_with("other")).count();
    assert_eq!(others, 10, "{turns:?}");
}

/// What happens to one object, with a limit of one, and whether it waits or was given to the applier afterwards.
#[test]
fn turn_ends_with_each_outcome_and_an_object_is_never_given_twice_at_once() {
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Triggered,
        Gone,
        /// The queue gives what is next: whether that is the object.
        Given(bool),
        /// The applier begins: whether it is the object's turn.
        Begun(bool),
        Ended,
    }
    use Step::{Begun, Ended, Given, Gone, Triggered};
    let cases: &[(&str, &[Step], bool, bool)] = &[
        ("waits", &[Triggered, Triggered], true, false),
        (
            "gone while it waits",
            &[Triggered, Gone, Given(false)],
            false,
            false,
        ),
        ("runs", &[Triggered, Given(true), Begun(true)], false, true),
        (
            "done",
            &[Triggered, Given(true), Begun(true), Ended],
            false,
            false,
        ),
        (
            "found gone by the applier",
            &[Triggered, Given(true), Ended],
            false,
            false,
        ),
        (
            "triggered while it runs",
            &[
                Triggered,
                Given(true),
                Begun(true),
                Triggered,
                Given(false),
                Ended,
            ],
            true,
            false,
        ),
        (
            "triggered after it was given",
            &[Triggered, Given(true), Triggered, Begun(true), Ended, Given(true)],
            false,
            true,
        ),
        (
            "gone while it runs",
            &[Triggered, Given(true), Begun(true), Triggered, Gone, Ended],
            false,
            false,
        ),
        ("requeued by the applier", &[Begun(false), Triggered], true, false),
        (
            "requeued by the applier while it runs",
            &[Triggered, Given(true), Begun(true), Begun(false)],
            false,
            true,
        ),
        (
            "ended without a turn",
            &[Triggered, Ended, Given(true)],
            false,
            true,
        ),
    ];
    for (case, steps, waits, given) in cases {
        let mut state = State::new(1);
        let mut arrival = 0;
        for step in *steps {
            arrival += 1;
            match step {
                Triggered => set(&mut state, "a", arrival),
                Gone => state.set(object("a"), None),
                Given(expected) => assert_eq!(state.pop().is_some(), *expected, "{case}"),
                Begun(expected) => assert_eq!(state.begin(&object("a")), *expected, "{case}"),
                Ended => state.ended(&object("a")),
            }
        }
        assert_eq!(state.waiting.contains_key(&object("a")), *waits, "{case}");
        assert_eq!(state.given.contains_key(&object("a")), *given, "{case}");
        assert_eq!(state.names.len(), state.waiting.len(), "{case}");
    }
}

#[test]
fn object_with_the_name_of_another_takes_its_place_in_the_queue() {
    let mut state = State::new(9);
    set(&mut state, "b", 2);
    state.set(object("a"), Some(place("old", "", 0, 1)));
    state.set(object("a"), Some(place("new", "", 0, 3)));
    assert_eq!(popped(&mut state), ["b", "a"], "it has its own arrival");
    assert!(state.names.is_empty(), "and the old one has none");
}

/// Places in the order of names; "gone" does not exist.
fn queue(limit: u16) -> Arc<ReconcileQueue> {
    ReconcileQueue::new(limit, |object| {
        let exists = object.name != "gone";
        exists.then(|| place(&object.name, "", 0, 1))
    })
}

async fn next(turns: &mut (impl Stream<Item = Object> + Unpin)) -> String {
    let next = timeout(Duration::from_secs(30), turns.next()).await;
    next.expect("nothing is given").expect("the queue has ended").name
}

#[tokio::test]
async fn objects_are_given_up_to_the_limit_and_further_ones_as_turns_end() {
    let queue = queue(2);
    let (triggers, triggered) = unbounded();
    let mut turns = Box::pin(Arc::clone(&queue).turns(triggered));
    for name in ["gone", "d", "c", "b", "a"] {
        triggers.unbounded_send(object(name)).unwrap();
    }
    assert_eq!(
        (next(&mut turns).await, next(&mut turns).await),
        ("a".into(), "b".into())
    );
    assert!(turns.next().now_or_never().is_none(), "two are enough");
    let first = queue.begin(object("a")).unwrap();
    assert!(turns.next().now_or_never().is_none());
    drop(first);
    assert_eq!(next(&mut turns).await, "c");
    // The applier begins with one whose time has come: it is not its turn.
    assert!(queue.begin(object("aa")).is_none());
    assert!(turns.next().now_or_never().is_none());
    queue.ended(&object("b"));
    assert_eq!(next(&mut turns).await, "d", "the uid of a longer name is higher");
    queue.ended(&object("c"));
    assert_eq!(next(&mut turns).await, "aa");
    drop(triggers);
    assert!(turns.next().await.is_none(), "it ends with its triggers");
}

/// Clients that each ask again when they are answered: nobody waits much longer than the others.
#[test]
fn clients_that_ask_again_and_again_are_served_alike() {
    const CLIENTS: usize = 256;
    let mut state = State::new(16);
    let (mut arrival, mut served) = (0, BTreeMap::<String, usize>::new());
    for n in 0..CLIENTS {
        set(&mut state, &format!("{n:03}"), arrival);
        arrival += 1;
    }
    for _ in 0..10 * CLIENTS {
        let running: HashSet<Object> = std::iter::from_fn(|| state.pop()).collect();
        for object in running {
            state.begin(&object);
            state.ended(&object);
            *served.entry(object.name.clone()).or_default() += 1;
            set(&mut state, &object.name, arrival);
            arrival += 1;
        }
    }
    let (least, most) = (served.values().min(), served.values().max());
    assert_eq!(
        (served.len(), least, most.map(|most| most - 1) <= least.copied()),
        (CLIENTS, least, true)
    );
}
