//! Changes of a feed's spec.

use crd::FeedCondition;
use kube::api::DeleteParams;
use serde_json::json;
use storage::{Access, Pool, PoolSettings, Reads};
use testbed::test_env::{LIMIT, eventually};

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

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_the_next_run_of_the_status_and_none_while_no_run_can_start() {
    let feeds = start().await;
    let settings = PoolSettings {
        access: Access::ReadOnly,
        max_connections: 2,
        acquire_timeout: LIMIT,
        statement_cache: true,
        application_name: "operator-tests".into(),
    };
    let pool = Pool::open(feeds.env.primary().admin_url("arxiv"), &settings).unwrap();
    let reads = Reads::new(pool.clone(), pool, None);
    let namespace = Some(feeds.env.stack.namespace());
    let schedule = json!({"schedule": "17 6 * * *", "timeZone": "Europe/Budapest", "jitterSeconds": 600});
    feeds.create("seen", schedule).await;
    let next = async || {
        let status = feeds.observed("seen").await.status.unwrap();
        status.next_schedule_time.map(|time| time.0)
    };
    for (change, is_suspended, is_planned) in [
        (json!({}), false, true),
        (json!({"suspend": true}), true, false),
        (json!({"suspend": false, "schedule": "18 7 * * *"}), false, true),
        (json!({"schedule": "0 0 30 2 *"}), false, false),
        (json!({"schedule": "@daily"}), false, true),
    ] {
        feeds.patch_spec("seen", change.clone()).await;
        let planned = next().await;
        assert_eq!(planned.is_some(), is_planned, "{change}");
        let timing = eventually("the feed is read as it is", async || {
            let feed = reads.feed(namespace, "seen").await.unwrap()?;
            (feed.timing.next_run == planned).then_some(feed.timing)
        })
        .await;
        assert_eq!(
            (timing.time_zone.as_str(), timing.is_suspended),
            ("Europe/Budapest", is_suspended),
            "{change}"
        );
    }
}
