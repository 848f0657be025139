//! Changes of a feed's spec.

use crd::FeedCondition;
use kube::api::DeleteParams;
use serde_json::json;
use testbed::test_env::eventually;

use super::{condition, half_an_hour_ago, start};

#[tokio::test(flavor = "multi_thread")]
async fn spec_that_cannot_be_carried_out_is_stalled_until_it_is_changed() {
    let feeds = start().await;
    for (name, spec, reason, repair) in [
        (
            "never",
            json!({"schedule": "0 0 30 2 *"}),
            "InvalidSchedule",
            json!({"schedule": "@daily"}),
        ),
        (
            "backwards",
            json!({"schedule": "0 0 * * 5-1"}),
            "InvalidSchedule",
            json!({"schedule": "0 0 * * 1-5"}),
        ),
        (
            "mars",
            json!({"timeZone": "Mars/Olympus"}),
            "InvalidTimeZone",
            json!({"timeZone": "Europe/Budapest"}),
        ),
    ] {
        feeds.create(name, spec).await;
        let stalled = feeds.observed(name).await;
        assert_eq!(
            condition(&stalled, FeedCondition::Stalled),
            Some(("True", reason)),
            "{name}"
        );
        assert_eq!(
            condition(&stalled, FeedCondition::Ready),
            Some(("False", reason)),
            "{name}"
        );
        feeds.until_events(name, &[reason]).await;
        feeds.patch_spec(name, repair).await;
        let repaired = feeds.observed(name).await;
        assert_eq!(condition(&repaired, FeedCondition::Stalled), None, "{name}");
        assert_eq!(
            condition(&repaired, FeedCondition::Ready),
            Some(("True", "Scheduled")),
            "{name}"
        );
        assert_eq!(
            condition(&repaired, FeedCondition::Complete),
            Some(("Unknown", "NoRunYet")),
            "{name}"
        );
        assert!(repaired.status.unwrap().next_schedule_time.is_some(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_search_makes_everything_new_and_the_items_stay() {
    let feeds = start().await;
    let (daily, _) = half_an_hour_ago();
    feeds.create("changing", json!({"schedule": daily})).await;
    feeds
        .create(
            "elsewhere",
            json!({"schedule": "* * * * *", "className": "another"}),
        )
        .await;
    feeds.observed("changing").await;
    feeds.backdate("changing", 300).await;
    feeds
        .status_when("changing", "reported with its run", |_, status| {
            status.items == Some(5)
        })
        .await;
    feeds
        .patch_spec("changing", json!({"search": {"author": "another"}}))
        .await;
    let changed = feeds
        .status_when("changing", "changed", |feed, _| {
            condition(feed, FeedCondition::Complete) == Some(("False", "SearchChanged"))
        })
        .await;
    assert_eq!(changed.status.unwrap().items, Some(5));
    feeds
        .until_events("changing", &["RunCreated", "RunSucceeded", "SearchChanged"])
        .await;
    let elsewhere = feeds.api.get("elsewhere").await.unwrap();
    assert_eq!(
        elsewhere.status.unwrap().observed_generation,
        Some(-1),
        "of another class"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn feed_that_is_deleted_is_marked_in_the_database_and_one_that_is_there_is_not() {
    let feeds = start().await;
    for name in ["gone", "kept"] {
        feeds.create(name, json!({})).await;
        feeds.observed(name).await;
    }
    feeds.api.delete("gone", &DeleteParams::default()).await.unwrap();
    let count = async |from: &str| feeds.env.count(&format!("public.arxiv_feeds where {from}")).await;
    eventually("marked", async || {
        (count("dropped_at is not null").await == 1).then_some(())
    })
    .await;
    assert_eq!(count("name = 'gone' and dropped_at is not null").await, 1);
    assert_eq!(count("name = 'kept' and dropped_at is null").await, 1);
}
