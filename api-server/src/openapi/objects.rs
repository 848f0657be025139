//! /arxiv/NAME: the state of one query, its removal, its results.

use serde_json::json;

use crate::{
    error::Code,
    jobs::view::QueryView,
    openapi::Schemas,
    openapi::errors::{Error, out_of_range},
    openapi::frontend::{result_example, result_list},
    openapi::operation::{Answer, Operation},
    output::format::OF_RESULTS,
};

const NO_QUERY: Error = (
    404,
    Code::NotFound,
    "There is no query of this name.",
    "Not Found",
);

/// GET /arxiv/NAME
pub(crate) fn read(schemas: &mut Schemas) -> Operation {
    Operation::new("read_query",
        "searches",
        "The state of one query",
    )
    .about(
        "A query whose object is gone, by its time to live or by hand, is described as its end was recorded: `removed` is true, \
         and what only the object knew is null: one that succeeded as long as its rows are kept, one that failed for a week.",
    )
    .answer(200, state("It has ended.", schemas, "Succeeded").replica_lag())
    .answer(202, state("It has not ended.", schemas, "Pending").retry_after())
    .errors(&[NO_QUERY])
    .unavailable(Code::KubernetesUnavailable)
}

/// DELETE /arxiv/NAME
pub(crate) fn delete(_: &mut Schemas) -> Operation {
    let about = "Ends it if it has not ended. What is recorded stays.";
    Operation::new("delete_query", "searches", "Remove one query")
        .about(about)
        .answer(204, Answer::empty("It is removed."))
        .errors(&[NO_QUERY])
        .unavailable(Code::KubernetesUnavailable)
}

/// GET /arxiv/NAME/events
pub(crate) fn follow(_: &mut Schemas) -> Operation {
    let about = "Server-sent events: `state` at each change, then `end`, or `gone` when it is removed before. The data is \
        what GET /arxiv/NAME answers; for a query that was removed after its end, that is the only event. A client that \
        comes back with `Last-Event-ID` gets what is new, and after the end 204.";
    let example = "event: end\nid: 5d41402abc4b2a76\nretry: 3000\ndata: {\"phase\":\"Succeeded\"}\n\n";
    Operation::new("follow_query", "searches", "The state of one query, live")
        .about(about)
        .header(
            "Last-Event-ID",
            "The id of the event that was seen last.",
            json!({"type": "string"}),
        )
        .answer(
            200,
            Answer::events("The events.", &["state", "end", "gone"], example),
        )
        .answer(204, Answer::empty("Its end was seen before."))
        .errors(&[
            NO_QUERY,
            (
                429,
                Code::TooManyStreams,
                "Too many clients follow events.",
                "Too many clients follow events",
            ),
        ])
        .unavailable(Code::KubernetesUnavailable)
}

/// GET /arxiv/NAME/results
pub(crate) fn results(schemas: &mut Schemas) -> Operation {
    Operation::new("read_query_results", "searches", "What one query found")
        .about("Waits, bounded, until what the query recorded can be read.")
        .answer(
            200,
            Answer::json("A page.", result_list(schemas), result_example())
                .in_forms(OF_RESULTS)
                .next_page()
                .replica_lag(),
        )
        .answer(202, state("It has not ended.", schemas, "Pending").retry_after())
        .unprocessable(out_of_range("page", 0, "-1"))
        .errors(&[
            NO_QUERY,
            (
                409,
                Code::QueryFailed,
                "The query failed.",
                "The query failed and has no results",
            ),
            (
                410,
                Code::ResultsRemoved,
                "What it recorded is not there any more.",
                "The query succeeded, and its results are not kept any more",
            ),
        ])
        .unavailable(Code::NotReplicated)
}

pub(super) fn state(about: &str, schemas: &mut Schemas, phase: &str) -> Answer {
    let ended = phase == "Succeeded";
    let at = |time: &str| ended.then(|| format!("2024-03-31T00:00:{time}Z"));
    let example = json!({
        "name": "arxiv-7f1f8f1a3c6e4d0b9a52c1f0e3d4b5a6", "uid": "0a4b0e4e-52a4-4a4f-9c5c-1f2d3c4b5a69",
        "phase": phase, "query_id": ended.then_some(17), "timestamp": ended.then_some(1_711_843_201),
        "status": ended.then_some(200), "num_results": ended.then_some(1234), "num_entries": ended.then_some(3),
        "search": {"author": "knuth"}, "queue": (!ended).then(|| json!({"place": 2, "requests_before": 1, "expected_seconds": 3, "covers": "namespace"})),
        "query": ended.then_some("search_query=au:knuth&id_list=&start=0&max_results=3"),
        "attempts": ended.then_some(1), "reason": null, "message": null, "created": "2024-03-31T00:00:00Z",
        "started": at("00"), "finished": at("02"),
    });
    Answer::json(about, schemas.of::<QueryView<'static>>(), example)
}
