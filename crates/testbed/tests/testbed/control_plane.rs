//! The control plane checks identities and rights, and keeps its state when it is killed.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use testbed::ControlPlane;
use testbed::control_plane::{chart_rules, client};

fn queries(client: kube::Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("arxiv-operator.dev", "v1alpha1", "ArxivQuery");
    Api::namespaced_with(
        client,
        namespace,
        &ApiResource::from_gvk_with_plural(&kind, "arxivqueries"),
    )
}

fn query(name: &str) -> DynamicObject {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "arxiv-operator.dev/v1alpha1",
        "kind": "ArxivQuery",
        "metadata": {"name": name},
        "spec": {"search": {"author": "knuth"}},
    }))
    .unwrap()
}

fn code(error: kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn account_has_only_rights_of_its_rules() {
    let plane = ControlPlane::shared().await.unwrap();
    let (own, other) = (plane.namespace().await.unwrap(), plane.namespace().await.unwrap());
    let rules = chart_rules("api-server");
    let kubeconfig = plane
        .service_account(&own, "api-server", &rules, false)
        .await
        .unwrap();
    let limited = client(&kubeconfig).await.unwrap();
    queries(limited.clone(), &own)
        .create(&PostParams::default(), &query("a"))
        .await
        .unwrap();
    let refused = queries(limited.clone(), &other)
        .create(&PostParams::default(), &query("a"))
        .await;
    assert_eq!(code(refused.unwrap_err()), 403);
    let maps: Api<ConfigMap> = Api::namespaced(limited, &own);
    assert_eq!(code(maps.list(&ListParams::default()).await.unwrap_err()), 403);

    let kubeconfig = plane.service_account(&own, "wide", &rules, true).await.unwrap();
    let wide = client(&kubeconfig).await.unwrap();
    queries(wide, &other)
        .create(&PostParams::default(), &query("a"))
        .await
        .unwrap();
}

#[tokio::test]
async fn restarted_control_plane_has_its_objects() {
    let plane = ControlPlane::start().await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    let api = queries(plane.client().await.unwrap(), &namespace);
    let made = api.create(&PostParams::default(), &query("a")).await.unwrap();
    plane.api_server().kill9();
    assert!(api.get("a").await.is_err());
    plane.start_api_server().await.unwrap();
    plane.etcd().kill9();
    plane.start_etcd().await.unwrap();
    let found = queries(plane.client().await.unwrap(), &namespace)
        .get("a")
        .await
        .unwrap();
    assert_eq!(found.metadata.uid, made.metadata.uid);
    plane
        .api_server()
        .terminate(Duration::from_secs(30))
        .await
        .unwrap();
}
