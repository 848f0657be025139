use super::*;
use crate::{controller::report::progress_report::reported, fetch::progress::Progress};
use crd::{ArxivQuery, ArxivQuerySpec};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn object() -> ArxivQuery {
    let mut object = ArxivQuery::new("q", ArxivQuerySpec::default());
    object.metadata.generation = Some(3);
    object
}

fn progress() -> Progress {
    Progress::of(&object(), at(10))
}

fn snapshot<'a>(object: &'a ArxivQuery, progress: &'a Progress, now: i64) -> Snapshot<'a> {
    Snapshot {
        object,
        progress,
        sent: Some("au:knuth"),
        cooling_until: Some(at(80)),
        now: at(now),
    }
}

fn recorded(num_results: i32, query: &str) -> QueryRow {
    QueryRow {
        query_id: 7,
        timestamp: 99,
        status: 200,
        num_results,
        num_entries: 8,
        query: query.into(),
    }
}

/// Type, status and reason of each condition.
fn conditions(status: &ArxivQueryStatus) -> Vec<(&str, &str, &str)> {
    let all = status.conditions.iter();
    all.map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str()))
        .collect()
}

#[test]
fn succeeded_status_is_built_from_the_recorded_rows() {
    let (object, progress) = (object(), progress());
    let snapshot = snapshot(&object, &progress, 50);
    let status = snapshot.succeeded(&recorded(1234, "search_query=au:knuth&id_list="));
    assert_eq!(
        conditions(&status),
        [
            ("Ready", "True", "Succeeded"),
            ("Finished", "True", "Succeeded"),
            ("Complete", "True", "Succeeded")
        ]
    );
    assert_eq!(
        (
            status.phase,
            status.query_id,
            &status.answer_time,
            status.http_status
        ),
        (Phase::Succeeded, Some(7), &Some(Time(at(99))), Some(200))
    );
    assert_eq!(
        (status.total_results, status.stored_results),
        (Some(1234), Some(8))
    );
    assert_eq!(status.observed_generation, Some(3));
    assert_eq!(status.query.as_deref(), Some("au:knuth"));
    assert_eq!(status.message.as_deref(), Some("stored 8 of 1234 papers"));
    assert_eq!(
        (status.start_time, status.completion_time),
        (Some(Time(at(50))), Some(Time(at(50))))
    );
    assert_eq!(status.duration.as_deref(), Some("0s"));
    let empty = snapshot.succeeded(&recorded(0, ""));
    assert_eq!(
        empty.message.as_deref(),
        Some("arXiv finds no paper for this search")
    );
}

#[test]
fn failed_status_has_http_status_and_progress() {
    let (object, mut progress) = (object(), progress());
    progress.started = Some(at(20));
    progress.attempts = 2;
    let snapshot = snapshot(&object, &progress, 50);
    let broken = FailureRecord {
        reason: "BrokenFeed".into(),
        message: "x".repeat(5_000),
        http_status: Some(502),
    };
    let status = snapshot.failed(&broken);
    assert_eq!(
        conditions(&status),
        [
            ("Ready", "False", "BrokenFeed"),
            ("Finished", "True", "BrokenFeed"),
            ("Stalled", "True", "BrokenFeed"),
            ("Failed", "True", "BrokenFeed")
        ]
    );
    assert_eq!(
        (status.phase, status.http_status, status.attempts),
        (Phase::Failed, Some(502), Some(2))
    );
    assert_eq!(status.start_time, Some(Time(at(20))));
    assert_eq!(status.duration.as_deref(), Some("30s"));
    assert_eq!((status.query_id, status.retry_after), (None, None));
    let throttled = FailureRecord {
        http_status: Some(503),
        ..broken
    };
    let status = snapshot.failed(&throttled);
    assert_eq!(status.retry_after, Some(Time(at(80))));
    assert!(status.message.unwrap().chars().count() <= MAX_MESSAGE);
}

#[test]
fn condition_keeps_its_transition_time_while_its_status_stays() {
    let (mut object, mut progress) = (object(), progress());
    let update = |blocked, message: &str| StatusUpdate {
        blocked,
        message: message.into(),
        retry_after: None,
    };
    let throttled = update(Some(Reason::UpstreamThrottled), "waits");
    let first = snapshot(&object, &progress, 20).unfinished(&throttled);
    assert_eq!(first.phase, Phase::Pending);
    assert_eq!(
        conditions(&first),
        [
            ("Ready", "False", "UpstreamThrottled"),
            ("Finished", "False", "Pending")
        ]
    );
    object.status = Some(first);
    assert_eq!(reported(&object), Some(Reason::UpstreamThrottled));
    progress.started = Some(at(25));
    let second = snapshot(&object, &progress, 30).unfinished(&update(None, "continues"));
    assert_eq!(
        conditions(&second),
        [("Ready", "False", "Running"), ("Finished", "False", "Running")]
    );
    assert_eq!(second.conditions[0].last_transition_time, Time(at(20)));
    object.status = Some(second);
    assert_eq!(reported(&object), None);
    let last = snapshot(&object, &progress, 40).succeeded(&recorded(8, ""));
    assert_eq!(last.start_time, Some(Time(at(25))));
    assert_eq!(last.conditions[0].last_transition_time, Time(at(40)));
}

#[test]
fn duration_is_written_as_kubernetes_writes_durations() {
    for (seconds, text) in [
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3_723, "1h2m3s"),
        (90_000, "25h"),
        (-5, "0s"),
    ] {
        assert_eq!(duration(&Time(at(10)), at(10 + seconds)), text);
    }
}

#[test]
fn suspended_status_has_no_start_time() {
    let (object, mut progress) = (object(), progress());
    (progress.started, progress.attempts) = (Some(at(20)), 2);
    let status = snapshot(&object, &progress, 30).suspended();
    assert_eq!(
        conditions(&status),
        [
            ("Ready", "False", "Suspended"),
            ("Finished", "False", "Suspended")
        ]
    );
    assert_eq!(
        (status.phase, &status.start_time, status.attempts),
        (Phase::Suspended, &None, Some(2))
    );
    assert_eq!(status.resume_time, None);
    let (mut object, now) = (object.clone(), at(60));
    object.status = Some(status);
    let progress = Progress::of(&object, now);
    let resumed = snapshot(&object, &progress, 61).unfinished(&StatusUpdate {
        blocked: None,
        message: "waits".into(),
        retry_after: None,
    });
    assert_eq!(
        (resumed.phase, &resumed.resume_time),
        (Phase::Pending, &Some(Time(now)))
    );
    // The next status keeps it.
    object.status = Some(resumed);
    let next = snapshot(&object, &progress, 90).unfinished(&StatusUpdate {
        blocked: None,
        message: "waits".into(),
        retry_after: None,
    });
    assert_eq!(next.resume_time, Some(Time(now)));
}

#[test]
fn query_text_has_arxivs_form_where_it_differs() {
    let sent = "au:knuth AND ti:art";
    for (title, text) in [
        (
            "search_query=au:knuth AND ti:art&id_list=&start=0&max_results=8",
            sent.to_owned(),
        ),
        ("", sent.to_owned()),
        (
            "search_query=au:\"knuth\"&id_list=&start=0",
            format!("{sent} (arXiv ran: au:\"knuth\")"),
        ),
        (
            "search_query=au:knuth AND ti:art&id_list=2401.01234&start=0&max_results=8",
            format!("{sent} (arXiv ran: au:knuth AND ti:art&id_list=2401.01234)"),
        ),
        ("something else", format!("{sent} (arXiv ran: something else)")),
    ] {
        assert_eq!(query_text(sent, title), text, "{title}");
    }
}

#[test]
fn truncated_counts_characters_not_bytes() {
    assert_eq!(truncated("árvíz", 5), "árvíz");
    assert_eq!(truncated("árvízt", 5), "árví…");
}
