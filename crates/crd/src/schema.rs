//! The custom resource definition as it is installed: from the types, from the rows of [`FIELDS`], and what
//! only the schema can say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;
use serde_json::json;

use crate::{
    ArxivQuery,
    fields::{FIELDS, Field, Kind, MAX_DATE_CHARS, MAX_ID_CHARS, MAX_IDS, MAX_WORDS_CHARS},
    rules,
};

/// The most conditions: three of ours, and some that other tools add.
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
        if let Some(spec) = property(root, "spec") {
            for field in FIELDS {
                if let Some(schema) = property(spec, field.name) {
                    describe(field, schema);
                }
            }
        }
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

/// Adds the documentation, the bounds and the rules of a field.
fn describe(field: &Field, schema: &mut JSONSchemaProps) {
    schema.description = Some(field.about.to_owned());
    match &field.kind {
        Kind::Words(_) => {
            schema.max_length = length(MAX_WORDS_CHARS);
            schema.x_kubernetes_validations = Some(vec![rules::has_a_word(), rules::has_no_controls()]);
        }
        Kind::Identifiers(_) => {
            schema.min_items = Some(1);
            schema.max_items = length(MAX_IDS);
            schema.x_kubernetes_validations = Some(vec![rules::are_identifiers()]);
            if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
                items.max_length = length(MAX_ID_CHARS);
            }
        }
        Kind::Date(_) => {
            schema.max_length = length(MAX_DATE_CHARS);
            schema.format = Some("date-time".to_owned());
            schema.x_kubernetes_validations = Some(vec![rules::is_date_of_papers()]);
        }
        Kind::Integer(range) => {
            // No bound is beyond the integers that are exact as a float.
            #[expect(clippy::cast_precision_loss, reason = "the schema has floats for bounds")]
            let bound = |bound: i64| Some(bound as f64);
            schema.minimum = bound(*range.start());
            schema.maximum = bound(*range.end());
        }
        // Their values are those of the type.
        Kind::OneOf(_) | Kind::Boolean => {}
    }
}

fn length(bound: usize) -> Option<i64> {
    i64::try_from(bound).ok()
}

/// Removes `nullable` at every depth: Kubernetes then drops a `title: null`. If it stayed, `has(self.title)`
/// would be true of it, and a spec of nothing but nulls would be accepted as a search.
fn drop_nulls(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for property in schema.properties.iter_mut().flat_map(|all| all.values_mut()) {
        drop_nulls(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        drop_nulls(items);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_field_of_the_schema_has_a_row_with_the_same_values() {
        let mut definition = custom_resource_definition();
        let version = &mut definition.spec.versions[0];
        let root = version
            .schema
            .as_mut()
            .unwrap()
            .open_api_v3_schema
            .as_mut()
            .unwrap();
        let spec = property(root, "spec").unwrap();
        let properties = spec.properties.as_ref().unwrap();
        let rows: BTreeSet<_> = FIELDS.iter().map(|field| field.name.to_owned()).collect();
        assert_eq!(properties.keys().cloned().collect::<BTreeSet<_>>(), rows);
        for field in FIELDS {
            let schema = &properties[field.name];
            let (type_, words) = match &field.kind {
                Kind::Words(_) | Kind::Date(_) => ("string", None),
                Kind::Identifiers(_) => ("array", None),
                Kind::Integer(_) => ("integer", None),
                Kind::OneOf(words) => ("string", Some(*words)),
                Kind::Boolean => ("boolean", None),
            };
            assert_eq!(schema.type_.as_deref(), Some(type_), "{}", field.name);
            let values = schema.enum_.as_ref();
            let values =
                values.map(|values| values.iter().map(|JSON(value)| value.clone()).collect::<Vec<_>>());
            assert_eq!(
                values,
                words.map(|words| words.iter().map(|word| json!(word)).collect())
            );
            assert_eq!(schema.default.is_some(), field.has_default(), "{}", field.name);
        }
    }
}
