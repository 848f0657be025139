//! Which scheduled times have a run.

use crd::{FEED_LABEL, FeedCondition, Phase, SortBy};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{condition, half_an_hour_ago, start};

#[tokio::test(flavor = "multi_thread")]
async fn feed_runs_at_its_time_and_its_run_is_a_query_with_its_own_number() {
    let feeds = start().await;
    let template = json!({"metadata": {"labels": {"team": "a"}}, "spec": {"priority": 5}});
    let before = Timestamp::now();
    let feed = feeds
        .create(
            "knuth",
            json!({"schedule": "* * * * *", "queryTemplate": template, "maxResultsPerRun": 100}),
        )
        .await;
    assert_eq!(feed.status.unwrap().observed_generation, Some(-1));
    let run = feeds.run("knuth").await;
    feeds.patch_spec("knuth", json!({"suspend": true})).await;

    let name = run.metadata.name.clone().unwrap();
    let minutes: i64 = name.strip_prefix("knuth-").unwrap().parse().unwrap();
    let scheduled = Timestamp::from_second(minutes * 60).unwrap();
    let waited = scheduled.duration_since(before);
    assert!(
        waited > SignedDuration::ZERO && waited <= SignedDuration::from_secs(60),
        "{waited}"
    );
    let labels = run.metadata.labels.clone().unwrap();
    assert_eq!(
        (labels[FEED_LABEL].as_str(), labels["team"].as_str()),
        ("knuth", "a")
    );
    let owner = &run.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.kind.as_str(), owner.controller), ("ArxivFeed", Some(true)));
    let spec = &run.spec;
    assert_eq!(
        (spec.search.author.as_deref(), spec.search.sort_by),
        (Some("knuth"), SortBy::LastUpdatedDate)
    );
    assert_eq!(
        (spec.max_results, spec.priority, &spec.search.updated_after),
        (100, 5, &None)
    );

    let ended = feeds.env.finished(&name).await;
    assert_eq!((ended.phase, ended.stored_results), (Phase::Succeeded, Some(5)));
    assert!(ended.query_id.is_some());
    let feed = feeds
        .status_when("knuth", "reported with its run", |_, status| {
            status.last_new_items == Some(5) && status.active.is_none() && status.next_schedule_time.is_none()
        })
        .await;
    let status = feed.status.clone().unwrap();
    assert_eq!(status.last_schedule_time.unwrap().0, scheduled);
    assert_eq!(status.last_successful_time, ended.completion_time);
    assert_eq!(status.items, Some(5));
    assert_eq!(
        condition(&feed, FeedCondition::Ready),
        Some(("True", "Suspended"))
    );
    assert_eq!(
        condition(&feed, FeedCondition::Complete),
        Some(("True", "AllRead"))
    );
    assert_eq!(condition(&feed, FeedCondition::Stalled), None);
    feeds.until_events("knuth", &["RunCreated", "RunSucceeded"]).await;
    assert_eq!(feeds.runs("knuth").await.len(), 1, "suspended");
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_times_have_one_run_and_none_has_two_whatever_is_killed() {
    let feeds = start().await;
    // Suspended, nothing runs; resumed, one run covers an hour.
    feeds
        .create("resumed", json!({"schedule": "* * * * *", "suspend": true}))
        .await;
    feeds.observed("resumed").await;
    feeds.backdate("resumed", 60).await;
    // Another one has its last time half an hour ago, and the next one tomorrow.
    let (daily, scheduled) = half_an_hour_ago();
    feeds.create("daily", json!({"schedule": daily})).await;
    let new = feeds.observed("daily").await;
    assert_eq!(condition(&new, FeedCondition::Ready), Some(("True", "Scheduled")));
    assert!(feeds.runs("daily").await.is_empty(), "from before its creation");
    feeds.backdate("daily", 300).await;
    let run = feeds.run("daily").await;
    feeds.env.operator().kill9_and_start().unwrap();
    let name = run.metadata.name.unwrap();
    assert_eq!(name, format!("daily-{}", scheduled.as_second() / 60));
    feeds.env.finished(&name).await;
    let is_reported = |status: &crd::ArxivFeedStatus| {
        status.active.is_none()
            && status
                .last_schedule_time
                .as_ref()
                .is_some_and(|time| time.0 == scheduled)
    };
    feeds
        .status_when("daily", "reported", |_, status| is_reported(status))
        .await;
    // As if the status had never been written.
    feeds.backdate("daily", 300).await;
    feeds
        .status_when("daily", "reported again", |_, status| is_reported(status))
        .await;
    assert_eq!(feeds.runs("daily").await.len(), 1);

    assert!(feeds.runs("resumed").await.is_empty(), "suspended");
    feeds.patch_spec("resumed", json!({"suspend": false})).await;
    feeds.run("resumed").await;
    feeds.patch_spec("resumed", json!({"suspend": true})).await;
    let run = feeds.run("resumed").await.metadata.name.unwrap();
    feeds.env.finished(&run).await;
    feeds
        .status_when("resumed", "reported", |_, status| status.active.is_none())
        .await;
    let (runs, queries) = (
        feeds.runs("resumed").await.len(),
        feeds.env.count("public.queries").await,
    );
    // Where a minute begins between the two changes, it has a run of its own.
    assert!(runs == 1 || runs == 2, "{runs} runs");
    assert_eq!(queries, i64::try_from(runs).unwrap() + 1, "one row for each run");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_past_its_deadline_has_no_run_and_the_next_one_is_named() {
    let feeds = start().await;
    let (daily, scheduled) = half_an_hour_ago();
    feeds
        .create(
            "late",
            json!({"schedule": daily, "startingDeadlineSeconds": 60, "jitterSeconds": 60}),
        )
        .await;
    feeds.observed("late").await;
    feeds.backdate("late", 300).await;
    let late = feeds
        .status_when("late", "too late", |_, status| {
            status
                .message
                .as_deref()
                .is_some_and(|message| message.contains("could not start in time"))
        })
        .await;
    assert_eq!(
        condition(&late, FeedCondition::Ready),
        Some(("True", "Scheduled"))
    );
    let next = late.status.unwrap().next_schedule_time.unwrap().0;
    let delay = next.duration_since(scheduled + SignedDuration::from_hours(24));
    assert!(
        delay >= SignedDuration::ZERO && delay <= SignedDuration::from_secs(60),
        "{delay}"
    );
    assert!(feeds.runs("late").await.is_empty());
    feeds
        .patch_spec("late", json!({"startingDeadlineSeconds": 86_400}))
        .await;
    let run = feeds.run("late").await;
    assert_eq!(
        run.metadata.name.unwrap(),
        format!("late-{}", scheduled.as_second() / 60)
    );
}
