use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    api::{ObjectMeta, Patch, PatchParams},
    core::Status,
};

use super::*;

#[test]
fn errors_are_classified_by_status() {
    for (code, refused, uncertain, transient) in [
        (403, true, false, false),
        (409, true, false, false),
        (408, false, false, false),
        (429, false, false, false),
        (500, false, true, true),
        (503, false, true, true),
    ] {
        let status = Status {
            code,
            ..Status::default()
        };
        let error = CallError::from(Error::Api(Box::new(status)));
        assert_eq!(
            (error.is_refused(), error.is_uncertain(), error.is_transient()),
            (refused, uncertain, transient),
            "{code}"
        );
    }
    let late = CallError::TimedOut(Duration::from_secs(1));
    assert!(!late.is_refused() && late.is_uncertain() && late.is_transient());
}

#[tokio::test]
async fn object_that_was_changed_or_replaced_is_not_deleted() {
    let plane = testbed::ControlPlane::shared().await.unwrap();
    let namespace = plane.namespace().await.unwrap();
    let objects = Api::<ConfigMap>::namespaced(plane.client().await.unwrap(), &namespace);
    let new = ConfigMap {
        metadata: ObjectMeta {
            name: Some("c".to_owned()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    let create = async || create(&objects, &new).await.unwrap();
    let delete = async |seen: &ConfigMap| {
        let preconditions = Preconditions {
            uid: seen.metadata.uid.clone(),
            resource_version: seen.metadata.resource_version.clone(),
        };
        let deleted = delete_exact(&objects, "c", preconditions, Duration::from_secs(15));
        deleted.await.unwrap()
    };
    let seen = create().await;
    let merge = Patch::Merge(serde_json::json!({"metadata": {"labels": {"changed": "yes"}}}));
    let changed = objects.patch("c", &PatchParams::default(), &merge).await.unwrap();
    assert!(!delete(&seen).await, "it has changed");
    assert!(delete(&changed).await);
    assert!(!delete(&changed).await, "it is gone");
    let another = create().await;
    assert!(!delete(&changed).await, "another one has its name");
    assert_eq!(objects.get("c").await.unwrap().metadata.uid, another.metadata.uid);
}
