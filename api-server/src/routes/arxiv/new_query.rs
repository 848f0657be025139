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

/// An unknown member; of one that belongs elsewhere, the error says where.
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
mod tests;
