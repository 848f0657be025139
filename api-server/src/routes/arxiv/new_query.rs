//! The body of POST /arxiv: the search fields and job fields of an ArxivQuery's `spec`.
//!
//! Members are spelt as in the rest of this API (`max_results`), or as in the spec (`maxResults`), so that a spec can be
//! posted as it is. An unknown member is refused: a misspelt field would silently search for something else.

use std::collections::HashMap;

use crd::{
    ArxivQuerySpec,
    fields::{FIELDS, Field, Kind, MAX_ID_CHARS, MAX_IDS, MAX_WORDS_CHARS, PRIORITY, RESULTS},
};
use serde_json::{Map, Value, json};
use upstream::{SpecError, problems};

use crate::{error::ApiError, routes::request::Defaults};
use wire::{
    field_error::{FieldError, FieldErrors, PathSegment},
    json::Json,
};

/// The members of the body by their names in this API.
fn members() -> impl Iterator<Item = (&'static str, &'static Field)> {
    FIELDS.iter().filter_map(|field| Some((field.member?, field)))
}

/// The member of this name, in either spelling, and the spelling.
fn member(key: &str) -> Option<(&'static str, &'static Field)> {
    members().find_map(|(name, field)| {
        let spelling = [name, field.name].into_iter().find(|name| *name == key)?;
        Some((spelling, field))
    })
}

/// Reads the body. Everything that is wrong with it is reported at once, in the order of the members.
pub(crate) fn read_spec(body: &Json, defaults: &Defaults) -> Result<ArxivQuerySpec, ApiError> {
    let Json::Object(members) = body else {
        return Err(FieldErrors::from(FieldError::object_type(&["body".into()], body.clone())).into());
    };
    let mut wrong = Vec::new();
    let mut given = Map::new();
    let mut places = HashMap::new();
    for (position, (key, value)) in members.iter().enumerate() {
        let Some((name, field)) = member(key) else {
            let loc = ["body".into(), PathSegment::Text(key.clone())];
            wrong.push((position, FieldError::extra(&loc, value.clone())));
            continue;
        };
        if *value == Json::Null {
            continue;
        }
        let loc = [PathSegment::Name("body"), PathSegment::Name(name)];
        match read(field, &loc, value, defaults) {
            Ok(read) => {
                if given.insert(field.name.to_owned(), read).is_some() {
                    wrong.push((
                        position,
                        FieldError::unfit(&loc, "given in both spellings", value.clone()),
                    ));
                }
                places.insert(field.name, (position, loc, value));
            }
            Err(problem) => wrong.push((position, problem)),
        }
    }
    given
        .entry(RESULTS.name)
        .or_insert_with(|| Value::from(defaults.max_results));
    let spec = serde_json::from_value(Value::Object(given)).map_err(|error| {
        // Members that were read make a spec, so this is a bug.
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the members of a query make no spec"
        );
        ApiError::internal()
    })?;
    for error in problems(&spec) {
        match error.field().and_then(|field| places.get(field)) {
            Some((position, loc, value)) => wrong.push((*position, invalid(loc, &error, value))),
            // An invalid member may be why the search as a whole is invalid.
            None if wrong.is_empty() => wrong.push((0, invalid_search(&error, body))),
            None => {}
        }
    }
    wrong.sort_by_key(|(position, _)| *position);
    let mut problems = FieldErrors::default();
    for (_, problem) in wrong {
        problems.push(problem);
    }
    problems.into_result()?;
    Ok(spec)
}

/// What is wrong with the value of one member.
fn invalid(loc: &[PathSegment], error: &SpecError, value: &Json) -> FieldError {
    let SpecError::NoIdentifier(index) = *error else {
        return FieldError::unfit(loc, error, value.clone());
    };
    let mut loc = loc.to_vec();
    loc.push(PathSegment::Index(index));
    let entry = match value {
        Json::Array(entries) => entries.get(index),
        _ => None,
    };
    FieldError::unfit(&loc, "is no arXiv identifier", entry.unwrap_or(value).clone())
}

/// What is wrong with the search as a whole.
fn invalid_search(error: &SpecError, body: &Json) -> FieldError {
    let loc = ["body".into()];
    match error {
        SpecError::NoField => FieldError::unfit(&loc, "at least one search field is needed", body.clone()),
        error => FieldError::unfit(&loc, error, body.clone()),
    }
}

/// A value as the spec has it, or what is wrong with its type or its bounds.
fn read(field: &Field, loc: &[PathSegment], value: &Json, defaults: &Defaults) -> Result<Value, FieldError> {
    match (&field.kind, value) {
        (Kind::Words(..), Json::String(text)) => {
            FieldError::check_length(loc, text, MAX_WORDS_CHARS).map(Value::from)
        }
        (Kind::Identifiers(_), Json::Array(ids)) => identifiers(loc, ids),
        (Kind::Date(_), Json::String(text)) => Ok(Value::from(text.as_str())),
        (Kind::Integer(range), Json::Integer(number)) => {
            let most = if field.name == PRIORITY.name {
                defaults.max_priority.into()
            } else {
                *range.end()
            };
            FieldError::check_range(loc, *number, &(*range.start()..=most), value.clone()).map(Value::from)
        }
        (Kind::OneOf(words), Json::String(text)) if words.contains(&text.as_str()) => {
            Ok(Value::from(text.as_str()))
        }
        (Kind::OneOf(words), _) => Err(FieldError::none_of(loc, words, value.clone())),
        (Kind::Words(..) | Kind::Date(_), _) => Err(FieldError::string_type(loc, value.clone())),
        (Kind::Identifiers(_), _) => Err(FieldError::array_type(loc, value.clone())),
        (Kind::Integer(_), _) => Err(FieldError::integer_type(loc, value.clone())),
        // No member is of this kind.
        (Kind::Boolean | Kind::Name, _) => Err(FieldError::extra(loc, value.clone())),
    }
}

fn identifiers(loc: &[PathSegment], ids: &[Json]) -> Result<Value, FieldError> {
    if ids.is_empty() {
        let reason = "must have at least one identifier";
        return Err(FieldError::unfit(loc, reason, Json::Array(Vec::new())));
    }
    if ids.len() > MAX_IDS {
        return Err(FieldError::long_array(loc, MAX_IDS, ids.len()));
    }
    let read = ids.iter().enumerate().map(|(index, id)| {
        let mut loc = loc.to_vec();
        loc.push(PathSegment::Index(index));
        let Json::String(text) = id else {
            return Err(FieldError::string_type(&loc, id.clone()));
        };
        // An empty one is no identifier, which is found with the spec.
        if text.is_empty() {
            return Ok(Value::from(""));
        }
        FieldError::check_length(&loc, text, MAX_ID_CHARS).map(Value::from)
    });
    read.collect::<Result<Vec<_>, _>>().map(Value::from)
}

/// The schema of the body.
pub(super) fn schema() -> Value {
    let properties: Map<_, _> = members()
        .map(|(name, field)| (name.to_owned(), field_schema(field)))
        .collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn field_schema(field: &Field) -> Value {
    let mut schema = match &field.kind {
        Kind::Words(..) => json!({"type": "string", "minLength": 1, "maxLength": MAX_WORDS_CHARS}),
        Kind::Identifiers(_) => json!({"type": "array", "minItems": 1, "maxItems": MAX_IDS,
            "items": {"type": "string", "maxLength": MAX_ID_CHARS}}),
        Kind::Date(_) => json!({"type": "string", "format": "date-time"}),
        Kind::Integer(range) => json!({"type": "integer", "minimum": range.start(), "maximum": range.end()}),
        Kind::OneOf(words) => json!({"type": "string", "enum": words}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Name => json!({"type": "string"}),
    };
    schema["description"] = field.about.into();
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::submit::fingerprint;
    use crate::routes::request::RequestContext;
    use crd::CachePolicy;

    fn read(body: &Value) -> Result<ArxivQuerySpec, Vec<(String, Value)>> {
        let body = wire::json::parse(body.to_string().as_bytes()).unwrap();
        let context = RequestContext::with_default_settings().unwrap();
        let defaults = Defaults {
            max_priority: 5,
            ..context.defaults
        };
        read_spec(&body, &defaults).map_err(|error| {
            let detail = error.body()["detail"].clone();
            let problems = detail.as_array().unwrap().iter();
            problems
                .map(|p| (p["type"].as_str().unwrap().to_owned(), p["loc"].clone()))
                .collect()
        })
    }

    #[test]
    fn query_is_the_same_in_both_spellings() {
        let ours = json!({"title": "x", "max_results": 3, "sort_by": "submittedDate", "backoff_limit": 0, "author": null});
        let theirs = json!({"sortBy": "submittedDate", "title": "x", "backoffLimit": 0, "maxResults": 3});
        let query = read(&ours).unwrap();
        assert_eq!(query, read(&theirs).unwrap());
        assert_eq!((query.max_results, query.backoff_limit), (3, Some(0)));
        assert_eq!(query.sort_by, Some(crd::SortBy::SubmittedDate));
        let usual = read(&json!({"title": "x"})).unwrap();
        assert_eq!((usual.max_results, usual.start), (8, 0));
        assert_ne!(fingerprint(&usual), fingerprint(&query));
    }

    #[test]
    fn every_field_of_the_spec_can_be_posted() {
        let body = json!({
            "author": "a", "title": "b", "journal": "c", "abstract": "d", "category": "cs.LG", "comment": "e",
            "report_number": "f", "all": "g", "id_list": ["arXiv:2401.01234v2", "hep-th/9901001"],
            "submitted_after": "2024-01-01T00:00:00Z", "submitted_before": "2024-02-01T00:00:00+02:00",
            "max_results": 30_000, "start": 0, "sort_by": "relevance", "sort_order": "ascending",
            "cache_policy": "Refresh", "priority": 5, "backoff_limit": 0, "active_deadline_seconds": 1,
        });
        assert_eq!(body.as_object().unwrap().len(), members().count());
        let spec = read(&body).unwrap();
        assert_eq!(spec.id_list.as_ref().unwrap().len(), 2);
        assert_eq!((spec.cache_policy, spec.priority), (CachePolicy::Refresh, 5));
        // As the spec spells it, all of it again, but for what a client has no say in.
        let mut spelt = serde_json::to_value(&spec).unwrap();
        spelt.as_object_mut().unwrap().remove("suspend");
        assert_eq!(read(&spelt).unwrap(), spec);
    }

    #[test]
    fn unknown_member_or_invalid_value_is_refused() {
        let at = |kind: &str, name: &str| vec![(kind.to_owned(), json!(["body", name]))];
        let cases = [
            (
                json!({"title": "x", "autor": "y"}),
                at("extra_forbidden", "autor"),
            ),
            (json!({"title": ""}), at("string_too_short", "title")),
            (json!({"title": "x".repeat(513)}), at("string_too_long", "title")),
            (json!({"title": " "}), at("value_error", "title")),
            (json!({"title": 5}), at("string_type", "title")),
            (
                json!({"title": "x", "max_results": 0}),
                at("greater_than_equal", "max_results"),
            ),
            (
                json!({"title": "x", "maxResults": 30_001}),
                at("less_than_equal", "maxResults"),
            ),
            (json!({"title": "x", "start": "1"}), at("int_type", "start")),
            (json!({"title": "x", "start": 1.5}), at("int_type", "start")),
            (
                json!({"title": "x", "sort_by": "date"}),
                at("literal_error", "sort_by"),
            ),
            (
                json!({"title": "x", "sort_order": 1}),
                at("literal_error", "sort_order"),
            ),
            (
                json!({"title": "x", "max_results": 1, "maxResults": 1}),
                at("value_error", "max_results"),
            ),
            (
                json!({"max_results": 1}),
                vec![("value_error".into(), json!(["body"]))],
            ),
            (json!([]), vec![("dict_type".into(), json!(["body"]))]),
            (
                json!({"id_list": ["2401.01234", "x"], "title": "()"}),
                vec![
                    ("value_error".into(), json!(["body", "id_list", 1])),
                    ("value_error".into(), json!(["body", "title"])),
                ],
            ),
            (json!({"id_list": []}), at("value_error", "id_list")),
            (
                json!({"title": "x", "submittedAfter": "yesterday"}),
                at("value_error", "submittedAfter"),
            ),
            (
                json!({"title": "x", "submitted_after": "2024-01-02T00:00:00Z",
                    "submitted_before": "2024-01-01T00:00:00Z"}),
                vec![("value_error".into(), json!(["body"]))],
            ),
        ];
        for (body, problems) in cases {
            assert_eq!(read(&body).unwrap_err(), problems, "{body}");
        }
    }
}
