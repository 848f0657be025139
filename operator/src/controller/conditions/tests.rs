use crd::ArxivQuerySpec;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn object() -> ArxivQuery {
    let mut object = ArxivQuery::new("q", ArxivQuerySpec::default());
    object.metadata.generation = Some(3);
    object
}

fn recorded(num_results: i32, query: &str) -> Recorded {
    Recorded {
        query_id: 7,
        timestamp: 99,
        status: 200,
        num_results,
        num_entries: 8,
        query: query.into(),
    }
}

fn shape(status: &ArxivQueryStatus) -> Vec<(&str, &str, &str)> {
    let all = status.conditions.iter();
    all.map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str()))
        .collect()
}

#[test]
fn success_carries_the_rows_that_stand() {
    let status = succeeded(
        &object(),
        None,
        "au:knuth",
        &recorded(1234, "search_query=au:knuth&id_list="),
        at(50),
    );
    assert_eq!(
        shape(&status),
        [("Ready", "True", "Succeeded"), ("Finished", "True", "Succeeded")]
    );
    assert_eq!(
        (
            status.phase,
            status.query_id,
            status.timestamp,
            status.http_status
        ),
        (Phase::Succeeded, Some(7), Some(99), Some(200))
    );
    assert_eq!((status.num_results, status.num_entries), (Some(1234), Some(8)));
    assert_eq!(status.observed_generation, Some(3));
    assert_eq!(status.query.as_deref(), Some("au:knuth"));
    assert_eq!(status.message.as_deref(), Some("stored 8 of 1234 papers"));
    assert_eq!(
        (status.start_time, status.completion_time),
        (Some(Time(at(50))), Some(Time(at(50))))
    );
    let nothing = succeeded(&object(), None, "au:knuth", &recorded(0, ""), at(50));
    assert_eq!(
        nothing.message.as_deref(),
        Some("arXiv finds no paper for this search")
    );
}

#[test]
fn failure_carries_the_callers_status_and_what_was_known() {
    let mut known = Progress::of(&object(), at(10));
    known.started = Some(at(20));
    known.attempts = 2;
    let verdict = Verdict {
        reason: Reason::BrokenFeed,
        message: "x".repeat(5_000),
        http_status: Some(502),
    };
    let status = failed(
        &object(),
        Some(&known),
        Some("au:knuth"),
        &verdict,
        Some(at(80)),
        at(50),
    );
    assert_eq!(
        shape(&status),
        [
            ("Ready", "False", "BrokenFeed"),
            ("Finished", "True", "BrokenFeed"),
            ("Stalled", "True", "BrokenFeed")
        ]
    );
    assert_eq!(
        (status.phase, status.http_status, status.attempts),
        (Phase::Failed, Some(502), Some(2))
    );
    assert_eq!(status.start_time, Some(Time(at(20))));
    assert_eq!((status.query_id, status.retry_after), (None, None));
    let throttled = Verdict {
        http_status: Some(503),
        ..verdict
    };
    let status = failed(
        &object(),
        Some(&known),
        Some("au:knuth"),
        &throttled,
        Some(at(80)),
        at(50),
    );
    assert_eq!(status.retry_after, Some(Time(at(80))));
    assert!(status.message.unwrap().chars().count() <= MAX_MESSAGE);
}

#[test]
fn a_condition_keeps_its_time_while_it_keeps_its_status() {
    let mut known = Progress::of(&object(), at(10));
    let mut object = object();
    let told = |obstacle, message: &str| Telling {
        obstacle,
        message: message.into(),
        asked_again_at: None,
    };
    let throttled = told(Some(Obstacle::Throttled), "waits");
    let first = unfinished(&object, &known, "au:knuth", &throttled, at(20));
    assert_eq!(first.phase, Phase::Pending);
    assert_eq!(
        shape(&first),
        [
            ("Ready", "False", "UpstreamThrottled"),
            ("Finished", "False", "Pending")
        ]
    );
    object.status = Some(first);
    assert_eq!(Obstacle::told(&object), Some(Obstacle::Throttled));
    known.started = Some(at(25));
    let second = unfinished(&object, &known, "au:knuth", &told(None, "goes on"), at(30));
    assert_eq!(
        shape(&second),
        [("Ready", "False", "Running"), ("Finished", "False", "Running")]
    );
    assert_eq!(second.conditions[0].last_transition_time, Time(at(20)));
    object.status = Some(second);
    assert_eq!(Obstacle::told(&object), None);
    let last = succeeded(&object, Some(&known), "au:knuth", &recorded(8, ""), at(40));
    assert_eq!(last.start_time, Some(Time(at(25))));
    assert_eq!(last.conditions[0].last_transition_time, Time(at(40)));
}

#[test]
fn a_suspended_query_has_no_start() {
    let mut known = Progress::of(&object(), at(10));
    (known.started, known.attempts) = (Some(at(20)), 2);
    let status = suspended(&object(), &known, "au:knuth", at(30));
    assert_eq!(
        shape(&status),
        [
            ("Ready", "False", "Suspended"),
            ("Finished", "False", "Suspended")
        ]
    );
    assert_eq!(
        (status.phase, status.start_time, status.attempts),
        (Phase::Suspended, None, Some(2))
    );
}

#[test]
fn a_rewritten_query_is_shown_beside_the_sent_one() {
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
fn length_is_counted_in_characters() {
    assert_eq!(shortened("árvíz", 5), "árvíz");
    assert_eq!(shortened("árvízt", 5), "árví…");
}
