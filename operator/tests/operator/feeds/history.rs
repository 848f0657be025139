//! Runs that are active, and those that have ended.

use crd::{FeedCondition, Phase};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use testbed::test_env::{LIMIT, within};

use super::{Feeds, condition, half_an_hour_ago, start};

/// Ends a run, as the operator does.
async fn end(feeds: &Feeds, run: &str, phase: Phase) {
    let status = json!({"status": {
        "phase": phase.as_str(), "completionTime": "2026-03-02T06:17:00Z", "message": "in a test", "conditions": [],
    }});
    let queries = &feeds.env.queries;
    queries
        .patch_status(run, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn run_waits_for_the_one_before_it() {
    let feeds = start().await;
    let (daily, scheduled) = half_an_hour_ago();
    let feed = feeds
        .create("slow", json!({"schedule": daily, "suspend": true}))
        .await;
    feeds.observed("slow").await;
    feeds.create_run(&feed, 1_000, true).await;
    feeds
        .status_when("slow", "active", |_, status| {
            status.active.as_deref() == Some("slow-1000")
        })
        .await;
    feeds.backdate("slow", 300).await;
    feeds.patch_spec("slow", json!({"suspend": false})).await;
    let waiting = feeds.observed("slow").await;
    assert_eq!(waiting.status.unwrap().active.as_deref(), Some("slow-1000"));
    assert_eq!(feeds.runs("slow").await.len(), 1);
    feeds
        .env
        .queries
        .delete("slow-1000", &DeleteParams::default())
        .await
        .unwrap();
    let next = format!("slow-{}", scheduled.as_second() / 60);
    feeds
        .status_when("slow", "at its next run", |_, status| {
            status
                .last_schedule_time
                .as_ref()
                .is_some_and(|time| time.0 == scheduled)
        })
        .await;
    assert_eq!(feeds.env.finished(&next).await.phase, Phase::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_runs_beyond_the_limits_are_deleted_oldest_first_and_others_never() {
    let feeds = start().await;
    let limits = json!({"successfulQueriesHistoryLimit": 1, "failedQueriesHistoryLimit": 1, "suspend": true});
    let feed = feeds.create("kept", limits).await;
    let another = feeds.create("another", json!({"suspend": true})).await;
    feeds.observed("kept").await;
    // A run of a feed of this name that was deleted, and one with the name only.
    let foreign = feeds.create_run(&another, 3_000, true).await;
    feeds
        .env
        .create("kept-4000", testbed::test_env::search("no run"))
        .await;
    for minutes in [1_001, 1_002, 1_003, 1_004, 1_005] {
        feeds.create_run(&feed, minutes, true).await;
    }
    for (minutes, phase) in [
        (1_001, Phase::Failed),
        (1_002, Phase::Failed),
        (1_003, Phase::Succeeded),
        (1_004, Phase::Succeeded),
    ] {
        end(&feeds, &format!("kept-{minutes}"), phase).await;
    }
    let expected = ["kept-1002", "kept-1004", "kept-1005"];
    let mut last = Vec::new();
    let kept = within(LIMIT, async || {
        last = feeds
            .runs("kept")
            .await
            .into_iter()
            .filter_map(|run| run.metadata.name)
            .collect();
        (last == expected).then_some(())
    });
    assert!(kept.await.is_some(), "{last:?}");
    feeds.env.status(&foreign.metadata.name.unwrap()).await;
    feeds.env.status("kept-4000").await;
    let status = feeds
        .status_when("kept", "active", |_, status| status.active.is_some())
        .await
        .status
        .unwrap();
    assert_eq!(status.active.as_deref(), Some("kept-1005"));
    assert_eq!(
        status.last_successful_time.unwrap().0.to_string(),
        "2026-03-02T06:17:00Z"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_run_is_reported_until_one_succeeds() {
    let feeds = start().await;
    let (daily, _) = half_an_hour_ago();
    // Its object is gone at once, or outlives those of the runs that succeed.
    for (name, failed_limit) in [("removed", 0), ("kept", 1)] {
        let spec = json!({
            "schedule": daily, "suspend": true,
            "failedQueriesHistoryLimit": failed_limit, "successfulQueriesHistoryLimit": 0,
        });
        let feed = feeds.create(name, spec).await;
        feeds.observed(name).await;
        feeds.create_run(&feed, 1_000, true).await;
        feeds
            .status_when(name, "active", |_, status| status.active.is_some())
            .await;
        let run = format!("{name}-1000");
        end(&feeds, &run, Phase::Failed).await;
        let failed = feeds
            .status_when(name, "without its run", |_, status| status.active.is_none())
            .await;
        assert_eq!(
            condition(&failed, FeedCondition::Ready),
            Some(("False", "RunFailed"))
        );
        let message = failed.status.unwrap().message.unwrap();
        assert!(
            message.starts_with(&format!("{run} failed: in a test")),
            "{message}"
        );
        feeds.until_events(name, &["RunFailed"]).await;
        feeds.backdate(name, 300).await;
        feeds.patch_spec(name, json!({"suspend": false})).await;
        feeds
            .status_when(name, "ready", |feed, status| {
                status.last_new_items == Some(5)
                    && condition(feed, FeedCondition::Ready) == Some(("True", "Scheduled"))
            })
            .await;
        let is_left = async || (feeds.runs(name).await.len() == failed_limit).then_some(());
        within(LIMIT, is_left).await.unwrap();
        feeds.patch_spec(name, json!({"suspend": true})).await;
        let later = feeds.observed(name).await;
        assert_eq!(
            condition(&later, FeedCondition::Ready),
            Some(("True", "Suspended"))
        );
    }
}
