use crd::ArxivFeedSpec;
use storage::feeds::{InitialItems, LastRun, Progress};

use super::*;

fn time(text: &str) -> Timestamp {
    format!("2026-03-02T{text}Z").parse().unwrap()
}

fn state(last: Option<(Outcome, i32)>) -> FeedState {
    FeedState {
        id: uuid::Uuid::nil(),
        search: String::new(),
        seen_set: 1,
        items: 7,
        progress: Progress::default(),
        initial_items: InitialItems::Include,
        last_run: last.map(|(outcome, new_items)| LastRun {
            recorded_at: time("06:18:00"),
            outcome,
            new_items,
        }),
        last_complete_run: None,
    }
}

#[test]
fn status_says_what_the_feed_does_and_how_complete_it_is() {
    let plan = Plan {
        due: None,
        missed: None,
        next: Some(time("07:17:00")),
    };
    let missed = Plan {
        missed: Some(time("06:17:00")),
        ..plan
    };
    let complete = Some((Outcome::Complete, 2));
    // Suspended, plan, created, last run; Ready's reason, Complete's status and reason, message.
    #[rustfmt::skip]
    let cases = [
        (false, plan, false, None, "Scheduled", "Unknown NoRunYet", "waits for its first run"),
        (true, plan, false, None, "Suspended", "Unknown NoRunYet", "suspended; runs start again"),
        (false, plan, true, None, "Scheduled", "Unknown NoRunYet", "feed-29540537 runs"),
        (false, plan, false, complete, "Scheduled", "True AllRead", "the last run found 2 new"),
        (false, missed, false, complete, "Scheduled", "True AllRead", "could not start in time"),
        (false, plan, false, Some((Outcome::Incomplete, 2)), "Scheduled", "False MoreToRead", "the next one goes on"),
        (false, plan, false, Some((Outcome::OtherSearch, 2)), "Scheduled", "False SearchChanged", "everything"),
    ];
    for (suspend, plan, is_created, last, reason, complete, message) in cases {
        let spec = ArxivFeedSpec {
            suspend,
            ..ArxivFeedSpec::default()
        };
        let (mut feed, state) = (ArxivFeed::new("feed", spec), state(last));
        feed.metadata.generation = Some(3);
        let snapshot = Snapshot {
            feed: &feed,
            runs: &Runs::default(),
            state: &state,
            webhooks: &[],
            plan,
            created: is_created.then(|| RunKey::first(time("06:17:00"))),
            stall: None,
            now: time("06:20:00"),
        };
        let status = snapshot.status();
        let [ready, completeness] = &status.conditions[..] else {
            panic!("{:?}", status.conditions)
        };
        assert_eq!(
            (ready.status.as_str(), ready.reason.as_str()),
            ("True", reason),
            "{message}"
        );
        assert_eq!(
            format!("{} {}", completeness.status, completeness.reason),
            complete,
            "{message}"
        );
        assert!(
            status.message.as_ref().unwrap().contains(message),
            "{:?}",
            status.message
        );
        assert_eq!(status.active.as_deref(), is_created.then_some("feed-29540537"));
        assert_eq!(status.next_schedule_time.is_some(), !suspend, "{message}");
        assert_eq!((status.items, status.observed_generation), (Some(7), Some(3)));
        let mut reported = feed.clone();
        reported.status = Some(status.clone());
        let again = Snapshot {
            feed: &reported,
            now: time("06:21:00"),
            ..snapshot
        };
        assert_eq!(again.status(), status, "nothing new, so nothing is written");
    }
}

#[test]
fn status_says_why_a_run_was_not_created_until_one_is() {
    let (mut feed, state) = (ArxivFeed::new("feed", ArxivFeedSpec::default()), state(None));
    feed.metadata.generation = Some(3);
    let stall = Stall {
        reason: FeedReason::RunRefused,
        message: "exceeded quota".to_owned(),
    };
    let refused = Snapshot {
        feed: &feed,
        runs: &Runs::default(),
        state: &state,
        webhooks: &[],
        plan: Plan {
            due: Some(time("06:17:00")),
            missed: None,
            next: None,
        },
        created: None,
        stall: Some(&stall),
        now: time("06:20:00"),
    };
    let status = refused.status();
    let conditions: Vec<_> = status
        .conditions
        .iter()
        .map(|condition| {
            (
                condition.type_.as_str(),
                condition.status.as_str(),
                condition.reason.as_str(),
            )
        })
        .collect();
    let expected = [
        ("Ready", "False", "RunRefused"),
        ("Complete", "Unknown", "NoRunYet"),
        ("Stalled", "True", "RunRefused"),
    ];
    assert_eq!(conditions, expected);
    assert_eq!(
        (
            status.message.as_deref(),
            status.observed_generation,
            &status.active
        ),
        (Some("exceeded quota"), Some(3), &None)
    );
    let mut reported = feed.clone();
    reported.status = Some(status);
    let created = Snapshot {
        feed: &reported,
        created: Some(RunKey::first(time("06:17:00"))),
        stall: None,
        ..refused
    };
    let conditions = created.status().conditions;
    let types: Vec<_> = conditions
        .iter()
        .map(|condition| (condition.type_.as_str(), condition.status.as_str()))
        .collect();
    assert_eq!(types, [("Ready", "True"), ("Complete", "Unknown")]);
}

#[test]
fn what_came_of_a_run_is_reported_with_its_end() {
    let first = Some((Outcome::Complete, 2));
    #[rustfmt::skip]
    let cases = [
        ("runs", Some("feed-29540537"), first, (None, "Unknown")),
        ("another one ran", Some("feed-29540536"), first, (Some(7), "True")),
        ("none ran", None, first, (Some(7), "True")),
        ("the search has changed", Some("feed-29540537"), Some((Outcome::OtherSearch, 2)), (Some(7), "False")),
    ];
    for (name, active, last, expected) in cases {
        let mut feed = ArxivFeed::new("feed", ArxivFeedSpec::default());
        let state = state(last);
        let complete = condition(
            &feed,
            FeedCondition::Complete,
            Truth::Unknown,
            FeedReason::NoRunYet,
            "",
            time("06:00:00"),
        );
        feed.status = Some(ArxivFeedStatus {
            active: active.map(str::to_owned),
            conditions: vec![complete],
            ..ArxivFeedStatus::default()
        });
        let snapshot = Snapshot {
            feed: &feed,
            runs: &Runs::default(),
            state: &state,
            webhooks: &[],
            plan: Plan {
                due: None,
                missed: None,
                next: None,
            },
            created: Some(RunKey::first(time("06:17:00"))),
            stall: None,
            now: time("06:20:00"),
        };
        let status = snapshot.status();
        assert_eq!(
            (status.items, status.conditions[1].status.as_str()),
            expected,
            "{name}"
        );
    }
}
