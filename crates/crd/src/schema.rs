//! The custom resource definition as it is installed: the types, the bounds and documentation of [`FIELDS`],
//! and the rules that Kubernetes itself enforces, in CEL.
//!
//! The lengths in the schema bound the cost of the rules. `self.?x == oldSelf.?x` would be shorter, but costs
//! over 100 times the budget that CEL has.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, ValidationRule,
};
use kube::{CustomResourceExt, core::Rule};
use serde_json::json;

use crate::{
    ArxivQuery,
    fields::{
        FIELDS, Field, Kind, MAX_DATE_CHARS, MAX_ID_CHARS, MAX_IDS, MAX_NAME_CHARS, MAX_WORDS_CHARS, Role,
    },
};

/// The most conditions: three of ours, and some that other tools add.
const MAX_CONDITIONS: i64 = 8;

/// An arXiv identifier in every usual form: alone, after `arXiv:`, as an address of its abstract or PDF, as a
/// DOI.
const IDENTIFIER: &str = "(?i)^\\\\s*(arxiv: ?|(https?://)?((www|export)[.])?arxiv[.]org/(abs|pdf|html)/|((https?://)?(dx[.])?doi[.]org/|doi: ?)?10[.]48550/arxiv[.])?\
     ([0-9]{2}(0[1-9]|1[0-2])[.][0-9]{4,5}|[a-z]+(-[a-z]+)?([.][a-z]{2})?/[0-9]{2}(0[1-9]|1[0-2])[0-9]{3})\
     (v[1-9][0-9]{0,2})?([.]pdf)?/?([?#][!-~]*)?\\\\s*$";

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
    schema.x_kubernetes_validations = rules(&field.kind);
    match &field.kind {
        Kind::Words(..) => schema.max_length = length(MAX_WORDS_CHARS),
        Kind::Identifiers(_) => {
            schema.min_items = Some(1);
            schema.max_items = length(MAX_IDS);
            if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
                items.max_length = length(MAX_ID_CHARS);
            }
        }
        Kind::Date(_) => {
            schema.max_length = length(MAX_DATE_CHARS);
            schema.format = Some("date-time".to_owned());
        }
        Kind::Integer(range) => {
            // No bound is beyond the integers that are exact as a float.
            #[expect(clippy::cast_precision_loss, reason = "the schema has floats for bounds")]
            let bound = |bound: i64| Some(bound as f64);
            schema.minimum = bound(*range.start());
            schema.maximum = bound(*range.end());
        }
        Kind::Name => {
            schema.max_length = length(MAX_NAME_CHARS);
            schema.pattern = Some("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$".to_owned());
        }
        // Their values are those of the type.
        Kind::OneOf(_) | Kind::Boolean => {}
    }
}

fn length(bound: usize) -> Option<i64> {
    i64::try_from(bound).ok()
}

/// The rules of a field by itself.
fn rules(kind: &Kind) -> Option<Vec<ValidationRule>> {
    let rules = match kind {
        Kind::Words(..) => vec![
            // More than white space and punctuation, which arXiv's index does not hold.
            rule(
                r"self.matches('[^\\p{Z}\\s[:punct:]]')",
                "must not be blank, nor have only punctuation in it",
            ),
            rule(
                r"!self.matches('\\p{Cc}')",
                "must not have control characters in it",
            ),
        ],
        Kind::Identifiers(_) => vec![rule(
            &format!("self.all(id, id.matches('{IDENTIFIER}'))"),
            "must be arXiv identifiers, for example 2401.01234v2 or hep-th/9901001, alone, after arXiv: or in an address",
        )],
        // A date that arXiv's index can hold: its years have four digits.
        Kind::Date(_) => vec![rule(
            "self >= timestamp('1900-01-01T00:00:00Z') && self < timestamp('2200-01-01T00:00:00Z')",
            "must be a date from 1900 to 2199",
        )],
        Kind::Integer(_) | Kind::OneOf(_) | Kind::Boolean | Kind::Name => return None,
    };
    Some(rules)
}

fn rule(rule: &str, message: &str) -> ValidationRule {
    ValidationRule {
        rule: rule.to_owned(),
        message: Some(message.to_owned()),
        ..ValidationRule::default()
    }
}

/// At least one search field has a value.
pub(crate) fn has_search_field() -> Rule {
    let names: Vec<_> = FIELDS
        .iter()
        .filter(|field| field.is_search_field())
        .map(|field| field.name)
        .collect();
    let present: Vec<_> = names.iter().map(|name| format!("has(self.{name})")).collect();
    Rule::new(format!("[{}].exists(x, x)", present.join(", ")))
        .message(format!("at least one search field is needed: {}", names.join(", ")).as_str())
}

/// The names of the fields of a role.
fn of_role(role: Role) -> impl Iterator<Item = &'static str> {
    let fields = FIELDS.iter().filter(move |field| field.role == role);
    fields.map(|field| field.name)
}

/// An optional field does not change.
fn is_fixed(field: &str) -> String {
    format!(
        "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    )
}

/// The class does not change: another installation would run a query that one has begun.
pub(crate) fn class_is_fixed() -> Rule {
    let clauses: Vec<_> = of_role(Role::Class).map(is_fixed).collect();
    Rule::new(clauses.join(" && ")).message("className cannot be changed; create a new ArxivQuery")
}

/// The search does not change.
pub(crate) fn search_is_fixed() -> Rule {
    let optional = of_role(Role::Search).map(is_fixed);
    let defaulted = of_role(Role::SearchWithDefault).map(|field| format!("self.{field} == oldSelf.{field}"));
    let clauses: Vec<_> = optional.chain(defaulted).collect();
    Rule::new(clauses.join(" && ")).message("the search cannot be changed; create a new ArxivQuery")
}

/// The dates are in order.
pub(crate) fn dates_are_in_order() -> Rule {
    Rule::new("!has(self.submittedAfter) || !has(self.submittedBefore) || self.submittedAfter < self.submittedBefore")
        .message("submittedAfter must be before submittedBefore")
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
                Kind::Words(..) | Kind::Date(_) | Kind::Name => ("string", None),
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
