//! The body of POST /arxiv: an ArxivQuery's `spec`, as far as clients have a say.
//!
//! Members are spelt as in the rest of this API (`max_results`), or as in the spec (`maxResults`), so that a spec can be
//! posted as it is. An unknown member is refused: a misspelt field would silently search for something else.

use std::collections::HashMap;

use crd::{
    ArxivQuerySpec, JOB_FIELDS, SEARCH_FIELDS,
    fields::{Field, Kind, MAX_DATE_CHARS, MAX_ID_CHARS, MAX_IDS, MAX_WORDS_CHARS, PRIORITY, RESULTS},
};
use serde_json::{Map, Value, json};
use upstream::{SpecError, problems};

use crate::{error::ApiError, routes::request::Defaults};
use wire::{
    field_error::{FieldError, FieldErrors, PathSegment},
    json::Json,
};

/// The member that is the search itself.
const SEARCH: &str = "search";

/// The members of an object by their names in this API.
fn members(fields: &'static [Field]) -> impl Iterator<Item = (&'static str, &'static Field)> {
    fields.iter().filter_map(|field| Some((field.member?, field)))
}

/// The member of this name, in either spelling, and the spelling.
fn member(fields: &'static [Field], key: &str) -> Option<(&'static str, &'static Field)> {
    members(fields).find_map(|(name, field)| {
        let spelling = [name, field.name].into_iter().find(|name| *name == key)?;
        Some((spelling, field))
    })
}

/// What was read of a body so far.
struct Reading<'a> {
    defaults: &'a Defaults,
    /// How many members were read.
    count: usize,
    /// What is wrong, with the number of the member.
    wrong: Vec<(usize, FieldError)>,
    /// Where the value of each field is: the number of its member, its path, and the value.
    places: HashMap<&'static str, (usize, Vec<PathSegment>, &'a Json)>,
}

impl<'a> Reading<'a> {
    /// Reads the members of an object that are fields of these, as an object has them.
    fn object(
        &mut self,
        loc: &[PathSegment],
        members: &'a [(String, Json)],
        fields: &'static [Field],
    ) -> Map<String, Value> {
        let mut given = Map::new();
        for (key, value) in members {
            self.count += 1;
            if key == SEARCH && loc.len() == 1 {
                self.search(value, &mut given);
                continue;
            }
            let Some((name, field)) = member(fields, key) else {
                let loc = [loc, &[PathSegment::Text(key.clone())]].concat();
                self.wrong.push((self.count, unknown(&loc, key, value)));
                continue;
            };
            if *value == Json::Null {
                continue;
            }
            let loc = [loc, &[PathSegment::Name(name)]].concat();
            match read(field, &loc, value, self.defaults) {
                Ok(read) => {
                    if given.insert(field.name.to_owned(), read).is_some() {
                        let twice = FieldError::unfit(&loc, "given in both spellings", value.clone());
                        self.wrong.push((self.count, twice));
                    }
                    self.places.insert(field.name, (self.count, loc, value));
                }
                Err(problem) => self.wrong.push((self.count, problem)),
            }
        }
        given
    }

    fn search(&mut self, value: &'a Json, given: &mut Map<String, Value>) {
        let loc = ["body".into(), SEARCH.into()];
        match value {
            Json::Object(members) => {
                let search = self.object(&loc, members, SEARCH_FIELDS);
                given.insert(SEARCH.to_owned(), search.into());
            }
            Json::Null => {}
            other => self
                .wrong
                .push((self.count, FieldError::object_type(&loc, other.clone()))),
        }
    }
}

/// Reads the body. Everything that is wrong with it is reported at once, in the order of the members.
pub(crate) fn read_spec(body: &Json, defaults: &Defaults) -> Result<ArxivQuerySpec, ApiError> {
    let Json::Object(members) = body else {
        return Err(FieldErrors::from(FieldError::object_type(&["body".into()], body.clone())).into());
    };
    let mut reading = Reading {
        defaults,
        count: 0,
        wrong: Vec::new(),
        places: HashMap::new(),
    };
    let mut given = reading.object(&["body".into()], members, JOB_FIELDS);
    let Reading {
        mut wrong, places, ..
    } = reading;
    given
        .entry(RESULTS.name)
        .or_insert_with(|| Value::from(defaults.max_results));
    given.entry(SEARCH).or_insert_with(|| json!({}));
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

/// An unknown member; one that belongs elsewhere is told from a misspelt one.
fn unknown(loc: &[PathSegment], key: &str, value: &Json) -> FieldError {
    let is_elsewhere = |fields| member(fields, key).is_some();
    if loc.len() == 2 && is_elsewhere(SEARCH_FIELDS) {
        FieldError::unfit(loc, "this is a member of `search`", value.clone())
    } else if is_elsewhere(JOB_FIELDS) {
        FieldError::unfit(loc, "this is a member beside `search`", value.clone())
    } else {
        FieldError::extra(loc, value.clone())
    }
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
    let loc = ["body".into(), SEARCH.into()];
    let Some(search) = body.get(SEARCH) else {
        return FieldError::missing(&loc);
    };
    match error {
        SpecError::NoField => FieldError::unfit(&loc, "at least one search field is needed", search.clone()),
        error => FieldError::unfit(&loc, error, search.clone()),
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
        (Kind::OneOf(words), _) => {
            // arXiv itself spells some of them with a small first letter.
            let is_value =
                |word: &&&str| matches!(value, Json::String(text) if text.eq_ignore_ascii_case(word));
            let word = words.iter().find(is_value);
            word.map(|word| Value::from(*word))
                .ok_or_else(|| FieldError::none_of(loc, words, value.clone()))
        }
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
    let properties = |fields| -> Map<String, Value> {
        let members = members(fields);
        members
            .map(|(name, field)| (name.to_owned(), field_schema(field)))
            .collect()
    };
    let search = json!({"type": "object", "properties": properties(SEARCH_FIELDS), "additionalProperties": false,
        "minProperties": 1, "description": "What to search for. At least one field of words, or `id_list`, is needed."});
    let mut all = properties(JOB_FIELDS);
    all.insert(SEARCH.to_owned(), search);
    json!({"type": "object", "properties": all, "required": [SEARCH], "additionalProperties": false})
}

fn field_schema(field: &Field) -> Value {
    let mut schema = match &field.kind {
        Kind::Words(..) => json!({"type": "string", "minLength": 1, "maxLength": MAX_WORDS_CHARS}),
        Kind::Identifiers(_) => json!({"type": "array", "minItems": 1, "maxItems": MAX_IDS,
            "items": {"type": "string", "maxLength": MAX_ID_CHARS}}),
        Kind::Date(_) => json!({"type": "string", "minLength": 10, "maxLength": MAX_DATE_CHARS}),
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
        let ours = json!({"search": {"title": "x", "sort_by": "submittedDate", "author": null}, "max_results": 3,
            "backoff_limit": 0, "priority": null});
        let theirs =
            json!({"backoffLimit": 0, "search": {"sortBy": "SubmittedDate", "title": "x"}, "maxResults": 3});
        let query = read(&ours).unwrap();
        assert_eq!(query, read(&theirs).unwrap());
        assert_eq!((query.max_results, query.backoff_limit), (3, 0));
        assert_eq!(query.search.sort_by, crd::SortBy::SubmittedDate);
        let usual = read(&json!({"search": {"title": "x"}})).unwrap();
        assert_eq!((usual.max_results, usual.start), (8, 0));
        assert_ne!(fingerprint(&usual), fingerprint(&query));
    }

    #[test]
    fn every_field_of_the_spec_can_be_posted() {
        let search = json!({
            "author": "a", "title": "b", "journal": "c", "abstract": "d", "category": "cs.LG", "comment": "e",
            "report_number": "f", "all": "g", "id_list": ["arXiv:2401.01234v2", "hep-th/9901001"],
            "submitted_after": "2024-01-01", "submitted_before": "2024-02-01T00:00:00+02:00",
            "updated_after": "2024-01-01", "sort_by": "LastUpdatedDate", "sort_order": "Descending",
        });
        assert_eq!(search.as_object().unwrap().len(), members(SEARCH_FIELDS).count());
        let body = json!({
            "search": search, "max_results": 30_000, "start": 0, "cache_policy": "Refresh",
            "failure_policy": "FailFast", "priority": 5, "backoff_limit": 0, "active_deadline_seconds": 1,
            "pending_deadline_seconds": 1,
        });
        assert_eq!(body.as_object().unwrap().len(), 1 + members(JOB_FIELDS).count());
        let spec = read(&body).unwrap();
        assert_eq!(spec.search.id_list.as_ref().unwrap().len(), 2);
        assert_eq!((spec.cache_policy, spec.priority), (CachePolicy::Refresh, 5));
        // As the spec spells it, all of it again, but for what a client has no say in.
        let mut spelt = serde_json::to_value(&spec).unwrap();
        spelt.as_object_mut().unwrap().remove("suspend");
        assert_eq!(read(&spelt).unwrap(), spec);
    }

    #[test]
    fn unknown_or_misplaced_member_is_refused() {
        let cases = [
            (
                json!({"search": {"title": "x"}, "autor": "y"}),
                "extra_forbidden",
                json!(["body", "autor"]),
            ),
            (
                json!({"search": {"title": "x", "autor": "y"}}),
                "extra_forbidden",
                json!(["body", "search", "autor"]),
            ),
            (
                json!({"search": {"title": "x"}, "sort_by": "Relevance"}),
                "value_error",
                json!(["body", "sort_by"]),
            ),
            (
                json!({"search": {"title": "x", "maxResults": 1}}),
                "value_error",
                json!(["body", "search", "maxResults"]),
            ),
            (
                json!({"search": {"title": "x"}, "max_results": 1, "maxResults": 1}),
                "value_error",
                json!(["body", "max_results"]),
            ),
            (json!({"max_results": 1}), "missing", json!(["body", "search"])),
            (json!({"search": null}), "value_error", json!(["body", "search"])),
            (json!({"search": {}}), "value_error", json!(["body", "search"])),
            (json!({"search": "x"}), "dict_type", json!(["body", "search"])),
            (json!([]), "dict_type", json!(["body"])),
            (
                json!({"search": {"title": "x"}, "max_results": 0}),
                "greater_than_equal",
                json!(["body", "max_results"]),
            ),
            (
                json!({"search": {"title": "x"}, "maxResults": 30_001}),
                "less_than_equal",
                json!(["body", "maxResults"]),
            ),
            (
                json!({"search": {"title": "x"}, "start": "1"}),
                "int_type",
                json!(["body", "start"]),
            ),
            (
                json!({"search": {"title": "x"}, "start": 1.5}),
                "int_type",
                json!(["body", "start"]),
            ),
        ];
        for (body, kind, loc) in cases {
            assert_eq!(read(&body).unwrap_err(), [(kind.to_owned(), loc)], "{body}");
        }
    }

    #[test]
    fn invalid_search_field_is_refused() {
        let at = |kind: &str, name: &str| vec![(kind.to_owned(), json!(["body", "search", name]))];
        let cases = [
            (json!({"title": ""}), at("string_too_short", "title")),
            (json!({"title": "x".repeat(513)}), at("string_too_long", "title")),
            (json!({"title": " "}), at("value_error", "title")),
            (json!({"title": 5}), at("string_type", "title")),
            (
                json!({"title": "x", "sort_by": "date"}),
                at("literal_error", "sort_by"),
            ),
            (
                json!({"title": "x", "sort_order": 1}),
                at("literal_error", "sort_order"),
            ),
            (
                json!({"id_list": ["2401.01234", "x"], "title": "()"}),
                vec![
                    ("value_error".into(), json!(["body", "search", "id_list", 1])),
                    ("value_error".into(), json!(["body", "search", "title"])),
                ],
            ),
            (json!({"id_list": []}), at("value_error", "id_list")),
            (
                json!({"title": "x", "submittedAfter": "yesterday"}),
                at("value_error", "submittedAfter"),
            ),
            (
                json!({"title": "x", "submitted_before": "1704067200000"}),
                at("value_error", "submitted_before"),
            ),
            (
                json!({"title": "x", "submitted_after": "2024-01-02", "submitted_before": "2024-01-01"}),
                vec![("value_error".into(), json!(["body", "search"]))],
            ),
        ];
        for (search, problems) in cases {
            assert_eq!(
                read(&json!({ "search": search })).unwrap_err(),
                problems,
                "{search}"
            );
        }
    }
}
