use std::collections::{BTreeMap, BTreeSet};

use http::Request;
use tower::ServiceExt;

use super::*;
use crate::{intake, routes::endpoints::Endpoint};
use wire::query::read_names;

fn described(served: &str) -> Described {
    Described {
        served: served.parse().unwrap(),
        results_of_objects: true,
        root: RootPath::default(),
        max_results: 8,
        page: 0,
        items_per_page: 10,
    }
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

#[test]
fn what_is_read_is_described() {
    let operations = operations_of(&document(&described("all")));
    for reader in intake::READERS {
        read_names::take();
        let _ = intake::read(reader, &intake::Request::default());
        let read = read_names::take();
        let parameters = operations[reader]["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let described: BTreeSet<_> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(described, read, "{reader}");
    }
}

#[test]
fn a_role_describes_its_own_endpoints() {
    for (served, paths) in [
        (
            "frontend",
            vec![
                "/arxiv",
                "/arxiv/{name}",
                "/arxiv/{name}/events",
                "/arxiv/{name}/results",
                "/queries",
                "/results",
            ],
        ),
        ("results,get-sequence", vec!["/get-sequence", "/results"]),
    ] {
        let document = document(&described(served));
        let told: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
        assert_eq!(told, paths, "{served}");
    }
    let all = document(&described("all"));
    for endpoint in "all".parse::<Served>().unwrap().iter() {
        assert!(all["paths"][endpoint.path()].is_object(), "{endpoint:?}");
    }
    assert_eq!(all["paths"]["/queries"].as_object().unwrap().len(), 2);
    assert!(!"frontend".parse::<Served>().unwrap().any(&[Endpoint::ArxivApi]));
}

#[test]
fn every_reference_leads_somewhere_and_every_endpoint_has_examples() {
    let document = document(&described("all"));
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
fn settings_are_told() {
    let document = document(&Described {
        root: "/api".parse().unwrap(),
        items_per_page: 25,
        ..described("results")
    });
    assert_eq!(document["servers"], json!([{"url": "/api"}]));
    let parameters = &document["paths"]["/results"]["get"]["parameters"];
    assert_eq!(parameters[1]["schema"]["default"], 25);
}

/// Paths that are no part of the API.
const PAGES: [&str; 4] = ["/", "/docs", "/redoc", "/assets/{name}"];

#[test]
fn every_route_is_described() {
    let document = document(&described("all"));
    let mut routes = Vec::new();
    routes_of(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut routes,
    );
    assert!(routes.len() > PAGES.len(), "{routes:?}");
    for route in routes {
        let told = document["paths"][&route].is_object() || PAGES.contains(&route.as_str());
        assert!(told, "{route} is in no document");
    }
}

/// The paths in calls of `.route("…", …)`.
fn routes_of(folder: &std::path::Path, routes: &mut Vec<String>) {
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            routes_of(&path, routes);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("openapi/tests.rs")
        {
            let text = std::fs::read_to_string(&path).unwrap();
            let calls = text.split(".route(").skip(1);
            let literals = calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next());
            routes.extend(literals.map(str::to_owned));
        }
    }
}

#[tokio::test]
async fn it_is_compressed_for_who_takes_that() {
    let request = Request::get(PATH).header(header::ACCEPT_ENCODING, "gzip");
    let request = request.body(axum::body::Body::empty()).unwrap();
    let answer = routes(&described("all")).oneshot(request).await.unwrap();
    let headers = answer.headers();
    assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
    assert_eq!(headers[header::VARY], "accept-encoding");
}
