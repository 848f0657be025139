//! The `OpenAPI` 3.1 document of what this process serves, made once from the declarations that its handlers read by and
//! from the descriptions next to them.

mod operation;
#[cfg(test)]
mod tests;

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{HeaderValue, header};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use wire::{declared::Param, root_path::RootPath};

pub(crate) use self::operation::{Operation, bad_integer, date, text};
use crate::{
    http::allow_methods,
    http::middleware::{Compress, around},
};

/// The address of the document.
pub(crate) const PATH: &str = "/openapi.json";

/// An operation that is served.
pub(crate) struct Described {
    pub(crate) path: &'static str,
    pub(crate) method: &'static str,
    pub(crate) params: Vec<&'static [Param]>,
    pub(crate) describe: Describe,
}

/// Describes one operation.
pub(crate) type Describe = fn(Operation<'_>) -> Operation<'_>;

/// What the document depends on besides the code.
pub(crate) struct Document {
    pub(crate) operations: Vec<Described>,
    pub(crate) root: RootPath,
    /// The values of parameters that a client leaves out.
    pub(crate) defaults: [(&'static str, i64); 3],
}

pub(crate) fn routes(document: &Document) -> Router {
    let text = Bytes::from(document.to_value().to_string());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    let answer = move || async move { (headers, text) };
    Router::new().route(PATH, allow_methods(get(answer), "GET").layer(around(Compress)))
}

impl Document {
    pub(crate) fn to_value(&self) -> Value {
        let mut schemas = Schemas::new();
        let mut paths = json!({});
        for Described {
            path,
            method,
            params,
            describe,
        } in &self.operations
        {
            // What the router calls a parameter that may have slashes.
            let path = path.replace("{*", "{");
            let operation = Operation::new(&mut schemas, &path, params, &self.defaults);
            paths[&path][method.to_ascii_lowercase()] = describe(operation).into_value();
        }
        let root = self.root.as_str();
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "arxiv-operator",
                "summary": "arXiv searches as Kubernetes jobs.",
                "description": ABOUT,
                "version": env!("CARGO_PKG_VERSION"),
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": if root.is_empty() { "/" } else { root }}],
            "tags": [
                {"name": "searches", "description": "Search arXiv, and follow a search to its end."},
                {"name": "records", "description": "What was searched for and what was found."},
                {"name": "backend", "description": "The parts that searches are made of."},
            ],
            "paths": paths,
            "components": {"schemas": schemas.finish()},
        })
    }
}

const ABOUT: &str = "A search becomes an `ArxivQuery` object in Kubernetes; an operator runs it, politely and once, and \
    records what it finds. Errors are `{\"detail\": …}`; a wrong parameter is reported in `detail` as \
    FastAPI reports it. Unknown parameters are ignored where the existing service has the endpoint, and an error elsewhere; of a \
    repeated one the last counts.";

/// The schemas that are used, each once.
struct Schemas {
    generator: SchemaGenerator,
    /// Those that no type of ours has.
    more: Map<String, Value>,
}

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        let mut schemas = Self {
            generator: settings.into_generator(),
            more: Map::new(),
        };
        schemas.add_errors();
        schemas
    }

    /// A reference to the schema of what a type is written as.
    fn of<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    /// A reference to a schema that no type of ours has.
    fn named(&mut self, name: &str, mut schema: Value) -> Value {
        schema["title"] = name.into();
        self.more.insert(name.to_owned(), schema);
        reference(name)
    }

    /// The forms of errors, with the names that `FastAPI` gives them.
    fn add_errors(&mut self) {
        let text = text();
        let step = json!({"anyOf": [{"type": "string"}, {"type": "integer"}]});
        let errors = json!({"type": "array", "items": reference("ValidationError")});
        self.named(
            "ValidationError",
            json!({
                "type": "object", "required": ["loc", "msg", "type"],
                "properties": {
                    "loc": {"title": "Location", "type": "array", "items": step},
                    "msg": {"title": "Message", "type": "string"},
                    "type": {"title": "Error Type", "type": "string"},
                    "input": {"title": "Input", "description": "What was sent."},
                    "ctx": {"title": "Context", "type": "object"},
                },
            }),
        );
        let mut detail = errors.clone();
        detail["title"] = "Detail".into();
        self.named(
            "HTTPValidationError",
            json!({
                "type": "object", "required": ["detail"], "properties": {"detail": detail},
            }),
        );
        self.named(
            "HTTPError",
            json!({
                "type": "object", "required": ["detail"],
                "properties": {"detail": {"title": "Detail", "type": "string", "description": "For people."}},
            }),
        );
        self.named("ProblemDetails", json!({
            "type": "object", "required": ["type", "title", "status", "detail", "code"],
            "description": "RFC 9457, for clients that accept application/problem+json.",
            "properties": {
                "type": text, "title": text, "status": {"type": "integer"}, "detail": text, "instance": text,
                "code": {"type": "string", "description": "For programs."},
                "request_id": {"type": "string", "description": "As X-Request-Id."}, "errors": errors,
            },
        }));
    }

    fn finish(mut self) -> Value {
        let mut all = self.more;
        all.extend(self.generator.take_definitions(true));
        all.values_mut().for_each(as_enum);
        Value::Object(all)
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Words that are described one by one become one `enum`, which is what makers of clients understand.
fn as_enum(schema: &mut Value) {
    let words: Option<Vec<_>> = schema["oneOf"]
        .as_array()
        .map(|words| words.iter().map(|word| word["const"].clone()).collect());
    if let (Some(words), Some(members)) = (words, schema.as_object_mut())
        && words.iter().all(Value::is_string)
    {
        members.remove("oneOf");
        members.insert("type".into(), "string".into());
        members.insert("enum".into(), words.into());
    }
}
