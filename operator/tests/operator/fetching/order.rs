//! The order of the queue: priority, then namespaces and their clients in turn, then age; and the cost of waiting.

use crd::{ArxivQuery, ArxivQuerySpec, CLIENT_LABEL, Phase};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::time::{Duration, Instant};
use testbed::TestEnv;
use testbed::test_env::{LIMIT, search, within};
use testbed::{arxiv::Behaviour, stack::Options};

const QUEUE: &str = "arxiv_operator_queue_length";

#[tokio::test(flavor = "multi_thread")]
async fn queue_order_is_priority_up_to_the_ceiling_then_namespaces_and_clients_in_turn_then_age() {
    let env = TestEnv::start(Options {
        cluster_wide: true,
        min_interval: Duration::from_millis(100),
        environment: vec![
            ("LEADER_ELECTION".into(), "false".into()),
            ("PRIORITY_CEILINGS".into(), "*=7".into()),
        ],
        ..Options::operator_only()
    })
    .await;
    let arxiv = env.stack.arxiv().unwrap();
    let elsewhere = env.stack.control_plane().namespace().await.unwrap();
    let elsewhere: Api<ArxivQuery> = Api::namespaced(env.kube.clone(), &elsewhere);
    // Queries that come while this one is in flight wait.
    arxiv.set(Behaviour::from(testbed::arxiv::Mode::Slow).times(1));
    env.create("first", search("first")).await;
    arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    let ranked = |word: &str, priority| ArxivQuerySpec {
        priority,
        ..search(word)
    };
    for (word, priority) in [("a1", 0), ("a2", 0), ("a3", 0), ("low", -1), ("raised", -2)] {
        env.create(word, ranked(word, priority)).await;
    }
    elsewhere
        .create(&PostParams::default(), &ArxivQuery::new("b1", ranked("b1", 0)))
        .await
        .unwrap();
    env.create("high", ranked("high", 7)).await;
    env.create("higher", ranked("higher", 9)).await;
    let mut labelled = ArxivQuery::new("c1", ranked("c1", 0));
    labelled.metadata.labels = Some([(CLIENT_LABEL.to_owned(), "client".to_owned())].into());
    env.create_object(&labelled).await;
    let all_wait = within(LIMIT, async || (env.metric(QUEUE).await > 9.5).then_some(())).await;
    all_wait.unwrap_or_else(|| panic!("not all wait\n{}", env.operator_logs()));
    let patch = Patch::Merge(json!({"spec": {"priority": 9}}));
    env.queries
        .patch("raised", &PatchParams::default(), &patch)
        .await
        .unwrap();
    env.until_in_phase(Phase::Succeeded, 9).await;
    let order: Vec<_> = arxiv
        .requests()
        .into_iter()
        .map(|request| request.search_query)
        .collect();
    // Which namespace is next after the first one's is the only thing that is not fixed.
    let order: Vec<_> = order
        .iter()
        .map(|query| query.trim_start_matches("ti:"))
        .collect();
    // All three count as 7, so the oldest is first.
    assert_eq!(order[..4], ["first", "raised", "high", "higher"], "{order:?}");
    assert_eq!(order[9], "low", "{order:?}");
    let position = |wanted: &str| order.iter().position(|word| *word == wanted).unwrap();
    assert!(position("b1") <= 5, "namespaces take turns: {order:?}");
    assert!(position("c1") < position("a2"), "clients take turns: {order:?}");
    let of_one: Vec<_> = order.iter().filter(|word| word.starts_with('a')).collect();
    assert_eq!(of_one, [&"a1", &"a2", &"a3"]);
}

/// Objects of one second have no age among them, so these are spread over namespaces by uid alone: the order
/// is not looked at here, but what it costs that so many wait.
async fn assert_waiting_costs_nothing(queries: usize, watched: Duration) {
    let env = TestEnv::start(Options {
        own_control_plane: true,
        // Nobody's turn comes while this is measured.
        min_interval: Duration::from_hours(1),
        ..Options::operator_only()
    })
    .await;
    env.create_many("w", queries).await;
    let length = format!("{queries}");
    let limit = LIMIT + Duration::from_millis(50) * u32::try_from(queries).unwrap();
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let all = queries as f64 - 1.5;
    let all_wait = within(limit, async || (env.metric(QUEUE).await > all).then_some(())).await;
    all_wait.unwrap_or_else(|| panic!("not all {length} wait\n{}", env.operator_logs()));
    let reconciles = async || {
        env.metric("arxiv_operator_reconciles_total{outcome=\"ok\"}")
            .await
            + env
                .metric("arxiv_operator_reconciles_total{outcome=\"error\"}")
                .await
    };
    // What the last ones that came caused is over.
    let mut before = reconciles().await;
    within(LIMIT, async || {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = reconciles().await;
        let quiet = (now - before).abs() < 0.5;
        before = now;
        quiet.then_some(())
    })
    .await
    .unwrap();
    let began = Instant::now();
    let calls_before = env.kubernetes_requests(None).await;
    tokio::time::sleep(watched).await;
    let again = (reconciles().await - before) / (watched.as_secs_f64() / 60.0);
    let calls = env.kubernetes_requests(None).await - calls_before;
    let counted = began.elapsed();
    let regular = regular_calls(counted);
    let written = env
        .metric("arxiv_operator_status_writes_total{outcome=\"written\"}")
        .await;
    println!(
        "{queries} queries wait: {again:.1} reconciliations a minute and {calls} calls of ArxivQueries in {counted:?}; {written} status writes so far"
    );
    assert!(again <= 2.0, "{again} reconciliations a minute");
    assert!(
        calls <= regular,
        "{calls} calls in {counted:?}, of which {regular} may come by the clock"
    );
    assert!(written < 1.5, "{written} status writes");
}

/// The most calls in so long a time that come by the clock, however few wait.
fn regular_calls(time: Duration) -> f64 {
    let each = |seconds: f64| (time.as_secs_f64() / seconds).floor() + 1.0;
    // Readiness lists each 10 s, the sweeper once a minute and phase, and a watch, which lasts 120 s, counts
    // when it ends.
    each(10.0) + 2.0 * each(60.0) + each(120.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn queue_of_500_costs_no_requeues() {
    Box::pin(assert_waiting_costs_nothing(500, Duration::from_secs(20))).await;
}

/// `cargo test -p arxiv-operator --test operator order -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn queue_of_10_000_costs_no_requeues() {
    Box::pin(assert_waiting_costs_nothing(10_000, Duration::from_mins(2))).await;
}
