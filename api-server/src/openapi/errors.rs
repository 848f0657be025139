//! The shapes of errors, and which statuses have which.

#![expect(
    clippy::needless_pass_by_value,
    reason = "parts of a document are moved into it, as `json!` makes them"
)]

use serde_json::{Map, Value, json};

use crate::error::{Code, TYPE_PREFIX};
use crate::openapi::operation::{Answer, Operation};

/// Their schemas, with the names that `FastAPI` gives them.
pub(super) fn schemas() -> Map<String, Value> {
    let step = json!({"anyOf": [{"type": "string"}, {"type": "integer"}]});
    let validation_error = json!({
        "title": "ValidationError", "type": "object", "required": ["loc", "msg", "type"],
        "properties": {
            "loc": {"title": "Location", "type": "array", "items": step},
            "msg": {"title": "Message", "type": "string"},
            "type": {"title": "Error Type", "type": "string"},
            "input": {"title": "Input", "description": "What was sent."},
            "ctx": {"title": "Context", "type": "object"},
        },
    });
    let unprocessable = json!({
        "title": "HTTPValidationError", "type": "object", "required": ["detail"],
        "properties": {"detail": {"title": "Detail", "type": "array",
            "items": {"$ref": "#/components/schemas/ValidationError"}}},
    });
    let error = json!({
        "title": "HTTPError", "type": "object", "required": ["detail"],
        "properties": {"detail": {"title": "Detail", "type": "string", "description": "For people."}},
    });
    let text = json!({"type": "string"});
    let details = json!({
        "title": "ProblemDetails", "type": "object", "required": ["type", "title", "status", "detail", "code"],
        "description": "RFC 9457, for clients that accept application/problem+json.",
        "properties": {
            "type": text, "title": text, "status": {"type": "integer"}, "detail": text, "instance": text,
            "code": {"type": "string", "description": "For programs."},
            "errors": {"type": "array", "items": {"$ref": "#/components/schemas/ValidationError"}},
        },
    });
    Map::from_iter([
        ("ProblemDetails".to_owned(), details),
        ("ValidationError".to_owned(), validation_error),
        ("HTTPValidationError".to_owned(), unprocessable),
        ("HTTPError".to_owned(), error),
    ])
}

/// One kind of error: its status, its code, when it comes, and its text.
pub(super) type Error = (u16, Code, &'static str, &'static str);

fn problem(status: u16, code: Code, detail: &str) -> Value {
    json!({
        "type": format!("{TYPE_PREFIX}{}", code.as_str()), "title": code.title(), "status": status,
        "detail": detail, "code": code.as_str(),
    })
}

impl Operation {
    /// What is answered when a parameter or a body's field is not as it must be.
    pub(super) fn unprocessable(self, example: Value) -> Self {
        let schema = json!({"$ref": "#/components/schemas/HTTPValidationError"});
        let about = "A parameter or a field is missing, of a wrong type, or out of its range.";
        self.unprocessable_as(about, schema, example)
    }

    fn unprocessable_as(self, about: &str, schema: Value, example: Value) -> Self {
        let mut details = problem(422, Code::InvalidParameter, "One parameter is not as it must be");
        details["errors"] = json!([example]);
        let answer = Answer::json(about, schema, json!({"detail": [example]}));
        self.answer(422, answer.with(PROBLEM_TYPE, problem_schema(), details))
    }

    /// The same where Kubernetes, or another search under the same key, may object to a search as a whole: that error is
    /// a text.
    pub(super) fn unprocessable_search(self, example: Value) -> Self {
        let schema = json!({"anyOf": [
            {"$ref": "#/components/schemas/HTTPValidationError"}, {"$ref": "#/components/schemas/HTTPError"},
        ]});
        let about = "A parameter or a field is missing, of a wrong type, or out of its range; or the search as a whole is not \
            accepted, or its Idempotency-Key was used for another one.";
        self.unprocessable_as(about, schema, example)
    }

    /// Errors by their status.
    pub(super) fn errors(mut self, errors: &[Error]) -> Self {
        for (status, code, about, detail) in errors {
            let schema = json!({"$ref": "#/components/schemas/HTTPError"});
            let answer = Answer::json(about, schema, json!({"detail": detail})).with(
                PROBLEM_TYPE,
                problem_schema(),
                problem(*status, *code, detail),
            );
            let waits = matches!(status, 429 | 503);
            self = self.answer(*status, if waits { answer.retry_after() } else { answer });
        }
        self
    }

    /// What every endpoint may answer: something that it needs is unavailable.
    pub(super) fn unavailable(self, code: Code) -> Self {
        self.errors(&[(
            503,
            code,
            "Something that this needs is unavailable for a moment.",
            "The service is temporarily unavailable, try again later",
        )])
    }
}

const PROBLEM_TYPE: &str = "application/problem+json";

fn problem_schema() -> Value {
    json!({"$ref": "#/components/schemas/ProblemDetails"})
}

/// An integer out of its range, as an example.
pub(super) fn out_of_range(name: &str, least: i64, input: &str) -> Value {
    json!({
        "type": "greater_than_equal", "loc": ["query", name],
        "msg": format!("Input should be greater than or equal to {least}"), "input": input,
        "ctx": {"ge": least},
    })
}

/// A missing field of a body, as an example.
pub(super) fn missing(name: &str) -> Value {
    json!({"type": "missing", "loc": ["body", name], "msg": "Field required", "input": null})
}
