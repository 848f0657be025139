//! Politeness: one request per interval and one connection at a time, over all processes.

use crd::Phase;
use futures::future::join_all;
use std::time::Duration;
use testbed::TestEnv;
use testbed::stack::Options;

/// Two operators and an API server that sends requests for its callers, all at once.
async fn run_all_at_once(interval: Duration, queries: usize, calls: usize) {
    let mut options = Options::operator_only();
    // The last one's turn comes after some 19 s, on a machine with nothing else on it.
    options
        .environment
        .push(("UPSTREAM_PATIENCE_MS".into(), "60000".into()));
    let env = TestEnv::start(Options {
        operators: 2,
        api_servers: vec!["arxiv-api".into()],
        min_interval: interval,
        ..options
    })
    .await;
    let api_server = &env.stack.api_servers[0];
    let calls_made = (0..calls).map(async |i| {
        let path = format!("/arxiv-api?title=call{i}&max_results=2");
        let (status, body) = env.get_from(api_server, &path).await.unwrap();
        assert_eq!(status, 200, "{body}");
    });
    tokio::join!(env.create_many("q", queries), join_all(calls_made));
    let objects = env.until_in_phase(Phase::Succeeded, queries).await;
    env.assert_rows_of(&objects).await;
    let arxiv = env.stack.arxiv().unwrap();
    assert_eq!(
        arxiv.requests().len(),
        queries + calls,
        "nothing is requested twice"
    );
    assert_eq!(arxiv.max_open(), 1);
    let spacing = arxiv.min_spacing().unwrap();
    assert!(spacing >= interval, "{spacing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn short_interval_is_kept_by_two_operators_and_an_api_server() {
    Box::pin(run_all_at_once(Duration::from_millis(300), 24, 8)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arxiv_interval_is_kept_by_two_operators_and_an_api_server() {
    Box::pin(run_all_at_once(Duration::from_secs(3), 4, 2)).await;
}
