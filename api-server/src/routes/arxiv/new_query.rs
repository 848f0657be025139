//! The body of POST /arxiv: the search fields and job fields of an ArxivQuery's `spec`.
//!
//! Members are spelt as everything in this API (`max_results`), or as in the spec (`maxResults`), so that a spec can be
//! posted as it is. What is no member is refused: a misspelt one would silently search for something else.

use std::ops::RangeInclusive;

use arxiv::{MAX_ID_CHARS, MAX_IDS, MAX_RESULTS, MAX_VALUE_CHARS, Search};
use crd::ArxivQuerySpec;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::routes::arxiv::search_params::{SearchParams, alone};
use crate::{error::ApiError, jobs::idempotency::hash};
use wire::{
    field_error::{FieldError, FieldErrors, PathSegment},
    json::Json,
    params::{RangeError, in_range},
};

/// The lowest priority that a spec may have.
const MIN_PRIORITY: i64 = -1_000;
/// Longest date in a spec.
const MAX_DATE_BYTES: usize = 64;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewQuery {
    /// As far as the client says it, with our default for `maxResults`.
    pub(crate) spec: ArxivQuerySpec,
    /// The hash of what the client said: the same however it was spelt.
    pub(crate) fingerprint: String,
}

/// A member of the body.
#[derive(Debug)]
pub(crate) struct Member {
    /// As this API spells it.
    pub(crate) name: &'static str,
    /// As the spec spells it.
    pub(crate) spec: &'static str,
    pub(crate) kind: Kind,
}

/// What a member's value may be.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Words to search for, at most [`MAX_VALUE_CHARS`] characters.
    Words,
    /// arXiv identifiers, 1 to [`MAX_IDS`].
    Identifiers,
    /// A date and time (RFC 3339).
    Date,
    /// An integer within a range, both ends included.
    Integer(RangeInclusive<i64>),
    /// As an integer, but no greater than this installation allows.
    Priority,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

const fn member(name: &'static str, spec: &'static str, kind: Kind) -> Member {
    Member { name, spec, kind }
}

/// All members.
pub(crate) const MEMBERS: &[Member] = &[
    member("author", "author", Kind::Words),
    member("title", "title", Kind::Words),
    member("journal", "journal", Kind::Words),
    member("abstract", "abstract", Kind::Words),
    member("category", "category", Kind::Words),
    member("comment", "comment", Kind::Words),
    member("report_number", "reportNumber", Kind::Words),
    member("all", "all", Kind::Words),
    member("id_list", "idList", Kind::Identifiers),
    member("submitted_after", "submittedAfter", Kind::Date),
    member("submitted_before", "submittedBefore", Kind::Date),
    member("max_results", "maxResults", Kind::Integer(1..=MAX_RESULTS as i64)),
    member("start", "start", Kind::Integer(0..=MAX_RESULTS as i64)),
    member(
        "sort_by",
        "sortBy",
        Kind::OneOf(&["relevance", "lastUpdatedDate", "submittedDate"]),
    ),
    member(
        "sort_order",
        "sortOrder",
        Kind::OneOf(&["ascending", "descending"]),
    ),
    member("cache_policy", "cachePolicy", Kind::OneOf(&["Reuse", "Refresh"])),
    member("priority", "priority", Kind::Priority),
    member("backoff_limit", "backoffLimit", Kind::Integer(0..=1_000)),
    member(
        "active_deadline_seconds",
        "activeDeadlineSeconds",
        Kind::Integer(1..=31_536_000),
    ),
];

/// What a client's own words are measured by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// `maxResults` when a client does not say.
    pub(crate) default_max_results: u32,
    /// The highest `priority`.
    pub(crate) max_priority: i32,
}

impl NewQuery {
    /// Reads the body. All that is wrong with it is told at once.
    pub(crate) fn of_body(body: &Json, limits: Limits) -> Result<Self, ApiError> {
        let Json::Object(members) = body else {
            return Err(FieldErrors::from(FieldError::object_type(&["body".into()], body.clone())).into());
        };
        let mut problems = FieldErrors::default();
        let mut given = Map::new();
        for (key, value) in members {
            let known = MEMBERS.iter().find(|m| m.name == key || m.spec == key);
            let Some(member) = known else {
                let loc = ["body".into(), PathSegment::Text(key.clone())];
                problems.push(FieldError::extra(&loc, value.clone()));
                continue;
            };
            if *value == Json::Null {
                continue;
            }
            let name = if member.name == key {
                member.name
            } else {
                member.spec
            };
            let loc = [PathSegment::Name("body"), PathSegment::Name(name)];
            match member.read(&loc, value, limits) {
                Ok(read) => {
                    if given.insert(member.spec.to_owned(), read).is_some() {
                        problems.push(FieldError::unfit(&loc, "given in both spellings", value.clone()));
                    }
                }
                Err(problem) => problems.push(*problem),
            }
        }
        problems.into_result()?;
        if !given.keys().any(|key| is_search_field(key)) {
            let reason = "at least one search field is needed";
            return Err(FieldErrors::from(FieldError::unfit(&["body".into()], reason, body.clone())).into());
        }
        Self::of(given, limits)
    }

    /// What GET /arxiv asks for; `refresh` when an answer that was fetched before will not do.
    pub(crate) fn of_params(params: &SearchParams, refresh: bool, limits: Limits) -> Result<Self, ApiError> {
        let fields = [
            ("author", &params.search.author),
            ("title", &params.search.title),
            ("journal", &params.search.journal),
        ];
        let mut given: Map<String, Value> = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value.clone()?))))
            .collect();
        if let Some(max_results) = params.given_max_results {
            given.insert("maxResults".to_owned(), Value::from(max_results));
        }
        if refresh {
            given.insert("cachePolicy".to_owned(), Value::from("Refresh"));
        }
        Self::of(given, limits)
    }

    fn of(mut given: Map<String, Value>, limits: Limits) -> Result<Self, ApiError> {
        let fingerprint = hash(&[&Value::Object(given.clone()).to_string()]);
        given
            .entry("maxResults")
            .or_insert_with(|| Value::from(limits.default_max_results));
        let spec = serde_json::from_value(Value::Object(given)).map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a query that was read is no spec"
            );
            ApiError::internal()
        })?;
        Ok(Self { spec, fingerprint })
    }
}

fn is_search_field(spec: &str) -> bool {
    MEMBERS
        .iter()
        .any(|member| member.spec == spec && matches!(member.kind, Kind::Words | Kind::Identifiers))
}

/// A value as the spec has it, or what is wrong with it.
type Read<T> = Result<T, Box<FieldError>>;

impl Member {
    fn read(&self, loc: &[PathSegment], value: &Json, limits: Limits) -> Read<Value> {
        match (&self.kind, value) {
            (Kind::Words, Json::String(text)) => self.words(loc, text).map(Value::from),
            (Kind::Identifiers, Json::Array(ids)) => identifiers(loc, ids),
            (Kind::Date, Json::String(text)) => date(loc, text).map(Value::from),
            (Kind::Integer(range), Json::Integer(number)) => {
                integer(loc, value, *number, range).map(Value::from)
            }
            (Kind::Priority, Json::Integer(number)) => {
                let range = MIN_PRIORITY..=i64::from(limits.max_priority);
                integer(loc, value, *number, &range).map(Value::from)
            }
            (Kind::OneOf(words), Json::String(text)) if words.contains(&text.as_str()) => {
                Ok(Value::from(text.as_str()))
            }
            (Kind::OneOf(words), _) => Err(FieldError::none_of(loc, words, value.clone()).into()),
            (Kind::Words | Kind::Date, _) => Err(FieldError::string_type(loc, value.clone()).into()),
            (Kind::Identifiers, _) => Err(FieldError::array_type(loc, value.clone()).into()),
            (Kind::Integer(_) | Kind::Priority, _) => {
                Err(FieldError::integer_type(loc, value.clone()).into())
            }
        }
    }

    fn words<'a>(&self, loc: &[PathSegment], text: &'a str) -> Read<&'a str> {
        if text.is_empty() {
            Err(FieldError::empty_string(loc).into())
        } else if text.chars().count() > MAX_VALUE_CHARS {
            Err(FieldError::long_string(loc, MAX_VALUE_CHARS, text).into())
        } else {
            match alone(self.spec, text).validate() {
                Ok(_) => Ok(text),
                Err(error) => Err(FieldError::unfit(loc, error, Json::from(text)).into()),
            }
        }
    }
}

fn integer(loc: &[PathSegment], value: &Json, number: i128, range: &RangeInclusive<i64>) -> Read<i64> {
    in_range(number, range).map_err(|outside| {
        match outside {
            RangeError::Below => FieldError::less_than(loc, *range.start(), value.clone()),
            RangeError::Above => FieldError::greater_than(loc, *range.end(), value.clone()),
        }
        .into()
    })
}

fn identifiers(loc: &[PathSegment], ids: &[Json]) -> Read<Value> {
    if ids.is_empty() {
        let reason = "must have at least one identifier";
        return Err(FieldError::unfit(loc, reason, Json::Array(Vec::new())).into());
    }
    if ids.len() > MAX_IDS {
        return Err(FieldError::long_array(loc, MAX_IDS, ids.len()).into());
    }
    let read = ids.iter().enumerate().map(|(index, id)| {
        let mut loc = loc.to_vec();
        loc.push(PathSegment::Index(index));
        let Json::String(text) = id else {
            return Err(FieldError::string_type(&loc, id.clone()).into());
        };
        if text.chars().count() > MAX_ID_CHARS {
            return Err(FieldError::long_string(&loc, MAX_ID_CHARS, text).into());
        }
        let alone = Search {
            ids: vec![text.clone()],
            ..Search::default()
        };
        match alone.validate() {
            Ok(_) => Ok(Value::from(text.as_str())),
            Err(_) => Err(FieldError::unfit(&loc, "is no arXiv identifier", id.clone()).into()),
        }
    });
    read.collect::<Read<Vec<_>>>().map(Value::from)
}

/// Kubernetes looks at the rest: whether it is a time that papers have, and after the other one.
fn date<'a>(loc: &[PathSegment], text: &'a str) -> Read<&'a str> {
    match text.parse::<Timestamp>() {
        Ok(_) if text.len() <= MAX_DATE_BYTES => Ok(text),
        _ => {
            let reason = "must be a date and time, as 2024-01-31T00:00:00Z";
            Err(FieldError::unfit(loc, reason, Json::from(text)).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use wire::json;

    fn read(body: &Value) -> Result<NewQuery, Vec<(String, Value)>> {
        let body = json::parse(body.to_string().as_bytes()).unwrap();
        let limits = Limits {
            default_max_results: 8,
            max_priority: 5,
        };
        NewQuery::of_body(&body, limits).map_err(|error| {
            let detail = error.body()["detail"].clone();
            let problems = detail.as_array().unwrap().iter();
            problems
                .map(|p| (p["type"].as_str().unwrap().to_owned(), p["loc"].clone()))
                .collect()
        })
    }

    #[test]
    fn both_spellings_are_one_query() {
        let ours = json!({"title": "x", "max_results": 3, "sort_by": "submittedDate", "backoff_limit": 0, "author": null});
        let theirs = json!({"sortBy": "submittedDate", "title": "x", "backoffLimit": 0, "maxResults": 3});
        let query = read(&ours).unwrap();
        assert_eq!(query, read(&theirs).unwrap());
        assert_eq!((query.spec.max_results, query.spec.backoff_limit), (3, Some(0)));
        assert_eq!(query.spec.sort_by, Some(crd::SortBy::SubmittedDate));
        let usual = read(&json!({"title": "x"})).unwrap();
        assert_eq!((usual.spec.max_results, usual.spec.start), (8, 0));
        assert_ne!(usual.fingerprint, query.fingerprint);
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
        assert_eq!(body.as_object().unwrap().len(), MEMBERS.len());
        let spec = read(&body).unwrap().spec;
        assert_eq!(spec.id_list.as_ref().unwrap().len(), 2);
        assert_eq!((spec.cache_policy, spec.priority), (crd::CachePolicy::Refresh, 5));
        // As the spec spells it, all of it again, but for what a client has no say in.
        let mut spelt = serde_json::to_value(&spec).unwrap();
        spelt.as_object_mut().unwrap().remove("suspend");
        assert_eq!(read(&spelt).unwrap().spec, spec);
    }

    #[test]
    fn what_is_no_member_or_does_not_fit_is_refused() {
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
        ];
        for (body, problems) in cases {
            assert_eq!(read(&body).unwrap_err(), problems, "{body}");
        }
    }
}
