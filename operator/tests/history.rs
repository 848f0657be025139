//! Finished objects: they cost nothing, and go when their time is over.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::time::Instant;

use crd::{ArxivQuerySpec, Phase};
use kube::api::ListParams;
use support::{Bed, LIMIT, options, search, within};
use testbed::{arxiv::Mode, process::Memory, stack::Options};

/// How many finished objects there are at the restart.
const FINISHED: usize = 10_000;
/// More than two pages of the listings.
const EXPIRED: usize = 250;

fn sweeping_often() -> Options {
    Options {
        environment: [("LEADER_ELECTION", "false"), ("SWEEP_INTERVAL_SECONDS", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..options()
    }
}

impl Bed {
    /// Waits until the operator has swept since it started; what memory it took until then.
    async fn swept(&self) -> Memory {
        let swept = within(LIMIT, async || {
            let sweeps = self
                .metric_of(self.operator(), "arxiv_operator_sweeps_total")
                .await;
            sweeps.filter(|sweeps| *sweeps > 0.5)
        })
        .await;
        assert!(swept.is_some(), "no sweep\n{}", self.logs());
        self.operator().child().memory().unwrap()
    }

    /// Copies of a finished object, as they stand in etcd.
    async fn copy(&self, name: &str, count: usize, edit: impl Fn(usize, &mut serde_json::Value)) {
        self.stack
            .control_plane()
            .copy_object(
                "arxiv-operator.dev/arxivqueries",
                self.stack.namespace(),
                name,
                count,
                edit,
            )
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_over_many_finished_objects_costs_nothing() {
    let bed = Bed::start(sweeping_often()).await;
    bed.create("finished", search("finished")).await;
    assert_eq!(bed.finished("finished").await.phase, Phase::Succeeded);
    let with_one = bed.swept().await;
    bed.operator().child().kill9();
    bed.copy("finished", FINISHED, |i, object| {
        if i % 10 == 0 {
            object["status"]["phase"] = "Failed".into();
        }
    })
    .await;
    bed.stack.arxiv().unwrap().clear_record();
    let versions = async || {
        let list = bed.queries.list_metadata(&ListParams::default()).await.unwrap();
        let mut all: Vec<_> = list
            .items
            .into_iter()
            .map(|object| object.metadata)
            .filter(|metadata| {
                metadata
                    .name
                    .as_ref()
                    .is_some_and(|name| name.starts_with("finished"))
            })
            .map(|metadata| (metadata.uid, metadata.resource_version))
            .collect();
        all.sort();
        all
    };
    // The copies went past the API server, whose cache has to hear of the last ones yet.
    let all = async || Some(versions().await).filter(|all| all.len() == FINISHED + 1);
    let before = within(LIMIT, all).await.expect("all copies listed");
    let started = Instant::now();
    bed.operator().child().start_again().unwrap();
    bed.operator().ready(LIMIT).await.unwrap();
    bed.create("new", search("new")).await;
    assert_eq!(bed.finished("new").await.phase, Phase::Succeeded);
    println!(
        "over {FINISHED} finished objects, a new query was done {:?} after the start",
        started.elapsed()
    );
    let with_many = bed.swept().await;
    println!("memory: {with_one:?} over one, {with_many:?} over all");
    assert!(
        with_many.peak * 10 < with_one.peak * 13,
        "{with_one:?} {with_many:?}"
    );
    assert_eq!(versions().await, before, "no finished object was touched");
    assert_eq!(
        bed.stack.arxiv().unwrap().requests().len(),
        1,
        "only the new one is asked for"
    );
    bed.until_metric("arxiv_operator_status_writes_total{outcome=\"written\"}", 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_before_a_restart_goes_after_it() {
    let bed = Bed::start(sweeping_often()).await;
    let spec = ArxivQuerySpec {
        ttl_seconds_after_finished: Some(3_600),
        ..search("old")
    };
    bed.create("old", spec).await;
    assert_eq!(bed.finished("old").await.phase, Phase::Succeeded);
    bed.operator().child().kill9();
    bed.copy("old", EXPIRED, |i, object| {
        // One in fifty has just ended, and as many say nothing.
        if i % 50 == 0 {
            return;
        }
        object["status"]["completionTime"] = "2024-05-06T00:00:00Z".into();
        if i % 50 == 1 {
            object["spec"]
                .as_object_mut()
                .unwrap()
                .remove("ttlSecondsAfterFinished");
        }
    })
    .await;
    bed.operator().child().start_again().unwrap();
    let left = EXPIRED / 50 * 2 + 1;
    let mut last = 0;
    let gone = within(LIMIT, async || {
        last = bed
            .queries
            .list_metadata(&ListParams::default())
            .await
            .ok()?
            .items
            .len();
        (last == left).then_some(())
    })
    .await;
    assert!(gone.is_some(), "{last} are left, not {left}\n{}", bed.logs());
    bed.operator().ready(LIMIT).await.unwrap();
    bed.swept().await;
    let still = bed.queries.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(still.items.len(), left);
    assert_eq!(bed.rows().await.len(), 1, "rows stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_objects_go_after_their_time_to_live_and_rows_stay() {
    let bed = Bed::start(sweeping_often()).await;
    let spec = |word: &str, ttl| ArxivQuerySpec {
        ttl_seconds_after_finished: ttl,
        ..search(word)
    };
    bed.create("kept", spec("kept", None)).await;
    bed.create("young", spec("young", Some(3_600))).await;
    bed.create("gone", spec("gone", Some(1))).await;
    // Any two may be there before the third, and one of them may be gone again before it is seen.
    let recorded = within(LIMIT, async || (bed.rows().await.len() == 3).then_some(())).await;
    assert!(recorded.is_some(), "not all three are recorded\n{}", bed.logs());
    bed.stack.arxiv().unwrap().set(Mode::Status(400));
    bed.create("failed", spec("failed", Some(1))).await;
    let left = within(LIMIT, async || {
        let list = bed.queries.list(&ListParams::default()).await.ok()?;
        let names: Vec<_> = list
            .items
            .iter()
            .filter_map(|object| object.metadata.name.clone())
            .collect();
        (names == ["kept", "young"]).then_some(())
    })
    .await;
    assert!(left.is_some(), "two are deleted and two stay\n{}", bed.logs());
    assert_eq!(bed.rows().await.len(), 3, "rows stay");
    bed.until_metric("arxiv_operator_deleted_total", 2.0).await;
}
