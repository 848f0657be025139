//! Runs that the cluster does not admit, and runs whose name is taken.

use crd::{ArxivFeed, FeedCondition, FeedReason, Phase};
use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use testbed::test_env::{Policy, eventually, search};

use super::{Feeds, condition, half_an_hour_ago, start};

impl Feeds {
    /// Waits until the feed reports, in these words, that its run is not created.
    async fn is_refused(&self, name: &str, reason: FeedReason, words: &str) -> ArxivFeed {
        let refused = self
            .status_when(name, "refused", |feed, status| {
                condition(feed, FeedCondition::Ready) == Some(("False", reason.as_str()))
                    && status.observed_generation == feed.metadata.generation
                    // A quota has other words at first.
                    && status.message.as_ref().is_some_and(|message| message.contains(words))
            })
            .await;
        assert_eq!(
            condition(&refused, FeedCondition::Stalled),
            Some(("True", reason.as_str())),
            "{name}"
        );
        for type_ in [FeedCondition::Ready, FeedCondition::Stalled] {
            let message = &refused.condition(type_).unwrap().message;
            assert!(message.contains(words), "{name}: {message}");
        }
        let status = refused.status.clone().unwrap();
        assert_eq!(status.active, None, "{name}");
        self.until_events(name, &[reason.as_str()]).await;
        assert!(self.runs(name).await.is_empty(), "{name}");
        refused
    }

    /// Waits until the feed has run and nothing of the refusal is left.
    async fn has_run(&self, name: &str) -> ArxivFeed {
        let has_run = self
            .status_when(name, "complete", |_, status| status.last_new_items == Some(5))
            .await;
        assert_eq!(
            condition(&has_run, FeedCondition::Ready),
            Some(("True", "Scheduled")),
            "{name}"
        );
        assert_eq!(condition(&has_run, FeedCondition::Stalled), None, "{name}");
        has_run
    }

    async fn create_due(&self, name: &str) {
        let (daily, _) = half_an_hour_ago();
        self.create(name, json!({"schedule": daily, "suspend": true}))
            .await;
        self.observed(name).await;
        self.backdate(name, 300).await;
        self.patch_spec(name, json!({"suspend": false})).await;
    }

    /// Whether the cluster admits a query for this author.
    async fn admits(&self, author: &str) -> bool {
        let query = json!({
            "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivQuery", "metadata": {"name": "attempt"},
            "spec": {"search": {"author": author}},
        });
        let attempt = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let query = serde_json::from_value(query).unwrap();
        self.env.queries.create(&attempt, &query).await.is_ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_a_policy_refuses_is_reported_in_its_words_and_created_when_it_is_admitted() {
    let feeds = start().await;
    let unless_refused =
        json!([{"expression": "object.spec.search.author != 'refused'", "message": "not in this team"}]);
    let creation = ("CREATE", "arxivqueries");
    let policy = Policy::install(&feeds.env, "no-runs", creation, unless_refused).await;
    eventually("the policy is in effect", async || {
        (!feeds.admits("refused").await).then_some(())
    })
    .await;
    feeds.create_due("refused").await;
    feeds
        .is_refused("refused", FeedReason::RunRefused, "not in this team")
        .await;
    feeds.create_due("admitted").await;
    feeds.has_run("admitted").await;
    feeds
        .until_gauge("arxiv_operator_feeds{state=\"failed\"}", 1.0)
        .await;

    policy.remove().await;
    feeds.has_run("refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_a_quota_refuses_is_reported_and_created_when_there_is_room() {
    let feeds = start().await;
    feeds.env.create_full_quota("none").await;
    eventually("the quota is in effect", async || {
        (!feeds.admits("anybody").await).then_some(())
    })
    .await;
    feeds.create_due("full").await;
    feeds
        .is_refused("full", FeedReason::RunRefused, "exceeded quota: none")
        .await;
    feeds.env.delete_quota("none").await;
    feeds.has_run("full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feed_whose_next_name_is_taken_is_named_as_overdue_and_runs_when_the_name_is_free() {
    let feeds = start().await;
    let (daily, scheduled) = half_an_hour_ago();
    feeds
        .create("taken", json!({"schedule": daily, "suspend": true}))
        .await;
    feeds.observed("taken").await;
    let name = format!("taken-{}", scheduled.as_second() / 60);
    feeds.env.create(&name, search("no run")).await;
    assert_eq!(feeds.env.finished(&name).await.phase, Phase::Succeeded);
    let last = (Timestamp::now() - SignedDuration::from_hours(72)).as_second();
    let last = Timestamp::from_second(last).unwrap().to_string();
    let status = Patch::Merge(json!({"status": {"lastScheduleTime": last, "lastCompleteTime": last}}));
    let written = PatchParams::default();
    feeds.api.patch_status("taken", &written, &status).await.unwrap();
    let overdue = "arxiv_operator_feeds_overdue";
    assert!(feeds.env.metric(overdue).await < 0.5, "suspended");
    feeds.patch_spec("taken", json!({"suspend": false})).await;
    feeds.is_refused("taken", FeedReason::NameTaken, &name).await;
    feeds.until_events("taken", &["Overdue"]).await;
    feeds.env.until_metric(overdue, 1.0).await;

    let queries = &feeds.env.queries;
    queries.delete(&name, &DeleteParams::default()).await.unwrap();
    let complete = feeds.has_run("taken").await;
    assert!(complete.status.unwrap().last_complete_time.unwrap().0 > scheduled);
    assert_eq!(feeds.runs("taken").await.len(), 1);
    feeds.until_gauge(overdue, 0.0).await;
    let log = feeds.env.operator_logs();
    assert!(log.contains("two of its times have passed"), "{log}");
}
