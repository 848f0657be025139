//! What people's clients call: /arxiv, /queries, /results.

use serde_json::{Value, json};

use crate::{
    error::Code,
    jobs::outcome::SearchResponse,
    jobs::view::QueryView,
    output::format::{OF_QUERIES, OF_RESULTS},
    routes::queries::{ShownQuery, params::BETWEEN_DATES},
};
use crate::{
    openapi::Schemas,
    openapi::errors::{Error, missing, out_of_range},
    openapi::operation::{Answer, Operation, date},
};

/// The live list: how many there are of each kind, the first of the queue, and the last that ended.
const LIVE: &str = "event: queries\nid: 9b2d5b48f0f3a6c1\nretry: 3000\ndata: \
    {\"counts\":{\"pending\":0,\"running\":0,\"suspended\":0},\"queries\":[],\"ended\":[]}\n\n";

/// GET /arxiv
pub(crate) fn search(schemas: &mut Schemas) -> Operation {
    let found = json!({"timestamp": 1_711_843_200, "status": 200, "num_results": 1234, "num_entries": 3});
    let list = json!({"type": "array", "items": schemas.of::<QueryView<'static>>()});
    let schema = json!({"oneOf": [schemas.of::<SearchResponse>(), list]});
    Operation::new("search", "searches", "Search arXiv and wait for the end")
        .about(
            "Makes an `ArxivQuery` and waits for its end, up to a limit; then, or at once with \
             `Prefer: respond-async`, 202 with the address of its state. At least one search field is needed. \
             With `state` alone the queries are listed, a page at a time (`Link`), or live for a client that accepts \
             `text/event-stream`.",
        )
        .header("Prefer", "`respond-async`: answer 202 at once; `wait=N`: after N seconds, if not before.", json!({"type": "string"}))
        .idempotency_key()
        .answer(
            200,
            Answer::json("The search has ended and its results are recorded; or the queries of a list.", schema, found)
                .or_events(&["queries"], LIVE),
        )
        .answer(202, accepted(schemas))
        .unprocessable_search(out_of_range("max_results", 1, "0"))
        .errors(&upstream_errors())
        .errors(&[
            (
                410,
                Code::QueryRemoved,
                "The query was removed before it ended.",
                "The query was removed before it ended",
            ),
            (
                503,
                Code::KubernetesUnavailable,
                "arXiv, or something that this needs, is unavailable for a moment.",
                "The service is temporarily unavailable, try again later",
            ),
        ])
}

fn accepted(schemas: &mut Schemas) -> Answer {
    let name = "arxiv-7f1f8f1a3c6e4d0b9a52c1f0e3d4b5a6";
    let text = json!({"type": "string"});
    let schema = schemas.named(
        "Accepted",
        json!({
            "title": "Accepted", "type": "object", "required": ["detail", "code", "name", "location"],
            "properties": {"detail": text, "code": text, "name": text, "location": text},
        }),
    );
    let example = json!({
        "detail": "The query is accepted and not finished yet; its state is at the address in Location",
        "code": Code::StillWaiting.as_str(), "name": name, "location": format!("/arxiv/{name}"),
    });
    Answer::json("The query is accepted and will run.", schema, example)
        .header("Location", "Where its state is.", json!({"type": "string"}))
        .retry_after()
}

/// arXiv's failures, which are the caller's too.
pub(super) fn upstream_errors() -> [Error; 6] {
    [
        (
            400,
            Code::SearchRefused,
            "No search field is given, or arXiv refuses the search.",
            "At least one search parameter must be provided",
        ),
        (
            403,
            Code::UpstreamError,
            "arXiv refuses to answer.",
            "arXiv answered with status 403",
        ),
        (
            404,
            Code::NothingFound,
            "arXiv finds nothing.",
            "No results found for the given search parameters",
        ),
        (
            429,
            Code::TooManyWaiting,
            "Too much is asked for, here or at arXiv.",
            "Too many searches are waiting for their answer",
        ),
        (
            500,
            Code::Internal,
            "arXiv, or this service, failed.",
            "Internal Server Error",
        ),
        (
            502,
            Code::BrokenAnswer,
            "arXiv's answer cannot be read.",
            "arXiv's answer is no feed",
        ),
    ]
}

/// GET /queries
pub(crate) fn queries_get(schemas: &mut Schemas) -> Operation {
    let about = "A file name for browsers.";
    let answer = query_answer(schemas).header("Content-Disposition", about, json!({"type": "string"}));
    query_log("queries_get", answer).unprocessable(out_of_range("status", 0, "-1"))
}

/// POST /queries
pub(crate) fn queries_post(schemas: &mut Schemas) -> Operation {
    let text = |about: &str| {
        let mut schema = date();
        schema["type"] = json!(["string", "null"]);
        schema["description"] = about.into();
        schema
    };
    let properties: serde_json::Map<_, _> = BETWEEN_DATES
        .iter()
        .map(|param| (param.name.to_owned(), text(param.about)))
        .collect();
    let required: Vec<_> = BETWEEN_DATES
        .iter()
        .filter(|param| param.required)
        .map(|param| param.name)
        .collect();
    let body = schemas.named(
        "BetweenDates",
        json!({"title": "BetweenDates", "type": "object", "required": required, "properties": properties}),
    );
    let example: serde_json::Map<_, _> = BETWEEN_DATES
        .iter()
        .map(|param| (param.name.to_owned(), Value::from(param.example)))
        .collect();
    let wrong = json!({"type": "string_type", "loc": ["body", "start_timestamp"],
        "msg": "Input should be a valid string", "input": 1_711_843_200});
    let answer = query_answer(schemas);
    query_log("queries_post", answer)
        .body(body, Value::Object(example))
        .unprocessable(wrong)
        .too_large()
}

fn query_answer(schemas: &mut Schemas) -> Answer {
    Answer::json("Ascending by time.", query_list(schemas), query_example())
        .in_forms(OF_QUERIES)
        .replica_lag()
}

fn query_log(id: &'static str, answer: Answer) -> Operation {
    Operation::new(id, "records", "What was searched for, by time")
        .answer(200, answer)
        .errors(&[(
            400,
            Code::InvalidParameter,
            "The start is missing, or a date cannot be read.",
            "Required parameter missing: start_timestamp",
        )])
        .unavailable(Code::DatabaseUnavailable)
}

pub(super) fn query_list(schemas: &mut Schemas) -> Value {
    json!({"type": "array", "items": schemas.of::<ShownQuery>()})
}

pub(super) fn query_example() -> Value {
    json!([{
        "query": "ArXiv Query: search_query=au:knuth&id_list=&start=0&max_results=3",
        "timestamp": "2024-03-31T02:00:00", "status": 200, "num_results": 1234,
    }])
}

/// GET /results
pub(crate) fn results(schemas: &mut Schemas) -> Operation {
    Operation::new("results", "records", "What was found, in the order of recording")
        .about("A page past the end is empty.")
        .header(
            "Prefer",
            "`count=exact`: report the number of results in X-Total-Count.",
            json!({"type": "string"}),
        )
        .answer(200, result_page(schemas))
        .answer(304, Answer::empty(SAME))
        .unprocessable(out_of_range("page", 0, "-1"))
        .unavailable(Code::DatabaseUnavailable)
}

/// For a client that has a settled page already.
pub(super) const SAME: &str = "The page is the one with the entity tag in If-None-Match.";

pub(super) fn result_page(schemas: &mut Schemas) -> Answer {
    Answer::json("A page, or all results.", result_list(schemas), result_example())
        .in_forms(OF_RESULTS)
        .next_page()
        .header(
            "X-Total-Count",
            "How many results meet the filter, if that was asked for and could be counted in time.",
            json!({"type": "integer", "minimum": 0}),
        )
        .header(
            "ETag",
            "Of a full page behind a cursor, which never changes.",
            json!({"type": "string"}),
        )
        .replica_lag()
}

pub(super) fn result_list(schemas: &mut Schemas) -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    let schema = schemas.named(
        "Result",
        json!({
            "title": "Result", "type": "object", "required": ["author", "title", "journal"],
            "properties": {
                "author": text("Authors, joined by \", \"."),
                "title": text("The title."),
                "journal": text("The reference to the journal; empty when there is none."),
            },
        }),
    );
    json!({"type": "array", "items": schema})
}

pub(super) fn result_example() -> Value {
    json!([{"author": "Donald E. Knuth", "title": "Two notes on notation", "journal": "Amer. Math. Monthly 99 (1992)"}])
}

impl Operation {
    /// A body that is refused before it is read.
    pub(super) fn too_large(self) -> Self {
        self.errors(&[(
            413,
            Code::BodyTooLong,
            "The body is too long.",
            "Request body too large",
        )])
    }

    /// A body's field that is missing.
    pub(super) fn missing_field(self, name: &str) -> Self {
        self.unprocessable(missing(name)).too_large()
    }
}
