//! A thousand feeds that are due at once, as the operator was stopped: with one search they cost one request; with a search each,
//! what they wait for is reported.

use std::time::{Duration, Instant};

use crd::Phase;
use futures::{StreamExt, stream};
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};
use testbed::{
    TestEnv,
    arxiv::Behaviour,
    stack::Options,
    test_env::{json_body, within, within_one_arxiv_day},
};

use super::{Feeds, half_an_hour_ago, in_system};

const COUNT: usize = 1_000;
/// Calls to Kubernetes at a time.
const AT_ONCE: usize = 16;
/// Each feed takes some calls to Kubernetes.
const RUN_LIMIT: Duration = Duration::from_mins(5);
/// arXiv's own.
const INTERVAL: Duration = Duration::from_secs(3);

/// Creates feeds `PREFIX0` to `PREFIXn` that are due, while the operator is stopped.
async fn create_due(feeds: &Feeds, prefix: &str, schedule: &str, search: impl Fn(usize) -> String) {
    let operator = feeds.env.operator().child();
    operator.terminate(RUN_LIMIT).await.unwrap();
    stream::iter(0..COUNT)
        .map(async |i| {
            let name = format!("{prefix}{i}");
            let spec = json!({"schedule": schedule, "search": {"author": search(i)}});
            feeds.create(&name, spec).await;
            feeds.backdate(&name, 300).await;
        })
        .buffer_unordered(AT_ONCE)
        .for_each(|()| async {})
        .await;
    operator.start_again().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn thousand_feeds_cost_a_request_for_each_search_and_tell_how_long_they_wait() {
    within_one_arxiv_day().await;
    let env = TestEnv::start(Options {
        min_interval: INTERVAL,
        ..Options::default()
    });
    let feeds = in_system(env.await);
    let arxiv = feeds.env.stack.arxiv().unwrap();
    arxiv.set(Behaviour {
        total: Some(5),
        ..Behaviour::default()
    });
    let (daily, _) = half_an_hour_ago();
    let began = Instant::now();
    create_due(&feeds, "same", &daily, |_| "knuth".to_owned()).await;
    let created = began.elapsed();
    let expected = i64::try_from(COUNT).unwrap();
    let recorded = within(RUN_LIMIT, async || {
        let recorded = feeds.env.count("public.arxiv_feed_runs").await;
        (recorded == expected).then_some(())
    });
    assert!(recorded.await.is_some(), "{}", feeds.env.operator_logs());
    println!(
        "{COUNT} feeds with one search: created in {:.1} s, all have run after {:.1} s, requests to arXiv: {}",
        created.as_secs_f32(),
        began.elapsed().as_secs_f32(),
        arxiv.requests().len()
    );
    assert_eq!(arxiv.requests().len(), 1);
    assert_eq!(feeds.env.count("public.arxiv_feed_items").await, 5 * expected);

    // Each of its own search: the runs wait for their turns, as other queries do.
    create_due(&feeds, "own", &daily, |i| format!("author{i}")).await;
    // In any order: of all of them, the run that was created last waits behind the most.
    let newest = within(RUN_LIMIT, async || {
        let mut runs = feeds
            .env
            .queries
            .list_metadata(&ListParams::default())
            .await
            .ok()?
            .items;
        runs.retain(|run| run.name_any().starts_with("own"));
        let newest = runs.iter().max_by_key(|run| run.creation_timestamp())?;
        (runs.len() == COUNT).then(|| newest.name_any())
    });
    let newest = newest.await.unwrap();
    let waiting = within(RUN_LIMIT, async || {
        let response = feeds.env.get(&format!("/arxiv/{newest}")).await;
        let view = json_body(response).await;
        view["queue"]["place"].is_u64().then_some(view)
    });
    let waiting: Value = waiting.await.unwrap();
    assert_eq!(waiting["phase"], Phase::Pending.as_str());
    let queue = |member: &str| waiting["queue"][member].as_u64().unwrap();
    let before = queue("requests_before");
    // Those before it have been created over some seconds, and each takes its turn.
    assert!(before > 100, "{waiting}");
    let shortest_wait = INTERVAL.as_secs() * (before - 1);
    assert!(queue("expected_seconds") >= shortest_wait, "{waiting}");
}
