//! Databases, Kubernetes or the CRD are unavailable, at the start and later: the operator reports it, waits,
//! and loses nothing.

use crd::Phase;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, api::DeleteParams};
use testbed::TestEnv;
use testbed::test_env::{LIMIT, search, within};
use testbed::{arxiv::Behaviour, stack::Options};

#[tokio::test(flavor = "multi_thread")]
async fn operator_waits_when_databases_are_unavailable() {
    let env = TestEnv::start(Options::operator_only()).await;
    env.primary().kill9().await.unwrap();
    env.operator().kill9_and_start().unwrap();
    env.until_missing("database of queries", "the database").await;
    env.create("early", search("early")).await;
    env.primary().start_again().await.unwrap();
    assert_eq!(env.finished("early").await.phase, Phase::Succeeded);

    // In the middle of work, twice: once killed, once restarted in order.
    env.stack.arxiv().unwrap().set(Behaviour {
        delay_ms: 50,
        ..Behaviour::default()
    });
    env.create_many("q", 60).await;
    env.until_in_phase(Phase::Succeeded, 10).await;
    env.primary().kill9().await.unwrap();
    env.until_missing("database of queries", "").await;
    env.primary().start_again().await.unwrap();
    env.until_in_phase(Phase::Succeeded, 30).await;
    env.primary().restart().await.unwrap();
    let all = env.until_in_phase(Phase::Succeeded, 61).await;
    env.assert_rows_of(&all).await;
    for object in &all {
        assert_eq!(
            object.status.as_ref().unwrap().attempts,
            Some(0),
            "an outage is no attempt"
        );
    }
    assert_eq!(env.stack.arxiv().unwrap().max_open(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_waits_when_kubernetes_is_unavailable() {
    let env = TestEnv::start(Options {
        own_control_plane: true,
        ..Options::operator_only()
    })
    .await;
    let plane = env.stack.control_plane();
    plane.api_server().kill9();
    env.operator().kill9_and_start().unwrap();
    env.until_missing("kubernetes", "does not answer").await;
    plane.start_api_server().await.unwrap();
    env.create("early", search("early")).await;
    assert_eq!(env.finished("early").await.phase, Phase::Succeeded);

    env.stack.arxiv().unwrap().set(Behaviour {
        delay_ms: 50,
        ..Behaviour::default()
    });
    env.create_many("q", 60).await;
    env.until_in_phase(Phase::Succeeded, 10).await;
    plane.api_server().kill9();
    env.until_missing("kubernetes", "does not answer").await;
    plane.start_api_server().await.unwrap();
    let all = env.until_in_phase(Phase::Succeeded, 61).await;
    env.assert_rows_of(&all).await;
    assert_eq!(
        env.stack.arxiv().unwrap().requests().len(),
        61,
        "nothing is requested twice"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_waits_when_the_crd_is_missing() {
    let env = TestEnv::start(Options {
        own_control_plane: true,
        ..Options::operator_only()
    })
    .await;
    let definitions: Api<CustomResourceDefinition> = Api::all(env.kube.clone());
    let name = "arxivqueries.arxiv-operator.dev";
    for restarted in [true, false] {
        definitions.delete(name, &DeleteParams::default()).await.unwrap();
        if restarted {
            env.operator().kill9_and_start().unwrap();
        }
        env.until_missing("kubernetes", "not installed").await;
        // Deleted for good, or the same name would only be updated.
        let gone = within(LIMIT, async || {
            definitions.get_opt(name).await.ok()?.is_none().then_some(())
        })
        .await;
        assert!(gone.is_some());
        env.stack
            .control_plane()
            .install_crd(&crd::custom_resource_definition())
            .await
            .unwrap();
        let query = format!("restarted-{restarted}");
        env.create(&query, search(&query)).await;
        assert_eq!(env.finished(&query).await.phase, Phase::Succeeded);
    }
}
