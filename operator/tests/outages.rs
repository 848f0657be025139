//! What the operator needs may be away, at its start and later: it says so, waits, and loses nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use crd::Phase;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, api::DeleteParams};
use support::{Bed, LIMIT, options, search, within};
use testbed::{arxiv::Behaviour, stack::Options};

#[tokio::test(flavor = "multi_thread")]
async fn databases_may_be_away_at_the_start_and_later() {
    let bed = Bed::start(options()).await;
    bed.primary().kill9().await.unwrap();
    bed.operator().kill9_and_start().unwrap();
    bed.until_missing("database of queries", "the database").await;
    bed.create("early", search("early")).await;
    bed.primary().start_again().await.unwrap();
    assert_eq!(bed.finished("early").await.phase, Phase::Succeeded);

    // In the middle of work, twice: once killed, once restarted in order.
    bed.stack.arxiv().unwrap().set(Behaviour {
        delay_ms: 50,
        ..Behaviour::default()
    });
    bed.create_many("q", 60).await;
    bed.until_in_phase(Phase::Succeeded, 10).await;
    bed.primary().kill9().await.unwrap();
    bed.until_missing("database of queries", "").await;
    bed.primary().start_again().await.unwrap();
    bed.until_in_phase(Phase::Succeeded, 30).await;
    bed.primary().restart().await.unwrap();
    let all = bed.until_in_phase(Phase::Succeeded, 61).await;
    bed.assert_rows_of(&all).await;
    for object in &all {
        assert_eq!(
            object.status.as_ref().unwrap().attempts,
            Some(0),
            "an outage is no attempt"
        );
    }
    assert_eq!(bed.stack.arxiv().unwrap().max_open(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_may_be_away_at_the_start_and_later() {
    let bed = Bed::start(Options {
        own_control_plane: true,
        ..options()
    })
    .await;
    let plane = bed.stack.control_plane();
    plane.api_server().kill9();
    bed.operator().kill9_and_start().unwrap();
    bed.until_missing("kubernetes", "does not answer").await;
    plane.start_api_server().await.unwrap();
    bed.create("early", search("early")).await;
    assert_eq!(bed.finished("early").await.phase, Phase::Succeeded);

    bed.stack.arxiv().unwrap().set(Behaviour {
        delay_ms: 50,
        ..Behaviour::default()
    });
    bed.create_many("q", 60).await;
    bed.until_in_phase(Phase::Succeeded, 10).await;
    plane.api_server().kill9();
    bed.until_missing("kubernetes", "does not answer").await;
    plane.start_api_server().await.unwrap();
    let all = bed.until_in_phase(Phase::Succeeded, 61).await;
    bed.assert_rows_of(&all).await;
    assert_eq!(
        bed.stack.arxiv().unwrap().requests().len(),
        61,
        "nothing is asked twice"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_resource_may_be_missing_at_the_start_and_later() {
    let bed = Bed::start(Options {
        own_control_plane: true,
        ..options()
    })
    .await;
    let definitions: Api<CustomResourceDefinition> = Api::all(bed.client.clone());
    let name = "arxivqueries.arxiv-operator.dev";
    for restarted in [true, false] {
        definitions.delete(name, &DeleteParams::default()).await.unwrap();
        if restarted {
            bed.operator().kill9_and_start().unwrap();
        }
        bed.until_missing("kubernetes", "not installed").await;
        // Deleted for good, or the same name would only be updated.
        let gone = within(LIMIT, async || {
            definitions.get_opt(name).await.ok()?.is_none().then_some(())
        })
        .await;
        assert!(gone.is_some());
        bed.stack
            .control_plane()
            .install_crd(&crd::custom_resource_definition())
            .await
            .unwrap();
        let query = format!("restarted-{restarted}");
        bed.create(&query, search(&query)).await;
        assert_eq!(bed.finished(&query).await.phase, Phase::Succeeded);
    }
}
