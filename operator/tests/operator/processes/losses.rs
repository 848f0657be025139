//! What people delete or edit by hand under a running operator: its definition, its Lease, its claim.

use crd::{Phase, custom_resource_definition};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use testbed::TestEnv;
use testbed::stack::Options;
use testbed::test_env::{LIMIT, eventually, search, within};

#[tokio::test(flavor = "multi_thread")]
async fn definition_that_is_deleted_and_installed_again_stops_nothing_for_good() {
    let env = TestEnv::start(Options {
        own_control_plane: true,
        ..Options::default()
    })
    .await;
    env.create("before", search("before")).await;
    env.finished("before").await;
    let definitions: Api<CustomResourceDefinition> = Api::all(env.kube.clone());
    let name = "arxivqueries.arxiv-operator.dev";
    definitions.delete(name, &DeleteParams::default()).await.unwrap();
    env.until_missing("kubernetes", "not installed").await;
    assert!(env.operator().child().is_running());

    let plane = env.stack.control_plane();
    eventually("the definition is gone", async || {
        definitions.get_opt(name).await.ok()?.is_none().then_some(())
    })
    .await;
    plane.install_crd(&custom_resource_definition()).await.unwrap();
    env.operator().ready(LIMIT).await.unwrap();
    env.create("after", search("after")).await;
    assert_eq!(env.finished("after").await.phase, Phase::Succeeded);
    let answer = env.get("/arxiv?author=turing").await;
    assert_eq!(answer.status().as_u16(), 200, "the API server watches again");
    assert_eq!(env.rows().await.len(), 3, "the rows of removed objects stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn lease_and_claim_that_are_deleted_or_edited_by_hand_are_taken_again() {
    let env = TestEnv::start(Options {
        environment: Vec::new(),
        ..Options::operator_only()
    })
    .await;
    let leases: Api<Lease> = Api::namespaced(env.kube.clone(), env.stack.namespace());
    let holder = async |name: &str| leases.get_opt(name).await.ok()??.spec?.holder_identity;
    env.create("one", search("one")).await;
    env.finished("one").await;
    let (leader, claim) = ("arxiv-operator", "arxiv-operator-class");
    let (first, installation) = (holder(leader).await.unwrap(), holder(claim).await.unwrap());

    for name in [leader, claim] {
        leases.delete(name, &DeleteParams::default()).await.unwrap();
    }
    for (name, expected) in [(leader, &first), (claim, &installation)] {
        let back = within(LIMIT, async || {
            (holder(name).await.as_ref() == Some(expected)).then_some(())
        });
        assert!(back.await.is_some(), "{name}\n{}", env.operator_logs());
    }
    env.create("two", search("two")).await;
    assert_eq!(env.finished("two").await.phase, Phase::Succeeded);

    // Somebody who is not there holds the Lease: it expires.
    let edit = Patch::Merge(json!({"spec": {"holderIdentity": "somebody"}}));
    leases
        .patch(leader, &PatchParams::default(), &edit)
        .await
        .unwrap();
    let back = within(LIMIT, async || {
        (holder(leader).await.as_ref() == Some(&first)).then_some(())
    });
    assert!(back.await.is_some(), "{}", env.operator_logs());
    env.create("three", search("three")).await;
    assert_eq!(env.finished("three").await.phase, Phase::Succeeded);
    let objects = env.objects().await;
    env.assert_rows_of(&objects).await;
    assert_eq!(env.stack.arxiv().unwrap().requests().len(), 3);
}
