//! The parts that searches are made of: /arxiv-api, /get-sequence, /read-*, /write-*.

use serde_json::{Value, json};

use crate::{
    error::Code, output::format::OF_QUERIES, routes::arxiv_api::Papers, routes::writes::SequenceBody,
};
use crate::{
    openapi::Schemas,
    openapi::errors::out_of_range,
    openapi::frontend::{SAME, query_example, query_list, result_page, upstream_errors},
    openapi::operation::{Answer, Operation},
};

/// GET /arxiv-api
pub(crate) fn arxiv_api(schemas: &mut Schemas) -> Operation {
    let example = json!({
        "data": [{"authors": "Donald E. Knuth", "title": "Two notes on notation", "journal": ""}],
        "timestamp": 1_711_843_200, "status": 200, "num_results": 1234, "num_entries": 1,
        "query": "search_query=au:knuth&id_list=&start=0&max_results=1",
    });
    Operation::new("search_arxiv_api", "backend", "Ask arXiv, and record nothing")
        .answer(
            200,
            Answer::json("What arXiv knows.", schemas.of::<Papers>(), example),
        )
        .unprocessable(out_of_range("max_results", 1, "0"))
        .errors(&upstream_errors())
        .unavailable(Code::DatabaseUnavailable)
}

/// GET /get-sequence
pub(crate) fn get_sequence(schemas: &mut Schemas) -> Operation {
    let answer = Answer::json(
        "The number.",
        schemas.of::<SequenceBody>(),
        json!({"sequence": 17}),
    );
    Operation::new("get_sequence", "backend", "The next number")
        .answer(200, answer)
        .unavailable(Code::DatabaseUnavailable)
}

/// GET /read-queries
pub(crate) fn read_queries(schemas: &mut Schemas) -> Operation {
    let wrong = json!({"type": "int_parsing", "loc": ["query", "start_timestamp"], "input": "yesterday",
        "msg": "Input should be a valid integer, unable to parse string as an integer"});
    let summary = "What was searched for, by unix seconds";
    Operation::new("read_queries", "backend", summary)
        .answer(
            200,
            Answer::json("Ascending by time.", query_list(schemas), query_example())
                .in_forms(OF_QUERIES)
                .replica_lag(),
        )
        .unprocessable(wrong)
        .unavailable(Code::DatabaseUnavailable)
}

/// GET /read-results
pub(crate) fn read_results(schemas: &mut Schemas) -> Operation {
    let summary = "What was found, in the order of recording";
    Operation::new("read_results", "backend", summary)
        .answer(200, result_page(schemas))
        .answer(304, Answer::empty(SAME))
        .unprocessable(out_of_range("page", 0, "-1"))
        .unavailable(Code::DatabaseUnavailable)
}

/// POST /write-queries
pub(crate) fn write_queries(schemas: &mut Schemas) -> Operation {
    let body = schemas.named(
        "QueryRecord",
        json!({
            "title": "QueryRecord", "type": "object",
            "required": ["query_id", "timestamp", "status", "num_results", "num_entries", "query"],
            "properties": {
                "query_id": integer(i64::MIN, i64::MAX), "timestamp": integer(i64::MIN, i64::MAX),
                "status": small_integer(), "num_results": integer(i32::MIN.into(), i32::MAX.into()),
                "num_entries": small_integer(), "query": text(),
            },
        }),
    );
    let example = json!({
        "query_id": 17, "timestamp": 1_711_843_200, "status": 200, "num_results": 1234, "num_entries": 1,
        "query": "search_query=au:knuth&id_list=&start=0&max_results=1",
    });
    Operation::new("write_queries", "backend", "Record one query")
        .about("The same content once more is as good as the first time.")
        .body(body, example)
        .saved("Query record saved successfully")
}

/// POST /write-results
pub(crate) fn write_results(schemas: &mut Schemas) -> Operation {
    let item = json!({
        "type": "object", "required": ["authors", "title", "journal"],
        "properties": {"authors": text(), "title": text(), "journal": text()},
    });
    let body = schemas.named(
        "ResultRecords",
        json!({
            "title": "ResultRecords", "type": "object", "required": ["query_id", "timestamp", "results"],
            "properties": {
                "query_id": integer(i64::MIN, i64::MAX), "timestamp": integer(i64::MIN, i64::MAX),
                "results": {"type": "array", "maxItems": arxiv::MAX_RESULTS, "items": item},
            },
        }),
    );
    let example = json!({
        "query_id": 17, "timestamp": 1_711_843_200,
        "results": [{"authors": "Donald E. Knuth", "title": "Two notes on notation", "journal": ""}],
    });
    Operation::new("write_results", "backend", "Record what one query found")
        .about("The same content once more is as good as the first time.")
        .body(body, example)
        .saved("Result records saved successfully")
}

impl Operation {
    fn saved(self, message: &str) -> Self {
        let schema = json!({"type": "object", "required": ["message"], "properties": {"message": text()}});
        self.answer(
            201,
            Answer::json("It is recorded.", schema, json!({ "message": message })),
        )
        .missing_field("query_id")
        .errors(&[(
            409,
            Code::Conflict,
            "The number has other content.",
            "query_id 17 is taken by other content",
        )])
        .unavailable(Code::DatabaseUnavailable)
    }
}

fn integer(least: i64, greatest: i64) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": greatest})
}

fn small_integer() -> Value {
    integer(i16::MIN.into(), i16::MAX.into())
}

/// Any text that Postgres can store.
fn text() -> Value {
    json!({"type": "string", "pattern": "^[^\\u0000]*$"})
}
