//! The `OpenAPI` 3.1 document of what this process serves, made once from the declarations that its handlers read by.

pub(crate) mod backend;
pub(crate) mod creation;
mod errors;
pub(crate) mod frontend;
pub(crate) mod objects;
mod operation;

use axum::{Router, middleware::from_fn, response::IntoResponse, routing::get};
use bytes::Bytes;
use http::{HeaderValue, header};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use wire::{declared::Param, root_path::RootPath};

pub(crate) use self::operation::Operation;
use crate::{
    http::allow_methods,
    http::middleware::compress,
    routes::request::Defaults,
    routes::route::{self, Route},
};

#[cfg(test)]
mod tests;

/// Where it is.
pub(crate) const PATH: &str = "/openapi.json";

/// What the document depends on besides the code.
pub(crate) struct Described {
    /// The routes that are served.
    pub(crate) routes: Vec<&'static Route>,
    pub(crate) root: RootPath,
    pub(crate) defaults: Defaults,
}

pub(crate) fn routes(described: &Described) -> Router {
    let text = Bytes::from(document(described).to_string());
    let answer = move || async move {
        let json = HeaderValue::from_static("application/json");
        let cache = HeaderValue::from_static("no-cache");
        (
            [(header::CONTENT_TYPE, json), (header::CACHE_CONTROL, cache)],
            text,
        )
            .into_response()
    };
    Router::new().route(PATH, allow_methods(get(answer), "GET").layer(from_fn(compress)))
}

/// Describes one operation.
pub(crate) type Describe = fn(&mut Schemas) -> Operation;

/// The document.
pub(crate) fn document(described: &Described) -> Value {
    let mut schemas = Schemas::new();
    let mut paths: Map<String, Value> = Map::new();
    for route in &described.routes {
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        for operation in route.operations {
            if let Some(describe) = operation.describe {
                let params = params_of(route, operation);
                let value = describe(&mut schemas).into_value(route.path, &params, &described.defaults());
                methods[operation.method.to_ascii_lowercase()] = value;
            }
        }
    }
    let root = described.root.as_str();
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

const ABOUT: &str = "A search becomes an `ArxivQuery` object in Kubernetes; an operator runs it, politely and once, and \
    records what it finds. Errors are `{\"detail\": …}`; a wrong parameter is reported in `detail` as \
    FastAPI reports it. Unknown parameters are ignored, and of a repeated one the last counts.";

/// The parameters of an operation, and after them those of operations that are described together with it.
fn params_of(route: &Route, operation: &route::Operation) -> Vec<&'static [Param]> {
    let others = route.operations.iter();
    let others = others.filter(|other| other.describe.is_none() && other.method == operation.method);
    let others = others.flat_map(|other| other.params);
    operation.params.iter().chain(others).copied().collect()
}

impl Described {
    /// The parameters that have a value when a caller does not give one.
    fn defaults(&self) -> [(&'static str, i64); 3] {
        [
            ("max_results", self.defaults.max_results.into()),
            ("page", self.defaults.page),
            ("items_per_page", self.defaults.items_per_page),
        ]
    }
}

/// The schemas that are used, each once.
pub(crate) struct Schemas {
    generator: SchemaGenerator,
    more: Map<String, Value>,
}

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            generator: settings.into_generator(),
            more: errors::schemas(),
        }
    }

    /// A reference to the schema of what a type is written as.
    fn of<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    /// A reference to a schema that no type of ours has.
    fn named(&mut self, name: &str, schema: Value) -> Value {
        self.more.insert(name.to_owned(), schema);
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    fn finish(mut self) -> Value {
        let mut all = self.more;
        all.extend(self.generator.take_definitions(true));
        all.values_mut().for_each(as_enum);
        Value::Object(all)
    }
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
