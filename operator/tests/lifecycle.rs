//! An operator's and an object's end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use crd::{ArxivQuery, ArxivQuerySpec, Phase};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use support::{Bed, LIMIT, for_each, options, search, within};
use testbed::{
    arxiv::{Behaviour, Mode},
    process::Signal,
    stack::Options,
};

/// How many finished objects there are at the restart.
const FINISHED: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_over_many_finished_objects_costs_nothing() {
    let bed = Bed::start(options()).await;
    bed.operator().child().kill9();
    // Made without the operator, as it would take the queries' time: 32 requests at once are what an API server does best.
    for_each(0..FINISHED, 32, async |i| {
        let name = format!("finished{i}");
        bed.queries
            .create(
                &PostParams::default(),
                &ArxivQuery::new(&name, search("finished")),
            )
            .await?;
        let status = json!({"status": {
            "phase": if i % 10 == 0 { "Failed" } else { "Succeeded" },
            "observedGeneration": 1, "completionTime": "2024-05-06T00:00:00Z",
        }});
        bed.queries
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(&status))
            .await
            .map(drop)
    })
    .await;
    let versions = async || {
        let list = bed.queries.list_metadata(&ListParams::default()).await.unwrap();
        let mut all: Vec<_> = list
            .items
            .into_iter()
            .filter(|object| {
                object
                    .metadata
                    .name
                    .as_ref()
                    .is_some_and(|name| name.starts_with("finished"))
            })
            .map(|object| (object.metadata.uid, object.metadata.resource_version))
            .collect();
        all.sort();
        all
    };
    let before = versions().await;
    assert_eq!(before.len(), FINISHED);
    let started = Instant::now();
    bed.operator().child().start_again().unwrap();
    bed.operator().ready(LIMIT).await.unwrap();
    bed.create("new", search("new")).await;
    assert_eq!(bed.finished("new").await.phase, Phase::Succeeded);
    println!(
        "over {FINISHED} finished objects, a new query was done {:?} after the start",
        started.elapsed()
    );
    assert_eq!(versions().await, before, "no finished object was touched");
    assert_eq!(
        bed.stack.arxiv().unwrap().requests().len(),
        1,
        "only the new one is asked for"
    );
    let written = bed
        .metric("arxiv_operator_status_writes_total{outcome=\"written\"}")
        .await;
    assert!((written - 1.0).abs() < 0.5, "{written} status writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_objects_go_after_their_time_to_live_and_rows_stay() {
    let environment = vec![("SWEEP_INTERVAL_SECONDS".to_owned(), "1".to_owned())];
    let bed = Bed::start(Options {
        environment,
        ..options()
    })
    .await;
    let spec = |word: &str, ttl| ArxivQuerySpec {
        ttl_seconds_after_finished: ttl,
        ..search(word)
    };
    bed.create("kept", spec("kept", None)).await;
    bed.create("young", spec("young", Some(3_600))).await;
    bed.create("gone", spec("gone", Some(1))).await;
    bed.until_in_phase(Phase::Succeeded, 2).await;
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
    let deleted = bed.metric("arxiv_operator_deleted_total").await;
    assert!((deleted - 2.0).abs() < 0.5, "{deleted} deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_the_request_under_way_is_finished_and_recorded() {
    let bed = Bed::start(options()).await;
    let arxiv = bed.stack.arxiv().unwrap();
    arxiv.set(Behaviour {
        delay_ms: 3_000,
        ..Behaviour::default()
    });
    bed.create("under-way", search("underway")).await;
    arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    bed.create("waiting", search("waiting")).await;
    let asked = Instant::now();
    bed.operator().child().signal(Signal::TERM);
    let status = bed
        .operator()
        .child()
        .wait(Duration::from_secs(25))
        .await
        .unwrap();
    assert!(status.success(), "{status}\n{}", bed.logs());
    assert!(asked.elapsed() < Duration::from_secs(25));
    let done = bed.status("under-way").await;
    assert_eq!(done.phase, Phase::Succeeded, "{}", bed.logs());
    assert_eq!(bed.rows().await.len(), 1);
    assert_eq!(arxiv.requests().len(), 1, "nothing new was begun");
    assert_eq!(bed.status("waiting").await.phase, Phase::Pending);

    bed.operator().child().start_again().unwrap();
    assert_eq!(bed.finished("waiting").await.phase, Phase::Succeeded);
    assert_eq!(arxiv.requests().len(), 2);

    // With nothing to do it ends at once.
    let asked = Instant::now();
    let status = bed.operator().child().terminate(LIMIT).await.unwrap();
    assert!(
        status.success() && asked.elapsed() < Duration::from_secs(5),
        "{status} after {:?}",
        asked.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_cannot_start_says_what_to_do() {
    let bed = Bed::start(options()).await;
    let program = env!("CARGO_BIN_EXE_arxiv-operator");
    let taken = format!("127.0.0.1:{}", bed.operator().url().port().unwrap());
    let cases: [(&[&str], i32, &str); 7] = [
        (&["crd"], 0, "kind: CustomResourceDefinition"),
        (&["migrate"], 1, "DATABASE_SEQUENCE_OWNER_URL is not set"),
        (
            &["run", "--listen", "127.0.0.1:0"],
            1,
            "DATABASE_RW_URL is not set",
        ),
        (&["run", "--listen", &taken], 1, "LISTEN names another address"),
        (&["run", "--listen", "nowhere"], 2, "--listen"),
        (&["run", "--max-concurrent-reconciles", "0"], 2, "1..=64"),
        (&["walk"], 2, "unrecognized subcommand"),
    ];
    for (arguments, code, text) in cases {
        let ended = std::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .output()
            .unwrap();
        let output = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {output}");
        assert!(output.contains(text), "{arguments:?}: {output}");
    }
}
