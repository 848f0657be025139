//! History of a small run without a fault in the system, for tests that change one thing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Kind, check};
use crate::history::{
    ApiResponse, ArxivAnswer, Connection, Endpoint, History, Object, Paper, Phase, QueryRow, Read, Request,
    ResultRow,
};

/// Objects `a` (succeeded, two papers), `b` (the same search) and `f` (failed fast, as arXiv throttled); a foreign row.
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
