use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use http::{Request, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{
    app::endpoints::{Endpoint, Served},
    openapi::{self, Document, PATH},
    routes,
    routes::request::{Incoming, RequestContext},
    routes::table::ROUTES,
};
use wire::{query::read_names, root_path::RootPath};

fn described(served: &str) -> Document {
    let served: Served = served.parse().unwrap();
    let routes: Vec<_> = ROUTES.iter().filter(|route| served.has(route.endpoint)).collect();
    let context = RequestContext::with_default_settings().unwrap();
    Document {
        operations: routes::described(&routes),
        root: RootPath::default(),
        defaults: context.defaults.of_params(),
    }
}

fn document(served: &str) -> Value {
    described(served).to_value()
}

/// Each operation by "GET /path".
fn operations_of(document: &Value) -> BTreeMap<String, Value> {
    let paths = document["paths"].as_object().unwrap();
    let named = |(path, methods): (&String, &Value)| -> Vec<_> {
        let methods = methods.as_object().unwrap().iter();
        methods
            .map(|(method, operation)| (format!("{} {path}", method.to_uppercase()), operation.clone()))
            .collect()
    };
    paths.iter().flat_map(named).collect()
}

#[tokio::test]
async fn params_that_an_extractor_reads_are_declared_and_described() {
    let operations = operations_of(&document("all"));
    for route in &ROUTES {
        for operation in route.operations {
            let name = format!("{} {}", operation.method, route.path.replace("{*", "{"));
            let path = route.path.replace("{name}", "x").replace("{*id}", "x");
            let request = Request::builder().uri(path);
            let request = request.method(operation.method).body(Body::empty()).unwrap();
            read_names::take();
            let context = RequestContext::with_default_settings().unwrap();
            let _ = (operation.read)(Incoming::new(request, context)).await;
            let read = read_names::take();
            let declared = operation.params.iter().copied().flatten();
            let declared: BTreeSet<_> = declared.map(|param| param.name.to_owned()).collect();
            assert_eq!(declared, read, "{name}");
            let parameters = operations[&name]["parameters"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let described: BTreeSet<_> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
                .collect();
            assert!(described.is_superset(&declared), "{name}: {described:?}");
            let with_others = route
                .operations
                .iter()
                .filter(|other| other.method == operation.method)
                .count();
            assert!(with_others > 1 || described == declared, "{name}: {described:?}");
        }
    }
}

#[test]
fn document_has_the_served_endpoints_only() {
    for (served, paths) in [
        (
            "frontend",
            vec![
                "/arxiv",
                "/arxiv/{name}",
                "/arxiv/{name}/events",
                "/arxiv/{name}/results",
                "/feeds",
                "/feeds/{name}",
                "/feeds/{name}/deliveries",
                "/feeds/{name}/events",
                "/papers",
                "/papers/{id}",
                "/queries",
                "/results",
            ],
        ),
        (
            "results,get-sequence",
            vec![
                "/feeds",
                "/feeds/{name}",
                "/feeds/{name}/deliveries",
                "/feeds/{name}/events",
                "/get-sequence",
                "/papers",
                "/papers/{id}",
                "/results",
            ],
        ),
    ] {
        let document = document(served);
        let described_paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
        assert_eq!(described_paths, paths, "{served}");
    }
    let all = document("all");
    for endpoint in "all".parse::<Served>().unwrap().iter() {
        assert!(all["paths"][endpoint.path()].is_object(), "{endpoint:?}");
    }
    assert_eq!(all["paths"]["/queries"].as_object().unwrap().len(), 2);
    assert!(!"frontend".parse::<Served>().unwrap().any(&[Endpoint::ArxivApi]));
}

#[test]
fn references_resolve_and_every_operation_has_examples() {
    let document = document("all");
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let mut ids = BTreeSet::new();
    for (name, operation) in operations_of(&document) {
        assert!(ids.insert(operation["operationId"].to_string()), "{name}");
        for (status, answer) in operation["responses"].as_object().unwrap() {
            for (kind, content) in answer["content"].as_object().into_iter().flatten() {
                assert!(!content["example"].is_null(), "{name} {status} {kind}");
            }
        }
        if let Some(body) = operation.get("requestBody") {
            assert!(
                body["content"]["application/json"]["example"].is_object(),
                "{name}"
            );
        }
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "$ref" => references.push(text.clone()),
                    other => collect(other, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

#[test]
fn document_has_the_settings() {
    let mut described = described("results");
    described.root = "/api".parse().unwrap();
    described.defaults[2] = ("items_per_page", 25);
    let document = described.to_value();
    assert_eq!(document["servers"], json!([{"url": "/api"}]));
    let parameters = &document["paths"]["/results"]["get"]["parameters"];
    assert_eq!(parameters[1]["schema"]["default"], 25);
}

#[tokio::test]
async fn document_is_compressed_if_accepted() {
    let request = Request::get(PATH).header(header::ACCEPT_ENCODING, "gzip");
    let request = request.body(Body::empty()).unwrap();
    let answer = openapi::routes(&described("all")).oneshot(request).await.unwrap();
    let headers = answer.headers();
    assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
    assert_eq!(headers[header::VARY], "accept-encoding");
}
