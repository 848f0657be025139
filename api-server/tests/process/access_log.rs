//! The access log: one line for each request, whatever becomes of it, and what it says of clients.

use std::io::Write;

use reqwest::Method;
use serde_json::Value;
use testbed::test_env::{ServerOnly, eventually, http_client};

use crate::{NOWHERE, slow_clients::connect};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

async fn server(environment: &[(&str, &str)]) -> ServerOnly {
    let usual = [
        ("SERVE", "read-results,write-results"),
        ("DATABASE_RO_URL", NOWHERE),
        ("DATABASE_RW_URL", NOWHERE),
        ("LOG_LEVEL", "NOTICE"),
        ("LOG_FORMAT", "json"),
    ];
    ServerOnly::start(&[&usual, environment].concat())
        .listening()
        .await
}

/// The lines of the access log, each of which is JSON.
pub(crate) fn lines(log: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.filter(|line: &Value| line["origin"] == "access").collect()
}

/// The one line of the request with this id, when it is written.
async fn line_of(server: &ServerOnly, id: &str) -> Value {
    let mut found = eventually("the request's line is written", async || {
        let log = std::fs::read_to_string(server.child.log()).unwrap();
        // The last line may be written at this moment.
        let complete = log.rfind('\n').map_or("", |end| &log[..end]);
        let found = lines(complete)
            .into_iter()
            .filter(|line| line["request_id"] == id);
        Some(found.collect::<Vec<_>>()).filter(|found| !found.is_empty())
    })
    .await;
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[tokio::test]
async fn every_request_ends_with_one_line_of_the_access_log() {
    let server = server(&[]).await;
    let long = format!("/{}", "é".repeat(3000));
    for (id, method, path, route, status, code) in [
        ("found", "GET", "/docs", "/docs", 200, None),
        (
            "down",
            "GET",
            "/read-results",
            "/read-results",
            503,
            Some("database_unavailable"),
        ),
        (
            "wrong",
            "GET",
            "/read-results?page=%22%0Ax",
            "/read-results",
            422,
            Some("invalid_parameter"),
        ),
        ("no-path", "GET", "/nope?a=b", "other", 404, Some("not_found")),
        ("long", "GET", &long, "other", 414, Some("address_too_long")),
        ("head", "HEAD", "/docs", "/docs", 200, None),
        (
            "any-word",
            "FROBNICATE",
            "/read-results",
            "/read-results",
            405,
            Some("method_not_allowed"),
        ),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = http_client().request(method.clone(), server.url(path));
        let request = request
            .header("x-request-id", id)
            .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["x-request-id"], id);
        let sent = response.bytes().await.unwrap().len();
        let line = line_of(&server, id).await;
        assert_eq!(line["method"], method.as_str(), "{line}");
        assert_eq!(
            (&line["route"], &line["status"], &line["bytes"]),
            (&route.into(), &status.into(), &sent.into()),
            "{line}"
        );
        assert_eq!(line["code"].as_str(), code, "{line}");
        assert_eq!(line["end"], "complete", "{line}");
        assert_eq!(line["trace_id"], TRACE, "{line}");
        assert!(line["duration_ms"].as_f64().unwrap() > 0.0, "{line}");
        assert!(line["client"].as_str().unwrap().starts_with("hash:"), "{line}");
        assert!(
            !line.to_string().contains("127.0.0.1") && line.to_string().len() < 2000,
            "{line}"
        );
    }
    let wrong = line_of(&server, "wrong").await;
    assert_eq!(wrong["request_target"], "/read-results?page=%22%0Ax");
}

#[tokio::test]
async fn client_that_leaves_within_its_body_has_a_line_too() {
    let server = server(&[]).await;
    let mut stream = connect(&server);
    let head = "POST /write-results HTTP/1.1\r\nhost: x\r\nx-request-id: left\r\n\
                content-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    drop(stream);
    let line = line_of(&server, "left").await;
    assert_eq!(
        (&line["status"], &line["code"]),
        (&400.into(), &"malformed_request".into()),
        "{line}"
    );
}

#[tokio::test]
async fn probes_have_a_line_at_debug_only() {
    for (level, probed) in [("NOTICE", false), ("DEBUG", true)] {
        let server = server(&[("LOG_LEVEL", level)]).await;
        for (path, id) in [("/healthz", "probe"), ("/docs", "page")] {
            let request = http_client().get(server.url(path)).header("x-request-id", id);
            request.send().await.unwrap();
        }
        line_of(&server, "page").await;
        let log = std::fs::read_to_string(server.child.log()).unwrap();
        assert_eq!(log.contains("\"request_id\":\"probe\""), probed, "{level}");
    }
}

#[tokio::test]
async fn addresses_of_clients_are_logged_only_where_a_setting_permits_it() {
    for (shown, expected) in [("address", Some("address:127.0.0.1")), ("none", None)] {
        let server = server(&[("ACCESS_LOG_CLIENT", shown)]).await;
        let request = http_client()
            .get(server.url("/docs"))
            .header("x-request-id", "one");
        request.send().await.unwrap();
        assert_eq!(line_of(&server, "one").await["client"].as_str(), expected);
    }
}
