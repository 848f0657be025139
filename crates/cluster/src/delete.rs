//! Deletion of an object that was seen before.

use std::{fmt::Debug, time::Duration};

use kube::{
    Api, Resource,
    api::{DeleteParams, Preconditions},
};

use crate::{CallError, within};

/// Deletes the object of this name if it still meets the preconditions; false if it does not, or is gone. One that was
/// created under the same name since has another uid, and stays.
pub async fn delete_exact<K>(
    objects: &Api<K>,
    name: &str,
    preconditions: Preconditions,
    limit: Duration,
) -> Result<bool, CallError>
where
    K: Resource + Clone + serde::de::DeserializeOwned + Debug,
{
    let parameters = DeleteParams {
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    match within(limit, objects.delete(name, &parameters)).await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};

    use super::*;

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
        let create = async || objects.create(&PostParams::default(), &new).await.unwrap();
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
}
