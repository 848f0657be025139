//! /openapi.json, /docs, /redoc and the search page at /.

use http::header;
use serde_json::Value;
use testbed::test_env::json_body;

use crate::support::{Api, Outcome, header};

async fn document(api: &Api, path: &str) -> Value {
    json_body(api.get(path).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn document_has_the_methods_that_are_allowed() {
    let api = Api::start(&[]).await;
    let document = document(&api, "/openapi.json").await;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let refused = api.send("PATCH", &path.replace("{name}", "x")).await;
        assert_eq!(refused.status(), 405, "{path}");
        let allowed = refused.headers()[header::ALLOW].to_str().unwrap();
        let mut allowed: Vec<_> = allowed.split(", ").map(str::to_ascii_lowercase).collect();
        allowed.sort();
        let mut described: Vec<_> = methods.as_object().unwrap().keys().cloned().collect();
        if path == "/arxiv" {
            // `Allow` has been GET from before there was a POST, and is part of the wire format that is kept.
            described.retain(|method| method != "post");
        }
        assert_eq!(allowed, described, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_work_behind_a_prefix_that_a_proxy_removes_or_keeps() {
    let api = Api::start(&[("ROOT_PATH", "/search/api/")]).await;
    for before in ["", "/search/api"] {
        let document = document(&api, &format!("{before}/openapi.json")).await;
        assert_eq!(document["servers"][0]["url"], "/search/api", "{before}");
        assert!(document["paths"]["/results"].is_object(), "{before}");
        for (page, asset) in [("/docs", "swagger.js"), ("/redoc", "redoc.js"), ("/", "page.js")] {
            let html = [("accept", "text/html")];
            let shown = api.send_with("GET", &format!("{before}{page}"), &html).await;
            assert_eq!(shown.status(), 200, "{before}{page}");
            let text = shown.text().await.unwrap();
            assert!(text.contains("<base href=\"/search/api/\">"), "{text}");
            let asset = api.get(&format!("{before}/assets/{asset}")).await;
            assert_eq!(asset.status(), 200, "{before}{page}");
        }
        let asynchronous = [("prefer", "respond-async")];
        let search = format!("{before}/arxiv?author=a");
        let accepted = api.send_with("GET", &search, &asynchronous).await;
        assert_eq!(accepted.status(), 202, "{before}");
        let location = header(&accepted, "location").unwrap().to_owned();
        assert!(location.starts_with("/search/api/arxiv/"), "{location}");
        assert_eq!(json_body(accepted).await["location"], location);
        assert!(api.get(&location).await.status().is_success(), "{location}");
        let redirected = api.get(&format!("{before}/results/?page=1")).await;
        assert_eq!(redirected.status(), 307, "{before}");
        let location = header(&redirected, "location");
        assert_eq!(location, Some("/search/api/results?page=1"));
    }
    // The query that a problem is about.
    api.operator.set(Outcome::NothingFound);
    let problem = [("accept", "application/problem+json")];
    let problem = json_body(api.send_with("GET", "/arxiv?title=nothing", &problem).await).await;
    let about = problem["instance"].as_str().unwrap();
    assert!(about.starts_with("/search/api/arxiv/"), "{problem}");
    assert_eq!(api.get(about).await.status(), 200, "{problem}");
    assert_eq!(api.get("/search/apiary").await.status(), 404);
    let page_without_accept = api.get("/search/api").await;
    assert_eq!(page_without_accept.status(), 404);
}
