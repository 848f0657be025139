//! One operation of the document: a method on a path.

#![expect(
    clippy::needless_pass_by_value,
    reason = "parts of a document are moved into it, as `json!` makes them"
)]

use schemars::JsonSchema;
use serde_json::{Value, json};
use wire::{
    declared::{Param, ParamKind},
    field_error::FieldErrors,
    params::ParamReader,
    query::QueryString,
};

use super::{Schemas, reference};
use crate::{
    error::{ApiError, Code},
    output::format::Format,
};

/// An operation, built up by the function that describes it. Contents and headers are those of the response that was
/// described last.
pub(crate) struct Operation<'a> {
    schemas: &'a mut Schemas,
    parameters: Vec<Value>,
    value: Value,
    status: String,
}

impl<'a> Operation<'a> {
    /// With the parameters that its path and its extractor have.
    pub(super) fn new(
        schemas: &'a mut Schemas,
        path: &str,
        params: &[&[Param]],
        defaults: &[(&str, i64)],
    ) -> Self {
        let query = params.iter().copied().flatten().map(|param| {
            let default = defaults.iter().find(|(name, _)| *name == param.name);
            query_parameter(param, default.map(|(_, value)| *value))
        });
        Self {
            schemas,
            parameters: in_path(path).into_iter().chain(query).collect(),
            value: json!({}),
            status: String::new(),
        }
    }

    pub(super) fn into_value(mut self) -> Value {
        if !self.parameters.is_empty() {
            self.value["parameters"] = self.parameters.into();
        }
        self.value
    }

    /// `id` is what generated clients call it.
    pub(crate) fn named(mut self, id: &str, tag: &str, summary: &str) -> Self {
        self.value["operationId"] = id.into();
        self.value["tags"] = json!([tag]);
        self.value["summary"] = summary.into();
        self
    }

    pub(crate) fn about(mut self, text: &str) -> Self {
        self.value["description"] = text.into();
        self
    }

    /// A header that is read.
    pub(crate) fn reads_header(self, name: &str, about: &str) -> Self {
        self.reads_header_as(name, about, text())
    }

    pub(crate) fn reads_header_as(mut self, name: &str, about: &str, schema: Value) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "header", "required": false, "description": about, "schema": schema,
        }));
        self
    }

    /// The JSON body that is read.
    pub(crate) fn body(mut self, schema: Value, example: Value) -> Self {
        let content = json!({"application/json": {"schema": schema, "example": example}});
        self.value["requestBody"] = json!({"required": true, "content": content});
        self.error(
            "The body is too long.",
            &ApiError::new(Code::BodyTooLong, "Request body too large"),
        )
    }

    /// The schema of what a type is written as.
    pub(crate) fn schema<T: JsonSchema>(&mut self) -> Value {
        self.schemas.of::<T>()
    }

    /// A schema that no type of ours has, with its name.
    pub(crate) fn named_schema(&mut self, name: &str, schema: Value) -> Value {
        self.schemas.named(name, schema)
    }

    /// A response: nothing but a head, so far.
    pub(crate) fn response(mut self, status: u16, about: &str) -> Self {
        self.status = status.to_string();
        self.value["responses"][&self.status] = json!({"description": about});
        self
    }

    /// The body of the response, in one of its forms.
    pub(crate) fn content(mut self, media_type: &str, schema: Value, example: Value) -> Self {
        self.value["responses"][&self.status]["content"][media_type] =
            json!({"schema": schema, "example": example});
        self
    }

    pub(crate) fn json<T: JsonSchema>(mut self, example: Value) -> Self {
        let schema = self.schema::<T>();
        self.content("application/json", schema, example)
    }

    /// Server-sent events with these names. Before 3.2, `OpenAPI` has no word on whether a schema is about the stream or
    /// about each event, and tools differ: this one is about either.
    pub(crate) fn events(self, names: &[&str], example: &str) -> Self {
        let schema = json!({
            "title": "Events", "description": "The stream as text; taken apart, each event.",
            "type": ["string", "object"], "required": ["event", "data"],
            "properties": {
                "event": {"type": "string", "enum": names}, "id": {"type": "string"},
                "retry": {"type": "integer", "minimum": 0}, "data": {"type": "string"},
            },
        });
        self.content("text/event-stream", schema, example.into())
    }

    /// The same rows in the other formats that `format` and `Accept` ask for.
    pub(crate) fn formats(self, formats: &[Format]) -> Self {
        let formats = formats.iter().filter(|format| **format != Format::Json);
        formats.fold(self, |operation, format| {
            let media_type = format.content_type();
            let essence = media_type.to_str().unwrap_or_default().split(';').next();
            let (schema, example) = match format {
                Format::CslJson => (json!({"type": "array", "items": {"type": "object"}}), json!([])),
                _ => (text(), json!("")),
            };
            operation.content(essence.unwrap_or_default(), schema, example)
        })
    }

    /// A header of the response.
    pub(crate) fn header(self, name: &str, about: &str) -> Self {
        self.header_as(name, about, text())
    }

    /// The same with a number.
    pub(crate) fn number_header(self, name: &str, about: &str, least: u32) -> Self {
        self.header_as(name, about, json!({"type": "integer", "minimum": least}))
    }

    fn header_as(mut self, name: &str, about: &str, schema: Value) -> Self {
        self.value["responses"][&self.status]["headers"][name] =
            json!({"description": about, "schema": schema});
        self
    }

    /// For a page that may not be the last.
    pub(crate) fn next_page(self) -> Self {
        let about = "The next page (rel=\"next\"), relative to this one; there when this one is full.";
        self.header("Link", about)
    }

    /// For a response that is read from a replica.
    pub(crate) fn replica_lag(self) -> Self {
        let about = "Whole seconds that the replica was behind when it was last checked; there when it is one or more.";
        self.number_header("Arxiv-Replica-Lag", about, 1)
    }

    /// For a response that says when to come back.
    pub(crate) fn retry_after(self) -> Self {
        self.number_header("Retry-After", "Seconds until it is worth asking again.", 1)
    }

    /// An error, and when it comes.
    pub(crate) fn error(self, about: &str, error: &ApiError) -> Self {
        self.error_as(about, reference("HTTPError"), error)
    }

    fn error_as(self, about: &str, schema: Value, error: &ApiError) -> Self {
        let status = error.status().as_u16();
        let operation = self
            .response(status, about)
            .content("application/json", schema, error.body())
            .content(
                "application/problem+json",
                reference("ProblemDetails"),
                error.problem_details(),
            );
        match status {
            429 | 503 => operation.retry_after(),
            _ => operation,
        }
    }

    /// What is answered when a parameter or a body's field is invalid, with an example of that.
    pub(crate) fn invalid(self, example: impl Into<FieldErrors>) -> Self {
        let about = "A parameter or a field is missing, of a wrong type, or out of its range.";
        self.error_as(about, reference("HTTPValidationError"), &example.into().into())
    }

    /// The same where Kubernetes, or another search under the same key, may object to a search as a whole: that error is
    /// a text.
    pub(crate) fn invalid_search(self, example: impl Into<FieldErrors>) -> Self {
        let about = "A parameter or a field is missing, of a wrong type, or out of its range; or the search as a whole is not \
            accepted, or its Idempotency-Key was used for another one.";
        let schema = json!({"anyOf": [reference("HTTPValidationError"), reference("HTTPError")]});
        self.error_as(about, schema, &example.into().into())
    }

    /// What every endpoint may answer: something that it needs is unavailable.
    pub(crate) fn unavailable(self, code: Code) -> Self {
        let about = "Something that this needs is unavailable for a moment.";
        self.error(about, &ApiError::unavailable(code))
    }
}

/// The schema of any text.
pub(crate) fn text() -> Value {
    json!({"type": "string"})
}

/// What is wrong with this value of an integer parameter, as an example.
pub(crate) fn bad_integer(param: &Param, value: &str) -> FieldErrors {
    let query = QueryString::parse(Some(&format!("{}={value}", param.name)));
    let mut reader = ParamReader::new(&query);
    reader.integer(param);
    reader.finish().err().unwrap_or_default()
}

/// The parameter in a path.
fn in_path(path: &str) -> Option<Value> {
    if path.contains("{name}") {
        Some(object_name())
    } else if path.contains("{id}") {
        Some(paper_id())
    } else {
        None
    }
}

/// The `{id}` in a path.
fn paper_id() -> Value {
    json!({
        "name": "id", "in": "path", "required": true,
        "description": "An identifier of arXiv's in any usual form, also with a slash: 2401.01234, 2401.01234v2, hep-th/9901001.",
        "schema": {"type": "string", "minLength": 1},
        "example": "2401.01234v2",
    })
}

/// The `{name}` in a path.
fn object_name() -> Value {
    json!({
        "name": "name", "in": "path", "required": true,
        "description": "The query's name, as in the response that accepted it.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 253,
            "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"},
        "example": "arxiv-7f1f8f1a3c6e4d0b9a52c1f0e3d4b5a6",
    })
}

/// The forms of a date, without looking at how many days its month has: year, month and day; with a clock; with an offset
/// as well.
const DATE: &str = "[0-9]{4}-(0?[1-9]|1[0-2])-([ 0]?[1-9]|[12][0-9]|3[01])\
    ([Tt](([01]?[0-9]|2[0-3])(:[0-5]?[0-9]){2}\
    |([01][0-9]|2[0-3])(:[0-5][0-9]){2}([Zz]|[-+]([01][0-9]|2[0-3]):[0-5][0-9])))?";

/// A date, as the readers of the query log take it.
pub(crate) fn date() -> Value {
    json!({"type": "string", "pattern": format!("^{DATE}$")})
}

fn query_parameter(param: &Param, default: Option<i64>) -> Value {
    let mut schema = match &param.kind {
        ParamKind::Integer(range) => {
            json!({"type": "integer", "format": "int64", "minimum": range.start(), "maximum": range.end()})
        }
        ParamKind::Text(most) => json!({"type": "string", "minLength": 1, "maxLength": most}),
        ParamKind::Boolean => json!({"type": "boolean"}),
        ParamKind::OneOf(values) => json!({"type": "string", "enum": values}),
        ParamKind::SomeOf(values) => {
            let one = format!("({})", values.join("|"));
            json!({"type": "string", "pattern": format!("^{one}(,{one})*$")})
        }
        ParamKind::Token(most) => {
            json!({"type": "string", "minLength": 1, "maxLength": most, "pattern": "^[!-~]+$"})
        }
        ParamKind::Date => date(),
        ParamKind::Time => json!({"type": "string", "pattern": format!("^([-+]?[0-9]{{1,19}}|{DATE})$")}),
        ParamKind::Opaque => text(),
    };
    if let Some(default) = default {
        schema["default"] = default.into();
    }
    let mut parameter = json!({
        "name": param.name, "in": "query", "required": param.required, "description": param.about,
        "schema": schema,
    });
    if !param.example.is_empty() {
        parameter["example"] = match param.kind {
            // What is no JSON is shown as a text.
            ParamKind::Integer(_) | ParamKind::Boolean => {
                serde_json::from_str(param.example).unwrap_or_else(|_| param.example.into())
            }
            _ => param.example.into(),
        };
    }
    parameter
}
