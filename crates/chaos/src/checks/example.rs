//! History of a small run without a fault in the system, for tests that change one thing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Kind, check};
use crate::history::{
    ApiResponse, ArxivAnswer, Attempt, Connection, Delivery, Endpoint, Feed, FeedRead, History, Item, Object,
    Paper, Phase, QueryRow, Read, Request, ResultRow,
};

/// Objects `a` (succeeded, two papers), `b` (the same search) and `f` (failed fast, as arXiv throttled); a foreign row; a feed
/// with two items of one run, the first of which was delivered at the second attempt.
pub(crate) fn good() -> History {
    let mut history = History {
        min_interval: Duration::from_millis(100),
        foreign_rows: [(50, 1)].into(),
        ..History::default()
    };
    for (uid, number) in [("a", 1), ("b", 2)] {
        history.objects.push(Object {
            uid: uid.into(),
            name: format!("name-{uid}"),
            search: "ti:x".into(),
            max_results: 2,
            phase: Phase::Succeeded,
            number: Some(number),
            timestamp: Some(1_000),
            http_status: Some(200),
            num_results: Some(5_000),
            num_entries: Some(2),
            ..Object::default()
        });
        rows(&mut history, Some(uid), number, 2);
    }
    rows(&mut history, None, 50, 1);
    history.objects.push(Object {
        uid: "f".into(),
        name: "name-f".into(),
        search: "ti:f".into(),
        max_results: 2,
        fails_fast: true,
        phase: Phase::Failed,
        http_status: Some(429),
        ..Object::default()
    });
    history.tombstones.insert("f".into());
    feed(&mut history);
    history.requests = vec![
        request(0, 1, "ti:x", ArxivAnswer::Papers),
        request(200, 2, "ti:f", ArxivAnswer::Throttled),
    ];
    history.issued_numbers = vec![60];
    history.reads = vec![Read {
        name: "name-a".into(),
        papers: papers(2),
    }];
    history.full_reads = vec![papers(2).repeat(2)];
    history.connections = history
        .requests
        .iter()
        .map(|request| (request.connection, open(request.at, 50)))
        .collect::<BTreeMap<_, _>>();
    history.answers = vec![
        ApiResponse {
            timestamp: Some(1_000),
            num_entries: Some(2),
            ..answer("ti:x", Some(200))
        },
        ApiResponse {
            exclusive: true,
            ..answer("ti:f", Some(429))
        },
        ApiResponse {
            endpoint: Endpoint::Papers,
            papers: papers(2),
            ..answer("ti:x", Some(200))
        },
    ];
    history
}

fn feed(history: &mut History) {
    history.objects.push(Object {
        uid: "run".into(),
        name: "feed-1".into(),
        search: "cat:z".into(),
        is_run: true,
        max_results: 2_000,
        phase: Phase::Succeeded,
        number: Some(3),
        timestamp: Some(1_000),
        http_status: Some(200),
        num_results: Some(5_000),
        num_entries: Some(2),
        ..Object::default()
    });
    rows(history, Some("run"), 3, 2);
    let of_run = history.results.iter_mut().filter(|row| row.number == 3);
    of_run.for_each(|row| row.paper = None);
    let item = |position: i64, origin: &str| Item {
        position,
        version: u16::try_from(position)
            .ok()
            .map(|version| ("2402.00001".to_owned(), version)),
        origin: origin.to_owned(),
    };
    let items = [item(1, "run"), item(2, "run")];
    let versions = items.iter().filter_map(|item| item.version.clone());
    let versions: std::collections::BTreeSet<_> = versions.collect();
    history.feeds = vec![Feed {
        uid: "u".into(),
        name: "feed".into(),
        is_present: true,
        has_webhook: true,
        required: versions.clone(),
        found: versions,
        deliveries: [("d1", 1), ("d2", 2)]
            .map(|(id, position)| Delivery {
                id: id.into(),
                first: position,
                last: position,
                state: "Delivered".into(),
            })
            .into(),
        items: items.into(),
    }];
    history.present_feeds = 1;
    history.feeds_are_settled = true;
    history.feed_reads = vec![FeedRead {
        name: "feed".into(),
        is_whole: true,
        items: vec![item(1, "tag:u/1"), item(2, "tag:u/2")],
    }];
    let attempts = [("d1", 1, false), ("d1", 1, true), ("d2", 2, true)];
    history.attempts = attempts
        .map(|(id, position, is_accepted)| Attempt {
            id: id.into(),
            body: id.into(),
            items: vec![item(position, "tag:u")],
            is_accepted,
        })
        .into();
}

fn papers(count: i64) -> Vec<Option<Paper>> {
    (0..count).map(|index| Some(Paper { index, fetch: 1 })).collect()
}

/// All rows of a query.
pub(crate) fn rows(history: &mut History, uid: Option<&str>, number: i64, count: i64) {
    let uid = uid.map(str::to_owned);
    history.queries.push(QueryRow {
        uid: uid.clone(),
        number,
        timestamp: 1_000,
        status: 200,
        num_results: 5_000,
        num_entries: count,
    });
    let papers = papers(count).into_iter().zip(0..);
    history.results.extend(papers.map(|(paper, position)| ResultRow {
        uid: uid.clone(),
        number,
        timestamp: 1_000,
        position,
        paper,
    }));
}

pub(crate) fn request(at_ms: u64, connection: u64, search: &str, answer: ArxivAnswer) -> Request {
    Request {
        at: Duration::from_millis(at_ms),
        time: Timestamp::UNIX_EPOCH + Duration::from_millis(at_ms),
        connection,
        search: search.into(),
        start: 0,
        max_results: 2,
        answer,
        by: None,
    }
}

pub(crate) fn open(from: Duration, for_ms: u64) -> Connection {
    Connection {
        opened: from,
        closed: Some(from + Duration::from_millis(for_ms)),
    }
}

pub(crate) fn answer(search: &str, status: Option<u16>) -> ApiResponse {
    ApiResponse {
        began: Duration::ZERO,
        endpoint: Endpoint::Search,
        search: search.into(),
        max_results: 2,
        exclusive: false,
        status,
        body: String::new(),
        name: None,
        timestamp: None,
        num_entries: None,
        papers: Vec::new(),
    }
}

/// Changes the good run and checks that a violation of this kind is found whose text contains `text`.
pub(crate) fn finds(name: &str, change: impl FnOnce(&mut History), kind: Kind, text: &str) {
    let mut history = good();
    change(&mut history);
    let found = check(&history);
    assert!(
        found
            .iter()
            .any(|violation| violation.kind == kind && violation.text.contains(text)),
        "{name}: {found:?}"
    );
}

/// Changes the good run in a way that violates nothing.
pub(crate) fn accepts(name: &str, change: impl FnOnce(&mut History)) {
    let mut history = good();
    change(&mut history);
    assert_eq!(check(&history), [], "{name}");
}
