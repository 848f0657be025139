//! Methods that a path does not have, redirects, and paths that are no route.

use serde_json::json;
use testbed::test_env::{SEED, error_of};

use crate::support::{Api, header};

#[tokio::test(flavor = "multi_thread")]
async fn other_method_is_405_with_allow_and_head_is_a_get_without_body() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    for (method, path, allowed) in [
        ("PUT", "/arxiv?title=x", "GET"),
        ("HEAD", "/arxiv?title=x", "GET"),
        ("FOO", "/results", "GET"),
        ("DELETE", "/queries", "GET, POST"),
        ("PUT", "/write-results", "POST"),
        ("HEAD", "/write-queries", "POST"),
        ("PATCH", "/get-sequence", "GET"),
    ] {
        let response = api.send(method, path).await;
        assert_eq!(
            (response.status().as_u16(), header(&response, "allow")),
            (405, Some(allowed)),
            "{method} {path}"
        );
    }
    for path in [
        "/results",
        "/queries?start_timestamp=2024-03-31",
        "/read-queries?start_timestamp=0",
        "/read-results",
    ] {
        let response = api.send("HEAD", path).await;
        assert_eq!(
            (response.status().as_u16(), response.text().await.unwrap().len()),
            (200, 0),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailing_slash_is_redirected_and_other_paths_are_not_found() {
    let api = Api::start(&[]).await;
    for path in [
        "/results/?page=1",
        "/arxiv/?title=x",
        "/get-sequence/",
        "/write-queries/",
    ] {
        let response = api.send("POST", path).await;
        assert_eq!(response.status(), 307, "{path}");
        let expected = path.replacen("/?", "?", 1);
        let expected = expected.trim_end_matches('/');
        assert_eq!(header(&response, "location"), Some(expected));
    }
    for path in [
        "/",
        "/Docs",
        "/Arxiv",
        "/arxiv-api/x",
        "//results",
        "/results%2f",
        "/results/x/",
    ] {
        let (status, detail) = error_of(api.get(path).await).await;
        assert_eq!((status, detail), (404, json!("Not Found")), "{path}");
    }
}
