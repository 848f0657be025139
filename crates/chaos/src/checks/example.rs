//! Facts of a small run without a fault in the system, for tests that change one thing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Kind, check};
use crate::facts::{
    Answer, Connection, Endpoint, Facts, Given, Object, Paper, Phase, QueryRow, Read, Request, ResultRow,
};

/// Objects `a` (succeeded, two papers), `b` (the same search) and `f` (failed fast, as arXiv throttled); a stranger's rows.
pub(crate) fn good() -> Facts {
    let mut facts = Facts {
        interval: Duration::from_millis(100),
        strangers: [(50, 1)].into(),
        ..Facts::default()
    };
    for (uid, number) in [("a", 1), ("b", 2)] {
        facts.objects.push(Object {
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
        rows(&mut facts, Some(uid), number, 2);
    }
    rows(&mut facts, None, 50, 1);
    facts.objects.push(Object {
        uid: "f".into(),
        name: "name-f".into(),
        search: "ti:f".into(),
        max_results: 2,
        fails_fast: true,
        phase: Phase::Failed,
        http_status: Some(429),
        ..Object::default()
    });
    facts.requests = vec![
        request(0, 1, "ti:x", Given::Papers),
        request(200, 2, "ti:f", Given::Throttled),
    ];
    facts.told_numbers = vec![60];
    facts.reads = vec![Read {
        name: "name-a".into(),
        papers: papers(2),
    }];
    facts.overviews = vec![papers(2).repeat(2)];
    facts.connections = facts
        .requests
        .iter()
        .map(|request| (request.connection, open(request.at, 50)))
        .collect::<BTreeMap<_, _>>();
    facts.answers = vec![
        Answer {
            timestamp: Some(1_000),
            num_entries: Some(2),
            ..answer("ti:x", Some(200))
        },
        Answer {
            alone: true,
            ..answer("ti:f", Some(429))
        },
        Answer {
            endpoint: Endpoint::Papers,
            papers: papers(2),
            ..answer("ti:x", Some(200))
        },
    ];
    facts
}

fn papers(count: i64) -> Vec<Option<Paper>> {
    (0..count).map(|index| Some(Paper { index, fetch: 1 })).collect()
}

/// A query's rows, whole.
pub(crate) fn rows(facts: &mut Facts, uid: Option<&str>, number: i64, count: i64) {
    let uid = uid.map(str::to_owned);
    facts.queries.push(QueryRow {
        uid: uid.clone(),
        number,
        timestamp: 1_000,
        status: 200,
        num_results: 5_000,
        num_entries: count,
    });
    let papers = papers(count).into_iter().zip(0..);
    facts.results.extend(papers.map(|(paper, place)| ResultRow {
        uid: uid.clone(),
        number,
        timestamp: 1_000,
        place,
        paper,
    }));
}

pub(crate) fn request(at_ms: u64, connection: u64, search: &str, answer: Given) -> Request {
    Request {
        at: Duration::from_millis(at_ms),
        time: Timestamp::UNIX_EPOCH + Duration::from_millis(at_ms),
        connection,
        search: search.into(),
        start: 0,
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

pub(crate) fn answer(search: &str, status: Option<u16>) -> Answer {
    Answer {
        endpoint: Endpoint::Search,
        search: search.into(),
        max_results: 2,
        alone: false,
        status,
        body: String::new(),
        name: None,
        timestamp: None,
        num_entries: None,
        papers: Vec::new(),
    }
}

/// Changes the good run and looks at what is found: the kinds, and a piece of the first text.
pub(crate) fn finds(name: &str, change: impl FnOnce(&mut Facts), kind: Kind, text: &str) {
    let mut facts = good();
    change(&mut facts);
    let found = check(&facts);
    assert!(
        found
            .iter()
            .any(|violation| violation.kind == kind && violation.text.contains(text)),
        "{name}: {found:?}"
    );
}

/// Changes the good run in a way that breaks nothing.
pub(crate) fn accepts(name: &str, change: impl FnOnce(&mut Facts)) {
    let mut facts = good();
    change(&mut facts);
    assert_eq!(check(&facts), [], "{name}");
}
