//! The custom resource definition as it is installed: the types, the bounds and documentation of the fields, and
//! the rules that Kubernetes itself enforces, in CEL.
//!
//! The lengths in the schema bound the cost of the rules. `self.?x == oldSelf.?x` would be shorter, but costs
//! over 100 times the budget that CEL has.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, ValidationRule,
};
use kube::{CustomResourceExt, core::Rule};
use serde_json::json;

use crate::{
    ArxivQuery, SortBy, SortOrder,
    fields::{
        Field, JOB_FIELDS, Kind, MAX_DATE_CHARS, MAX_ID_CHARS, MAX_IDS, MAX_NAME_CHARS, MAX_WORDS_CHARS,
        Role, SEARCH_FIELDS, SUBMITTED_AFTER, SUBMITTED_BEFORE, UPDATED_AFTER,
    },
};

/// The most conditions: four of ours at a time, and some that other tools add.
const MAX_CONDITIONS: i64 = 10;

/// The rule of what cannot be changed.
pub(crate) const FIXED: &str = "self == oldSelf";

/// What a condition's type is, as `metav1.Condition` has it.
const CONDITION_TYPE: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?\
     (([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$";
/// What a condition's reason is, as `metav1.Condition` has it.
const CONDITION_REASON: &str = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$";

/// A date, or a date and time of RFC 3339; as far as a regular expression can say it.
const DATE: &str = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\
     ([Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)([.][0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?$";

/// An arXiv identifier in every form that `paper::normalized_id` reads: alone, as in "Cite as" or the margin of a PDF,
/// as an address at arXiv or a mirror, as a DOI, as in OAI-PMH; in quotes or brackets.
const IDENTIFIER: &str = "(?i)^[\\\\s\\\\p{Z}\\\\p{Cf}\"\\\\x27`“‘«<(\\\\[{]*\
     ((arxiv preprint arxiv:|oai:arxiv[.]org:|arxiv[: ])\\\\s*\
     |(https?://)?(arxiv[.]org|xxx[.]lanl[.]gov|ar5iv[.]org|(www[.])?alphaxiv[.]org|([a-z0-9-]+[.])+arxiv[.]org)\
     /(abs|e-print|format|html|pdf|ps|src)/\
     |(doi:\\\\s*|(https?://)?(dx[.]|www[.])?doi[.]org/)?(10[.]48550/)?arxiv[.])?\
     ([0-9]{2}(0[1-9]|1[0-2])[.][0-9]{4,5}|[a-z]+(-[a-z]+)?([.][a-z]{2})?/[0-9]{2}(0[1-9]|1[0-2])[0-9]{3})\
     (v[1-9][0-9]{0,2})?([.]pdf)?/?([?#][!-~]*)?(\\\\s* \\\\[[a-z.-]+\\\\](\\\\s*[0-9]{1,2}\\\\s+[a-z]{3,9}\\\\s+[0-9]{4})?)?\
     [\\\\s\\\\p{Z}\\\\p{Cf}\"\\\\x27`”’»>)\\\\]}.,;:]*$";

/// The `arxivqueries.arxiv-operator.dev` definition; `crds/` holds it as YAML.
pub fn custom_resource_definition() -> CustomResourceDefinition {
    let mut definition = ArxivQuery::crd();
    for root in open_api_schemas(&mut definition) {
        clean(root);
        if let Some(spec) = property(root, "spec") {
            describe_all(JOB_FIELDS, spec);
            if let Some(search) = property(spec, "search") {
                describe_all(SEARCH_FIELDS, search);
            }
        }
        if let Some(status) = property(root, "status") {
            // A new object is not "Current" for kstatus before the operator has seen it.
            status.default = Some(JSON(json!({"observedGeneration": -1, "phase": "Pending"})));
            bound_conditions(status);
        }
    }
    definition
}

/// All definitions, each with the name of its file in `crds/`.
pub fn definitions() -> [(&'static str, CustomResourceDefinition); 2] {
    [
        ("arxivfeeds.yaml", crate::feed::definition()),
        ("arxivqueries.yaml", custom_resource_definition()),
    ]
}

/// The schema of each version.
pub(crate) fn open_api_schemas(
    definition: &mut CustomResourceDefinition,
) -> impl Iterator<Item = &mut JSONSchemaProps> {
    let versions = definition.spec.versions.iter_mut();
    let validations = versions.filter_map(|version| version.schema.as_mut());
    validations.filter_map(|validation| validation.open_api_v3_schema.as_mut())
}

/// Bounds the conditions of a status.
pub(crate) fn bound_conditions(status: &mut JSONSchemaProps) {
    if let Some(conditions) = property(status, "conditions") {
        conditions.max_items = Some(MAX_CONDITIONS);
        if let Some(JSONSchemaPropsOrArray::Schema(condition)) = &mut conditions.items {
            bound_condition(condition);
        }
    }
}

pub(crate) fn property<'a>(schema: &'a mut JSONSchemaProps, name: &str) -> Option<&'a mut JSONSchemaProps> {
    schema.properties.as_mut()?.get_mut(name)
}

/// Adds the bounds that the types of Kubernetes itself have.
fn bound_condition(condition: &mut JSONSchemaProps) {
    let mut bound = |name: &str, least: Option<i64>, most: i64, pattern: Option<&str>| {
        if let Some(schema) = property(condition, name) {
            (schema.min_length, schema.max_length) = (least, Some(most));
            schema.pattern = pattern.map(str::to_owned);
        }
    };
    bound("type", None, 316, Some(CONDITION_TYPE));
    bound("reason", Some(1), 1_024, Some(CONDITION_REASON));
    bound("message", None, 32_768, None);
    if let Some(status) = property(condition, "status") {
        let values = ["True", "False", "Unknown"].map(|value| JSON(json!(value)));
        status.enum_ = Some(values.into());
    }
    if let Some(generation) = property(condition, "observedGeneration") {
        generation.minimum = Some(0.0);
    }
}

pub(crate) fn describe_all(fields: &[Field], parent: &mut JSONSchemaProps) {
    for field in fields {
        if let Some(schema) = property(parent, field.name) {
            describe(field, schema);
        }
    }
}

/// Adds the documentation, the rules and the bounds of a field.
fn describe(field: &Field, schema: &mut JSONSchemaProps) {
    schema.description = Some(field.about.to_owned());
    schema.x_kubernetes_validations = rules(field);
    bound(field, schema);
}

/// Adds the bounds of a field.
pub(crate) fn bound(field: &Field, schema: &mut JSONSchemaProps) {
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
            // No format: none of Kubernetes' has a date alone next to a date and time.
            schema.max_length = length(MAX_DATE_CHARS);
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
fn rules(field: &Field) -> Option<Vec<ValidationRule>> {
    if field.role == Role::Fixed {
        let message = format!("{} cannot be changed; create a new ArxivQuery", field.name);
        return Some(vec![rule(FIXED, &message)]);
    }
    let rules = match &field.kind {
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
        Kind::Date(_) => vec![
            rule(
                &format!("self.matches('{DATE}')"),
                "must be a date, as 2024-01-31, or a date and time of RFC 3339, as 2024-01-31T12:30:00Z",
            ),
            rule(
                "!self.matches('^[0-9]{4}-(02-3|(0[469]|11)-31)') && \
                 (!self.matches('^[0-9]{4}-02-29') || \
                 self.matches('^([0-9]{2}(0[48]|[2468][048]|[13579][26])|[02468][048]00|[13579][26]00)-'))",
                "must be a day that exists",
            ),
            // A date that arXiv's index can hold: its years have four digits.
            rule(
                "!self.matches('^[0-9]{4}-') || self.matches('^(19|2[01])')",
                "must be a date from 1900 to 2199",
            ),
        ],
        Kind::Integer(_) | Kind::OneOf(_) | Kind::Boolean | Kind::Name => return None,
    };
    Some(rules)
}

pub(crate) fn rule(rule: &str, message: &str) -> ValidationRule {
    ValidationRule {
        rule: rule.to_owned(),
        message: Some(message.to_owned()),
        ..ValidationRule::default()
    }
}

/// At least one search field has a value.
pub(crate) fn has_search_field() -> Rule {
    let names: Vec<_> = SEARCH_FIELDS
        .iter()
        .filter(|field| field.is_search_field())
        .map(|field| field.name)
        .collect();
    let present: Vec<_> = names.iter().map(|name| format!("has(self.{name})")).collect();
    Rule::new(present.join(" || "))
        .message(format!("at least one search field is needed: {}", names.join(", ")).as_str())
}

/// The class does not change: another installation would run a query that one has begun.
pub(crate) fn class_is_fixed() -> Rule {
    let fields = JOB_FIELDS.iter().filter(|field| field.role == Role::Class);
    let clauses: Vec<_> = fields.map(|field| is_fixed(field.name)).collect();
    Rule::new(clauses.join(" && ")).message("className cannot be changed; create a new ArxivQuery")
}

/// An optional field does not change.
pub(crate) fn is_fixed(field: &str) -> String {
    format!(
        "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    )
}

/// The search does not change.
pub(crate) fn search_is_fixed() -> Rule {
    Rule::new(FIXED).message("the search cannot be changed; create a new ArxivQuery")
}

/// The dates are in order. A date alone is its start where it is the first one, and its end where it is the last one. What
/// is no date is refused by itself, with words that say so.
pub(crate) fn dates_are_in_order() -> Rule {
    let (after, before) = (SUBMITTED_AFTER.name, SUBMITTED_BEFORE.name);
    let time = |field: &str, of_day: &str| {
        // `timestamp()` knows the usual form only, and no leap seconds.
        let usual = "upperAscii().replace(' ', 'T').replace(':60', ':59')";
        format!("timestamp(self.{field}.size() == 10 ? self.{field} + 'T{of_day}Z' : self.{field}.{usual})")
    };
    Rule::new(format!(
        "!has(self.{after}) || !has(self.{before}) || ![self.{after}, self.{before}].all(x, x.matches('{DATE}')) || {} < {}",
        time(after, "00:00:00"),
        time(before, "23:59:59"),
    ))
    .message(format!("{after} must be before {before}").as_str())
}

/// A search up to a date of the last update is sorted by it, newest first.
pub(crate) fn updates_are_in_order() -> Rule {
    let field = UPDATED_AFTER.name;
    let (by, order) = (SortBy::LastUpdatedDate, SortOrder::Descending);
    Rule::new(format!(
        "!has(self.{field}) || (self.sortBy == '{by}' && self.sortOrder == '{order}')"
    ))
    .message(format!("{field} needs sortBy: {by} and sortOrder: {order}").as_str())
}

/// Cleans a schema at every depth.
///
/// Without `nullable`, Kubernetes drops a `title: null`. If it stayed, `has(self.title)` would be true of it, and a spec
/// of nothing but nulls would be accepted as a search. Descriptions have each paragraph in one line, since
/// `kubectl explain` breaks lines itself.
pub(crate) fn clean(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.description = schema.description.take().map(|text| {
        let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
        paragraphs.collect::<Vec<_>>().join("\n\n")
    });
    for property in schema.properties.iter_mut().flat_map(|all| all.values_mut()) {
        clean(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        clean(items);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;
    use crate::ArxivQuerySpec;

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
        let mut properties = spec.properties.clone().unwrap();
        let search = properties.remove("search").unwrap();
        let default = serde_json::to_value(ArxivQuerySpec::default()).unwrap();
        compare(JOB_FIELDS, &properties, &default);
        compare(SEARCH_FIELDS, &search.properties.unwrap(), &default["search"]);
    }

    /// The fields are those of the schema, with the same values, and with a default if they are always there.
    fn compare(fields: &[Field], properties: &BTreeMap<String, JSONSchemaProps>, default: &Value) {
        let rows: BTreeSet<_> = fields.iter().map(|field| field.name.to_owned()).collect();
        assert_eq!(properties.keys().cloned().collect::<BTreeSet<_>>(), rows);
        for field in fields {
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
            let filled_in = schema.default.as_ref().map(|JSON(value)| value);
            assert_eq!(filled_in, default.get(field.name), "{}", field.name);
            assert!(field.role != Role::Fixed || filled_in.is_some(), "{}", field.name);
        }
    }
}
