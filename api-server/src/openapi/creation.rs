//! POST /arxiv.

use crd::fields::{Field, Kind, MAX_ID_CHARS, MAX_IDS, MAX_WORDS_CHARS};
use serde_json::{Map, Value, json};

use crate::{error::Code, routes::arxiv::new_query::members};
use crate::{
    openapi::Schemas, openapi::frontend::upstream_errors, openapi::objects::state,
    openapi::operation::Operation,
};

const PREFER: &str = "`respond-async`: answer 202 at once; `wait=N`: after N seconds, if not before.";

/// POST /arxiv
pub(crate) fn create(schemas: &mut Schemas) -> Operation {
    let about = "Makes an `ArxivQuery` and waits for its end, up to a limit. Members may be spelt as in its `spec`. An answer \
        of arXiv that is an error is reported with its status, and the query's address.";
    let location = |answer: super::operation::Answer| {
        answer.header("Location", "Where its state is.", json!({"type": "string"}))
    };
    let created = location(state("It has ended.", schemas, "Succeeded"));
    let accepted = location(state("It has not ended.", schemas, "Pending").retry_after());
    let extra = json!({"type": "extra_forbidden", "loc": ["body", "autor"],
        "msg": "Extra inputs are not permitted", "input": "knuth"});
    Operation::new("create_query", "searches", "Make a query")
        .about(about)
        .header("Prefer", PREFER, json!({"type": "string"}))
        .idempotency_key()
        .body(
            body(schemas),
            json!({"author": "knuth", "category": "cs.DS", "max_results": 3}),
        )
        .answer(201, created)
        .answer(202, accepted)
        .unprocessable_search(extra)
        .errors(&upstream_errors())
        .errors(&[(
            410,
            Code::QueryRemoved,
            "The query was removed before it ended.",
            "The query was removed before it ended",
        )])
        .errors(&[(
            415,
            Code::UnsupportedMediaType,
            "The body is declared to be something else than JSON.",
            "The body has to be JSON, declared as application/json",
        )])
        .errors(&[(
            504,
            Code::DeadlineExceeded,
            "The query was not done `activeDeadlineSeconds` after its first request to arXiv.",
            "not done 60 seconds after its first request to arXiv",
        )])
        .too_large()
        .unavailable(Code::KubernetesUnavailable)
}

fn body(schemas: &mut Schemas) -> Value {
    let properties: Map<_, _> = members()
        .map(|(name, field)| (name.to_owned(), schema(field)))
        .collect();
    schemas.named(
        "NewQuery",
        json!({"title": "NewQuery", "type": "object", "properties": properties, "additionalProperties": false}),
    )
}

fn schema(field: &Field) -> Value {
    let mut schema = match &field.kind {
        Kind::Words(_) => json!({"type": "string", "minLength": 1, "maxLength": MAX_WORDS_CHARS}),
        Kind::Identifiers(_) => json!({"type": "array", "minItems": 1, "maxItems": MAX_IDS,
            "items": {"type": "string", "maxLength": MAX_ID_CHARS}}),
        Kind::Date(_) => json!({"type": "string", "format": "date-time"}),
        Kind::Integer(range) => json!({"type": "integer", "minimum": range.start(), "maximum": range.end()}),
        Kind::OneOf(words) => json!({"type": "string", "enum": words}),
        Kind::Boolean => json!({"type": "boolean"}),
    };
    schema["description"] = Value::from(field.about);
    schema
}
