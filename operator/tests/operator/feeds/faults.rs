//! What keeps a feed from being complete, and what its users and the operator of the system see of it.

use crd::FeedCondition;
use serde_json::json;
use testbed::arxiv::{Behaviour, Mode};

use super::{ago, condition, half_an_hour_ago, start};

#[tokio::test(flavor = "multi_thread")]
async fn database_that_does_not_answer_is_reported_until_it_does() {
    let feeds = start().await;
    feeds.create("waiting", json!({})).await;
    feeds.observed("waiting").await;
    let primary = feeds.env.primary();
    primary.kill9().await.unwrap();
    feeds.patch_spec("waiting", json!({"lookbackDays": 7})).await;
    let down = feeds
        .status_when("waiting", "without its database", |feed, _| {
            condition(feed, FeedCondition::Ready) == Some(("False", "DatabaseUnavailable"))
        })
        .await;
    assert_eq!(
        condition(&down, FeedCondition::Complete),
        Some(("Unknown", "NoRunYet")),
        "what is known stays"
    );
    let failed = "arxiv_operator_feeds{state=\"failed\"}";
    feeds.env.until_metric(failed, 1.0).await;
    primary.start_again().await.unwrap();
    let back = feeds
        .status_when("waiting", "ready again", |feed, status| {
            condition(feed, FeedCondition::Ready) == Some(("True", "Scheduled"))
                && status.observed_generation == feed.metadata.generation
        })
        .await;
    assert_eq!(condition(&back, FeedCondition::Stalled), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_with_fewer_papers_than_announced_is_incomplete_and_the_next_one_finds_the_rest() {
    let feeds = start().await;
    let arxiv = feeds.env.stack.arxiv().unwrap();
    let found = |mode| Behaviour {
        mode,
        total: Some(5),
        ..Behaviour::default()
    };
    arxiv.set(found(Mode::ShortPage));
    let (first, _) = half_an_hour_ago();
    let refresh = json!({"spec": {"cachePolicy": "Refresh"}});
    feeds
        .create("short", json!({"schedule": first, "queryTemplate": refresh}))
        .await;
    feeds.observed("short").await;
    feeds.backdate("short", 300).await;
    let short = feeds
        .status_when("short", "incomplete", |feed, _| {
            condition(feed, FeedCondition::Complete) == Some(("False", "MoreToRead"))
        })
        .await;
    assert_eq!(
        condition(&short, FeedCondition::Ready),
        Some(("True", "Scheduled"))
    );
    let status = short.status.unwrap();
    assert_eq!(
        (status.last_new_items, status.items, status.last_complete_time),
        (Some(4), Some(4), None)
    );
    arxiv.set(found(Mode::Ok));
    let (next, _) = ago(10);
    feeds.patch_spec("short", json!({"schedule": next})).await;
    let complete = feeds
        .status_when("short", "complete", |feed, _| {
            condition(feed, FeedCondition::Complete) == Some(("True", "AllRead"))
        })
        .await;
    let status = complete.status.unwrap();
    assert_eq!((status.last_new_items, status.items), (Some(1), Some(5)));
    assert!(status.last_complete_time.is_some());
    let distinct = "(select distinct paper, version from public.arxiv_feed_items) as items";
    assert_eq!(feeds.env.count(distinct).await, 5);
    for (metric, value) in [
        ("feed_runs_total{outcome=\"incomplete\"}", 1.0),
        ("feed_runs_total{outcome=\"complete\"}", 1.0),
        ("feed_runs_total{outcome=\"failed\"}", 0.0),
        ("feed_items_total", 5.0),
        ("feed_run_start_delay_seconds_count", 2.0),
    ] {
        feeds
            .env
            .until_metric(&format!("arxiv_operator_{metric}"), value)
            .await;
    }
    let scheduled = "arxiv_operator_feeds{state=\"scheduled\"}";
    feeds.until_gauge(scheduled, 1.0).await;
    feeds.until_gauge("arxiv_operator_feeds_incomplete", 0.0).await;
}
