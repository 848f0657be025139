//! What a search costs Kubernetes.

use std::time::Duration;

use crd::{ArxivQuery, CLIENT_LABEL, FailurePolicy, Phase};
use testbed::TestEnv;
use testbed::arxiv::Mode;
use testbed::stack::Options;
use testbed::test_env::search;

/// As `GET /arxiv` creates them: a client waits for the end.
fn waited_for(name: &str, word: &str) -> ArxivQuery {
    let mut spec = search(word);
    (spec.backoff_limit, spec.failure_policy) = (0, FailurePolicy::FailFast);
    let mut object = ArxivQuery::new(name, spec);
    object.metadata.labels = Some([(CLIENT_LABEL.to_owned(), "client".to_owned())].into());
    object
}

async fn start() -> TestEnv {
    TestEnv::start(Options {
        min_interval: Duration::from_millis(100),
        environment: vec![("LEADER_ELECTION".into(), "false".into())],
        ..Options::operator_only()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn search_whose_page_is_stored_costs_one_write_and_no_other_call() {
    const SEARCHES: u8 = 40;
    let env = start().await;
    env.create_object(&waited_for("first", "stored")).await;
    assert_eq!(env.finished("first").await.phase, Phase::Succeeded);
    let calls = async |method: &str| {
        let name = "arxiv_operator_kubernetes_request_duration_seconds_count";
        let calls = format!("{name}{{method=\"{method}\",outcome=\"2xx\"}}");
        env.metric(&calls).await
    };
    let before = [calls("PATCH").await, calls("POST").await, calls("GET").await];
    for n in 0..SEARCHES {
        env.create_object(&waited_for(&format!("q{n}"), "stored")).await;
    }
    env.until_in_phase(Phase::Succeeded, usize::from(SEARCHES) + 1)
        .await;
    // An Event would be sent before this one.
    env.create("last", search("stored")).await;
    env.until_events("last", &["Succeeded"]).await;
    let (patched, posted, read) = (calls("PATCH").await, calls("POST").await, calls("GET").await);
    let all = f64::from(SEARCHES);
    assert!(
        (patched - before[0] - all - 1.0).abs() < 0.5,
        "{patched} - {before:?}"
    );
    assert!((posted - before[1] - 1.0).abs() < 0.5, "{posted} - {before:?}");
    // Besides them, readiness is checked, and watches are renewed.
    assert!(read - before[2] < all / 2.0, "{read} - {before:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn search_that_a_client_waits_for_has_an_event_only_when_it_fails() {
    let env = start().await;
    let arxiv = env.stack.arxiv().unwrap();
    env.create_object(&waited_for("found", "found")).await;
    assert_eq!(env.finished("found").await.phase, Phase::Succeeded);
    arxiv.set(Mode::Status(400));
    env.create_object(&waited_for("refused", "refused")).await;
    assert_eq!(env.finished("refused").await.phase, Phase::Failed);
    env.until_events("refused", &["SearchRefused"]).await;
    env.until_events("found", &[]).await;
}
