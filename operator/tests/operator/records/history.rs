//! Finished objects: they cost nothing, and are deleted after their time to live.

use crd::{ArxivQuerySpec, Phase};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use std::time::Instant;
use testbed::TestEnv;
use testbed::test_env::{LIMIT, search, within};
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
        ..Options::operator_only()
    }
}

/// Waits for the operator's first sweep since its start, and returns its memory at that time.
async fn first_sweep(env: &TestEnv) -> Memory {
    let swept = within(LIMIT, async || {
        let sweeps = env.metric_of(env.operator(), "arxiv_operator_sweeps_total").await;
        sweeps.filter(|sweeps| *sweeps > 0.5)
    })
    .await;
    assert!(swept.is_some(), "no sweep\n{}", env.operator_logs());
    env.operator().child().memory().unwrap()
}

/// Copies a finished object in etcd.
async fn copy(env: &TestEnv, name: &str, count: usize, edit: impl Fn(usize, &mut serde_json::Value)) {
    env.stack
        .control_plane()
        .copy_object(
            "arxiv-operator.dev/arxivqueries",
            env.stack.namespace(),
            name,
            count,
            edit,
        )
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_with_finished_objects_uses_no_memory_and_no_requests() {
    let env = TestEnv::start(sweeping_often()).await;
    env.create("finished", search("finished")).await;
    assert_eq!(env.finished("finished").await.phase, Phase::Succeeded);
    let with_one = first_sweep(&env).await;
    env.operator().child().kill9();
    copy(&env, "finished", FINISHED, |i, object| {
        if i % 10 == 0 {
            object["status"]["phase"] = "Failed".into();
        }
    })
    .await;
    env.stack.arxiv().unwrap().clear_record();
    let versions = async || {
        let list = env.queries.list_metadata(&ListParams::default()).await.unwrap();
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
    // The copies were written directly to etcd; the API server's cache needs time to get the last ones.
    let all = async || Some(versions().await).filter(|all| all.len() == FINISHED + 1);
    let before = within(LIMIT, all).await.expect("all copies listed");
    let started = Instant::now();
    env.operator().child().start_again().unwrap();
    env.operator().ready(LIMIT).await.unwrap();
    env.create("new", search("new")).await;
    assert_eq!(env.finished("new").await.phase, Phase::Succeeded);
    println!(
        "over {FINISHED} finished objects, a new query was done {:?} after the start",
        started.elapsed()
    );
    let with_many = first_sweep(&env).await;
    println!("memory: {with_one:?} over one, {with_many:?} over all");
    assert!(
        with_many.peak * 10 < with_one.peak * 13,
        "{with_one:?} {with_many:?}"
    );
    assert_eq!(versions().await, before, "no finished object was touched");
    assert_eq!(
        env.stack.arxiv().unwrap().requests().len(),
        1,
        "only the new one is requested"
    );
    env.until_metric("arxiv_operator_status_writes_total{outcome=\"written\"}", 1.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_objects_are_deleted_after_restart() {
    let env = TestEnv::start(sweeping_often()).await;
    let spec = ArxivQuerySpec {
        ttl_seconds_after_finished: Some(3_600),
        ..search("old")
    };
    env.create("old", spec).await;
    assert_eq!(env.finished("old").await.phase, Phase::Succeeded);
    env.operator().child().kill9();
    copy(&env, "old", EXPIRED, |i, object| {
        // One in fifty has just ended, and as many have no time to live.
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
    env.operator().child().start_again().unwrap();
    let left = EXPIRED / 50 * 2 + 1;
    let mut last = 0;
    let gone = within(LIMIT, async || {
        last = env
            .queries
            .list_metadata(&ListParams::default())
            .await
            .ok()?
            .items
            .len();
        (last == left).then_some(())
    })
    .await;
    assert!(
        gone.is_some(),
        "{last} are left, not {left}\n{}",
        env.operator_logs()
    );
    env.operator().ready(LIMIT).await.unwrap();
    first_sweep(&env).await;
    let still = env.queries.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(still.items.len(), left);
    assert_eq!(env.rows().await.len(), 1, "rows stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_objects_are_deleted_and_their_rows_stay() {
    let env = TestEnv::start(sweeping_often()).await;
    let spec = |word: &str, ttl| ArxivQuerySpec {
        ttl_seconds_after_finished: ttl,
        ..search(word)
    };
    env.create("kept", spec("kept", None)).await;
    env.create("young", spec("young", Some(3_600))).await;
    env.create("gone", spec("gone", Some(1))).await;
    // Any two may be there before the third, and one of them may be gone again before it is seen.
    let recorded = within(LIMIT, async || (env.rows().await.len() == 3).then_some(())).await;
    assert!(
        recorded.is_some(),
        "not all three are recorded\n{}",
        env.operator_logs()
    );
    env.stack.arxiv().unwrap().set(Mode::Status(400));
    env.create("failed", spec("failed", Some(1))).await;
    let left = within(LIMIT, async || {
        let list = env.queries.list(&ListParams::default()).await.ok()?;
        let names: Vec<_> = list
            .items
            .iter()
            .filter_map(|object| object.metadata.name.clone())
            .collect();
        (names == ["kept", "young"]).then_some(())
    })
    .await;
    assert!(
        left.is_some(),
        "two are deleted and two stay\n{}",
        env.operator_logs()
    );
    assert_eq!(env.rows().await.len(), 3, "rows stay");
    env.until_metric("arxiv_operator_deleted_total", 2.0).await;

    let patch = Patch::Merge(json!({"spec": {"ttlSecondsAfterFinished": 0}}));
    let parameters = PatchParams::default();
    env.queries.patch("kept", &parameters, &patch).await.unwrap();
    env.until_metric("arxiv_operator_deleted_total", 3.0).await;
    assert!(env.queries.get_opt("kept").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_objects_are_deleted_without_a_listing() {
    const EXPIRING: u16 = 8;
    let env = TestEnv::start(Options {
        own_control_plane: true,
        ..sweeping_often()
    })
    .await;
    for i in 0..EXPIRING {
        let name = format!("q{i}");
        env.create(&name, search(&name)).await;
        env.finished(&name).await;
    }
    first_sweep(&env).await;
    let before = env.kubernetes_requests(Some("LIST")).await;
    let began = Instant::now();
    for i in 0..EXPIRING {
        let patch = Patch::Merge(json!({"spec": {"ttlSecondsAfterFinished": 0}}));
        let name = format!("q{i}");
        let patched = env.queries.patch(&name, &PatchParams::default(), &patch).await;
        patched.unwrap();
        // Each is swept in a round of its own.
        env.until_metric("arxiv_operator_deleted_total", f64::from(i + 1))
            .await;
    }
    let listings = env.kubernetes_requests(Some("LIST")).await - before;
    // Readiness lists one object each 10 s.
    let regular = (began.elapsed().as_secs_f64() / 10.0).floor() + 1.0;
    assert!(listings <= regular, "{listings} listings, not {regular}");
}
