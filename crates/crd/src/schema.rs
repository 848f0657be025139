//! The custom resource definition as it is installed: what the types say, and what only the schema can.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;
use serde_json::json;

use crate::ArxivQuery;

/// At most this many conditions: three of ours, and room for tools that add their own.
const MAX_CONDITIONS: i64 = 8;

/// The `arxivqueries.arxiv-operator.dev` definition; `crds/` holds it as YAML.
pub fn custom_resource_definition() -> CustomResourceDefinition {
    let mut definition = ArxivQuery::crd();
    let schemas = definition
        .spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut());
    for root in schemas.filter_map(|validation| validation.open_api_v3_schema.as_mut()) {
        drop_nulls(root);
        if let Some(status) = property(root, "status") {
            // A new object is not "Current" for kstatus before the operator has seen it.
            status.default = Some(JSON(json!({"observedGeneration": -1, "phase": "Pending"})));
            if let Some(conditions) = property(status, "conditions") {
                conditions.max_items = Some(MAX_CONDITIONS);
            }
        }
    }
    definition
}

fn property<'a>(schema: &'a mut JSONSchemaProps, name: &str) -> Option<&'a mut JSONSchemaProps> {
    schema.properties.as_mut()?.get_mut(name)
}

/// Takes `nullable` away at every depth: Kubernetes then drops a `title: null`. Were it kept, `has(self.title)` would
/// be true of it, and a spec of nothing but nulls would pass for a search.
fn drop_nulls(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for property in schema.properties.iter_mut().flat_map(|all| all.values_mut()) {
        drop_nulls(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        drop_nulls(items);
    }
}
