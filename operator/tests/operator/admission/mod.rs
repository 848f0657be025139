//! What Kubernetes itself refuses (CEL and schema), and with which messages.

mod changes;
mod feeds;
mod values;

use crd::ArxivQuery;
use kube::{
    Api,
    api::{DynamicObject, PostParams},
    core::ApiResource,
};
use serde_json::{Value, json};
use testbed::ControlPlane;

/// The refusal's status and text.
fn refusal<T: std::fmt::Debug>(outcome: kube::Result<T>) -> (u16, String) {
    match outcome {
        Err(kube::Error::Api(status)) => (status.code, status.message),
        other => panic!("it was not refused: {other:?}"),
    }
}

/// Each of these specs is refused, in these words.
async fn refuses(cases: &[(Value, &str)]) {
    let plane = ControlPlane::shared().await.unwrap();
    let (client, namespace) = (plane.client().await.unwrap(), plane.namespace().await.unwrap());
    let queries: Api<DynamicObject> =
        Api::namespaced_with(client, &namespace, &ApiResource::erase::<ArxivQuery>(&()));
    for (spec, text) in cases {
        let object = json!({
            "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivQuery",
            "metadata": {"name": "bad"}, "spec": spec,
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let (status, message) = refusal(queries.create(&PostParams::default(), &object).await);
        assert_eq!(status, 422, "{spec}: {message}");
        assert!(message.contains(text), "{spec}: {message}");
    }
}
