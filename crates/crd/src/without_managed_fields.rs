//! Objects that are decoded without what nothing reads.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference, Time};
use kube::Resource;
use serde::Deserialize;

use crate::{ArxivQuery, ArxivQuerySpec, ArxivQueryStatus};

/// An [`ArxivQuery`] that is decoded without its `metadata.managedFields`. Nothing reads them, they are a large part of an
/// object, and each of their fields is a node of a tree: where many objects are read, decoding them takes a tenth of a program's time.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = "ArxivQuery")]
pub struct QueryWithoutManagedFields {
    #[serde(with = "Metadata")]
    metadata: ObjectMeta,
    spec: ArxivQuerySpec,
    status: Option<ArxivQueryStatus>,
}

impl From<QueryWithoutManagedFields> for ArxivQuery {
    fn from(decoded: QueryWithoutManagedFields) -> Self {
        Self {
            metadata: decoded.metadata,
            spec: decoded.spec,
            status: decoded.status,
        }
    }
}

/// Everything else in the metadata.
#[derive(Deserialize)]
#[serde(remote = "ObjectMeta", rename_all = "camelCase")]
struct Metadata {
    annotations: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
    deletion_timestamp: Option<Time>,
    finalizers: Option<Vec<String>>,
    generate_name: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip)]
    managed_fields: Option<Vec<ManagedFieldsEntry>>,
    name: Option<String>,
    namespace: Option<String>,
    owner_references: Option<Vec<OwnerReference>>,
    resource_version: Option<String>,
    self_link: Option<String>,
    uid: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_but_managed_fields_is_decoded() {
        let managed = json!([{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {}}}]);
        let mut object = json!({
            "apiVersion": ArxivQuery::api_version(&()),
            "kind": ArxivQuery::kind(&()),
            "metadata": {
                "annotations": {"a": "1"}, "creationTimestamp": "2026-01-02T03:04:05Z",
                "deletionGracePeriodSeconds": 0, "deletionTimestamp": "2026-01-02T03:04:06Z", "finalizers": ["f"],
                "generateName": "g-", "generation": 2, "labels": {"b": "2"}, "managedFields": managed, "name": "n",
                "namespace": "ns",
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "p"}],
                "resourceVersion": "7", "selfLink": "/s", "uid": "u",
            },
            "spec": {"search": {"title": "x"}},
            "status": {"phase": "Pending"},
        });
        let decoded: QueryWithoutManagedFields = serde_json::from_value(object.clone()).unwrap();
        object["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("managedFields");
        let expected: ArxivQuery = serde_json::from_value(object).unwrap();
        assert_eq!(ArxivQuery::from(decoded), expected);
        // All fields that metadata may have but one.
        let metadata = serde_json::to_value(&expected.metadata).unwrap();
        assert_eq!(metadata.as_object().unwrap().len(), 14);

        // As short as an object may be.
        let object = json!({"metadata": {}, "spec": {"search": {"title": "x"}}});
        let decoded: QueryWithoutManagedFields = serde_json::from_value(object.clone()).unwrap();
        let expected: ArxivQuery = serde_json::from_value(object).unwrap();
        assert_eq!(ArxivQuery::from(decoded), expected);
    }
}
