//! One operation of the document: a method on a path.

#![expect(
    clippy::needless_pass_by_value,
    reason = "parts of a document are moved into it, as `json!` makes them"
)]

use serde_json::{Map, Value, json};

use crate::output::format::Format;
use wire::declared::{Param, ParamKind};

/// Built up by the functions that describe endpoints.
pub(crate) struct Operation {
    headers: Vec<Value>,
    members: Map<String, Value>,
    answers: Map<String, Value>,
}

impl Operation {
    /// `id` is what generated clients call it.
    pub(super) fn new(id: &'static str, tag: &'static str, summary: &'static str) -> Self {
        let mut members = Map::new();
        members.insert("operationId".into(), id.into());
        members.insert("tags".into(), json!([tag]));
        members.insert("summary".into(), summary.into());
        Self {
            headers: Vec::new(),
            members,
            answers: Map::new(),
        }
    }

    pub(super) fn about(mut self, text: &'static str) -> Self {
        self.members.insert("description".into(), text.into());
        self
    }

    /// A header that is read.
    pub(super) fn header(mut self, name: &'static str, about: &'static str, schema: Value) -> Self {
        self.headers.push(json!({
            "name": name, "in": "header", "required": false, "description": about, "schema": schema,
        }));
        self
    }

    /// The header by which a request that is sent again is known.
    pub(super) fn idempotency_key(self) -> Self {
        let about = "Requests with the same key are about one query; another search under it is refused.";
        // 1 to 255 characters of printable ASCII, as a string in quotes or without.
        let key = r#"^("([ !#-\[\]-~]|\["\]){1,255}"|[!#-~]([ !#-~]{0,253}[!#-~])?)$"#;
        self.header(
            "Idempotency-Key",
            about,
            json!({"type": "string", "pattern": key}),
        )
    }

    /// The JSON body that is read.
    pub(super) fn body(mut self, schema: Value, example: Value) -> Self {
        let content = json!({"application/json": {"schema": schema, "example": example}});
        self.members.insert(
            "requestBody".into(),
            json!({"required": true, "content": content}),
        );
        self
    }

    pub(super) fn answer(mut self, status: u16, answer: Answer) -> Self {
        self.answers.insert(status.to_string(), answer.0);
        self
    }

    /// The operation object: what is said here, with the parameters that its path and its extractor have. `defaults` are
    /// the values of parameters that a client leaves out.
    pub(super) fn into_value(mut self, path: &str, declared: &[&[Param]], defaults: &[(&str, i64)]) -> Value {
        let name = path.contains("{name}").then(object_name);
        let query = declared.iter().copied().flatten().map(|param| {
            let default = defaults.iter().find(|(name, _)| *name == param.name);
            query_parameter(param, default.map(|(_, value)| *value))
        });
        let parameters: Vec<_> = name.into_iter().chain(query).chain(self.headers).collect();
        if !parameters.is_empty() {
            self.members.insert("parameters".into(), parameters.into());
        }
        self.members.insert("responses".into(), self.answers.into());
        Value::Object(self.members)
    }
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
pub(super) fn date() -> Value {
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
        ParamKind::Token(most) => {
            json!({"type": "string", "minLength": 1, "maxLength": most, "pattern": "^[!-~]+$"})
        }
        ParamKind::Date => date(),
        ParamKind::Time => json!({"type": "string", "pattern": format!("^([-+]?[0-9]{{1,19}}|{DATE})$")}),
        ParamKind::Opaque => json!({"type": "string"}),
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

/// What is answered with one status.
pub(super) struct Answer(Value);

impl Answer {
    /// Nothing but a head.
    pub(super) fn empty(about: &str) -> Self {
        Self(json!({"description": about}))
    }

    pub(super) fn json(about: &str, schema: Value, example: Value) -> Self {
        Self::empty(about).with("application/json", schema, example)
    }

    /// Server-sent events with these names. Before 3.2, `OpenAPI` has no word on whether a schema is about the stream or
    /// about each event, and tools differ: this one is about either.
    pub(super) fn events(about: &str, names: &[&str], example: &str) -> Self {
        Self::empty(about).or_events(names, example)
    }

    /// The same live, as server-sent events, for clients that accept these.
    pub(super) fn or_events(self, names: &[&str], example: &str) -> Self {
        let schema = json!({
            "title": "Events", "description": "The stream as text; taken apart, each event.",
            "type": ["string", "object"], "required": ["event", "data"],
            "properties": {
                "event": {"type": "string", "enum": names}, "id": {"type": "string"},
                "retry": {"type": "integer", "minimum": 0}, "data": {"type": "string"},
            },
        });
        self.with("text/event-stream", schema, example.into())
    }

    /// Another form of the same answer.
    pub(super) fn with(mut self, media_type: &str, schema: Value, example: Value) -> Self {
        self.0["content"][media_type] = json!({"schema": schema, "example": example});
        self
    }

    /// The same rows in the forms that `format` and `Accept` ask for.
    pub(super) fn in_forms(self, forms: &[Format]) -> Self {
        forms
            .iter()
            .filter(|form| **form != Format::Json)
            .fold(self, |answer, form| {
                let kind = form.content_type();
                let kind = kind
                    .to_str()
                    .unwrap_or_default()
                    .split(';')
                    .next()
                    .unwrap_or_default();
                match form {
                    Format::CslJson => {
                        let schema = json!({"type": "array", "items": {"type": "object"}});
                        answer.with(kind, schema, json!([]))
                    }
                    _ => answer.with(kind, json!({"type": "string"}), Value::from("")),
                }
            })
    }

    pub(super) fn header(mut self, name: &str, about: &str, schema: Value) -> Self {
        self.0["headers"][name] = json!({"description": about, "schema": schema});
        self
    }

    /// For a page that may not be the last.
    pub(super) fn next_page(self) -> Self {
        self.header(
            "Link",
            "The next page (rel=\"next\"), relative to this one; there when this one is full.",
            json!({"type": "string"}),
        )
    }

    /// For an answer that is read from a replica.
    pub(super) fn replica_lag(self) -> Self {
        self.header(
            "Arxiv-Replica-Lag",
            "Whole seconds that the replica was behind when it was last checked; there when it is one or more.",
            json!({"type": "integer", "minimum": 1}),
        )
    }

    /// For an answer that says when to come back.
    pub(super) fn retry_after(self) -> Self {
        self.header(
            "Retry-After",
            "Seconds until it is worth asking again.",
            json!({"type": "integer", "minimum": 1}),
        )
    }
}
