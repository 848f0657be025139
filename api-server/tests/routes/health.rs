//! /healthz, /readyz and /metrics; and endpoints whose databases are unavailable or that are not served.

use serde_json::Value;
use testbed::test_env::{eventually, json_body};

use crate::support::{NOWHERE, Server, header};

/// Nothing is there.
pub(crate) async fn server_without_databases(serve: &str) -> Server {
    let environment = [
        ("SERVE", serve),
        ("DATABASE_RO_URL", NOWHERE),
        ("DATABASE_RW_URL", NOWHERE),
        ("DATABASE_SEQUENCE_URL", NOWHERE),
        ("DATABASE_UPSTREAM_URL", NOWHERE),
        ("ARXIV_API_URL", "http://127.0.0.1:1/api/query"),
    ];
    Server::start(&environment, None).await
}

#[tokio::test]
async fn unavailable_databases_are_one_503_and_the_rest_is_answered() {
    let server = server_without_databases("backend").await;
    let mut answers = Vec::new();
    for path in [
        "/read-results",
        "/read-queries?start_timestamp=0",
        "/get-sequence",
        "/arxiv-api?title=x",
    ] {
        let response = server.get(path).await;
        assert_eq!(response.status(), 503, "{path}");
        assert!(header(&response, "retry-after").is_some(), "{path}");
        answers.push(response.text().await.unwrap());
    }
    let bodies = [
        (
            "/write-queries",
            r#"{"query_id":9,"timestamp":1,"status":200,"num_results":1,"num_entries":1,"query":"q"}"#,
        ),
        ("/write-results", r#"{"query_id":9,"timestamp":1,"results":[]}"#),
    ];
    for (path, body) in bodies {
        let response = server.post(path, &serde_json::from_str(body).unwrap()).await;
        assert_eq!(response.status(), 503, "{path}");
        answers.push(response.text().await.unwrap());
    }
    answers.dedup();
    let [answer] = answers.as_slice() else {
        panic!("{answers:?}")
    };
    assert!(
        !answer.contains("127.0.0.1") && answer.starts_with(r#"{"detail":""#),
        "{answer}"
    );

    // What needs no database: bad input, health, metrics.
    assert_eq!(server.get("/read-results?page=x").await.status(), 422);
    assert_eq!(server.get("/healthz").await.status(), 200);
    eventually("the reason is in /readyz", async || {
        let ready = server.get("/readyz").await;
        assert_eq!(ready.status(), 503);
        let reasons = json_body(ready).await;
        reasons["reasons"]["sequence"].is_string().then_some(())
    })
    .await;
    let metrics = server.get("/metrics").await.text().await.unwrap();
    for line in [
        r#"arxiv_api_server_requests_total{endpoint="/read-results",method="GET",status="503"} 1"#,
        r#"arxiv_api_server_database_connections{pool="sequence",state="idle"} 0"#,
        r#"arxiv_api_server_ready{dependency="sequence"} 0"#,
        r#"arxiv_api_server_error_responses_total{endpoint="/read-results",status="503",code="database_unavailable"} 1"#,
        r#"arxiv_api_server_error_responses_total{endpoint="/read-results",status="422",code="invalid_parameter"} 1"#,
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn metrics_with_an_address_of_their_own_are_not_served_with_the_api() {
    let environment = [
        ("SERVE", "results"),
        ("DATABASE_RO_URL", NOWHERE),
        ("METRICS_LISTEN", "127.0.0.1:9090"),
    ];
    let server = Server::start(&environment, None).await;
    assert_eq!(server.get("/metrics").await.status(), 404);
    assert_eq!(server.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn process_that_never_had_its_replica_is_not_in_service() {
    let environment = [("SERVE", "results,read-queries"), ("DATABASE_RO_URL", NOWHERE)];
    let server = Server::start(&environment, None).await;
    eventually("the replica is checked", async || {
        let ready = server.get("/readyz").await;
        let status = ready.status();
        let reasons: Value = json_body(ready).await["reasons"].clone();
        let reported = reasons["results_ro"].is_string() && reasons["queries_ro"].is_string();
        assert_eq!(status, 503, "{reasons}");
        reported.then_some(())
    })
    .await;
}

#[tokio::test]
async fn endpoint_that_is_not_served_is_not_found_and_needs_no_database() {
    let environment = [("SERVE", "/results"), ("DATABASE_RO_URL", NOWHERE)];
    let server = Server::start(&environment, None).await;
    for path in [
        "/arxiv?title=x",
        "/read-results",
        "/queries",
        "/get-sequence",
        "/arxiv-api",
        "/",
        "/arxiv/x",
    ] {
        let response = server.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(response.text().await.unwrap(), r#"{"detail":"Not Found"}"#);
    }
    assert_eq!(server.get("/results").await.status(), 503);
    let options = server.send("OPTIONS", "/healthz").await;
    assert_eq!(options.status(), 405);
    assert_eq!(
        options.text().await.unwrap(),
        r#"{"detail":"Method Not Allowed"}"#
    );
}
