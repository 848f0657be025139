//! What the server refuses, and how: on a process with nothing behind it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    net::TcpStream,
};
use testbed::test_env::{LIMIT, ServerOnly, eventually, http_client};

/// Nobody listens at port 1.
const NOWHERE: &str = "postgresql://u:p@127.0.0.1:1/d";

async fn alone() -> ServerOnly {
    let environment = [
        ("SERVE", "backend"),
        ("DATABASE_RO_URL", NOWHERE),
        ("DATABASE_RW_URL", NOWHERE),
        ("DATABASE_SEQUENCE_URL", NOWHERE),
        ("DATABASE_UPSTREAM_URL", NOWHERE),
        ("ARXIV_API_URL", "http://127.0.0.1:1/api/query"),
    ];
    ServerOnly::start(&environment).listening().await
}

/// Status and body.
fn parts(answer: &str) -> (u16, serde_json::Value) {
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (
        status,
        serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {answer}")),
    )
}

#[tokio::test]
async fn heads_that_are_too_long_are_refused_with_a_reason() {
    let server = alone().await;
    let get =
        |path: &str, header: &str| {
            parts(&server.raw(
                format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n").as_bytes(),
            ))
        };
    let x = |n: usize| "x".repeat(n);
    let cases = [
        (get(&format!("/read-results?a={}", x(15_000)), ""), 503),
        (get(&format!("/read-results?a={}", x(17_000)), ""), 414),
        (get(&format!("/read-results?a={}", x(70_000)), ""), 414),
        (get("/read-results", &format!("a: {}\r\n", x(15_000))), 503),
        (get("/read-results", &format!("a: {}\r\n", x(17_000))), 431),
        (get("/read-results", &format!("a: {}\r\n", x(200_000))), 431),
        (get("/read-results", &"a: b\r\n".repeat(120)), 431),
        (get("/read-results", "no colon\r\n"), 400),
        (get("/read results", ""), 400),
    ];
    for (number, ((status, body), expected)) in cases.into_iter().enumerate() {
        assert_eq!(status, expected, "case {number}: {body}");
        assert!(body["detail"].is_string(), "case {number}: {body}");
    }
}

#[tokio::test]
async fn bodies_that_are_too_long_are_refused() {
    let server = alone().await;
    for (path, length) in [
        ("/write-queries", 1024 * 1024),
        ("/write-results", 32 * 1024 * 1024),
    ] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            length + 1
        );
        let (status, body) = parts(&server.raw(request.as_bytes()));
        assert_eq!(status, 413, "{body}");
        assert!(body["detail"].is_string());
    }
    // A client that reads nothing before it has sent all.
    let mut blunt = format!(
        "POST /write-queries HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        8 * 1024 * 1024
    );
    blunt.push_str(&" ".repeat(8 * 1024 * 1024));
    assert_eq!(parts(&server.raw(blunt.as_bytes())).0, 413);
    let body = format!("\"{}\"", "x".repeat(1024 * 1024));
    let request = http_client()
        .post(server.url("/write-queries"))
        .body(reqwest::Body::wrap_stream(futures::stream::iter([Ok::<
            _,
            std::io::Error,
        >(
            body
        )])));
    assert_eq!(
        request.send().await.unwrap().status(),
        413,
        "without a declared length"
    );
}

#[tokio::test]
async fn a_body_that_does_not_come_is_waited_for_in_bounds() {
    let server = alone().await;
    let request = "POST /write-queries HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let began = std::time::Instant::now();
    // Not on the runtime: it blocks until the server closes.
    let answer = tokio::task::spawn_blocking(move || server.raw(request.as_bytes()));
    let (status, body) = parts(&answer.await.unwrap());
    assert_eq!(status, 408, "{body}");
    assert!(body["detail"].is_string(), "{body}");
    assert!(began.elapsed() < LIMIT);
}

#[tokio::test]
async fn everything_that_is_away_is_one_answer() {
    let server = alone().await;
    let client = http_client();
    let mut answers = Vec::new();
    for path in [
        "/read-results",
        "/read-queries?start_timestamp=0",
        "/get-sequence",
        "/arxiv-api?title=x",
    ] {
        let response = client.get(server.url(path)).send().await.unwrap();
        assert_eq!(response.status(), 503, "{path}");
        assert!(response.headers().contains_key("retry-after"), "{path}");
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
        let request = client
            .post(server.url(path))
            .header("content-type", "application/json")
            .body(body);
        let response = request.send().await.unwrap();
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

    // What needs no database is answered nevertheless: bad input, health, metrics.
    let bad = client
        .get(server.url("/read-results?page=x"))
        .send()
        .await
        .unwrap();
    assert_eq!(bad.status(), 422);
    assert_eq!(
        client.get(server.url("/healthz")).send().await.unwrap().status(),
        200
    );
    let ready = client.get(server.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    let reasons: serde_json::Value = serde_json::from_str(&ready.text().await.unwrap()).unwrap();
    assert!(reasons["reasons"]["sequence"].is_string(), "{reasons}");
    let metrics = client
        .get(server.url("/metrics"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let line = r#"arxiv_api_server_requests_total{endpoint="/read-results",method="GET",status="503"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
    assert!(
        metrics.contains(r#"arxiv_api_server_database_connections{pool="sequence",state="idle"} 0"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_replica_that_is_away_takes_nobody_out_of_service() {
    let server = ServerOnly::start(&[("SERVE", "results,read-queries"), ("DATABASE_RO_URL", NOWHERE)])
        .listening()
        .await;
    let client = http_client();
    eventually("the replica is looked at", async || {
        let ready = client.get(server.url("/readyz")).send().await.unwrap();
        let status = ready.status();
        let body: serde_json::Value = serde_json::from_str(&ready.text().await.unwrap()).unwrap();
        let told = body["reasons"]["results_ro"].is_string() && body["reasons"]["queries_ro"].is_string();
        assert!(!told || status == 200, "{body}");
        told.then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_not_served_is_not_there_and_needs_nothing() {
    let server = ServerOnly::start(&[("SERVE", "/results"), ("DATABASE_RO_URL", NOWHERE)])
        .listening()
        .await;
    let client = http_client();
    for path in [
        "/arxiv?title=x",
        "/read-results",
        "/queries",
        "/get-sequence",
        "/arxiv-api",
        "/",
        "/arxiv/x",
    ] {
        let response = client.get(server.url(path)).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(response.text().await.unwrap(), r#"{"detail":"Not Found"}"#);
    }
    assert_eq!(
        client.get(server.url("/results")).send().await.unwrap().status(),
        503
    );
    let options = client
        .request(reqwest::Method::OPTIONS, server.url("/healthz"))
        .send()
        .await
        .unwrap();
    assert_eq!(options.status(), 405);
    assert_eq!(
        options.text().await.unwrap(),
        r#"{"detail":"Method Not Allowed"}"#
    );
}

#[tokio::test]
async fn a_missing_setting_is_named() {
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("SERVE", "results")], "DATABASE_RO_URL"),
        (&[("SERVE", "get-sequence")], "DATABASE_SEQUENCE_URL"),
        (&[("SERVE", "write-queries")], "DATABASE_RW_URL"),
        (&[("SERVE", "arxiv-api")], "DATABASE_UPSTREAM_URL"),
        (&[("SERVE", "arxiv"), ("KUBECONFIG", "/nowhere")], "KUBECONFIG"),
        (&[("SERVE", "nonsense")], "nonsense"),
    ];
    for (environment, named) in cases {
        let server = ServerOnly::start(environment);
        assert!(!server.child.wait(LIMIT).await.unwrap().success());
        assert!(
            server.child.log_tail().contains(named),
            "{}",
            server.child.log_tail()
        );
    }
}

#[tokio::test]
async fn one_connection_takes_many_requests_and_ids_come_back() {
    let server = alone().await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port.number())).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    for id in ["abc-1", "abc-2"] {
        let request = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-request-id: {id}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).unwrap();
        let answer = String::from_utf8_lossy(&buffer[..read]).into_owned();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains(id),
            "{answer}"
        );
    }
    let made = http_client()
        .get(server.url("/healthz"))
        .header("x-request-id", "a b")
        .send()
        .await
        .unwrap();
    assert_eq!(made.headers()["x-request-id"].len(), 32);
    let _ = http_client()
        .get(server.url("/read-results?page=2"))
        .header("x-request-id", "seen-1")
        .send()
        .await
        .unwrap();
    let log = std::fs::read_to_string(server.child.log()).unwrap();
    let line = log
        .lines()
        .find(|line| line.contains("NOTICE") && line.contains("request_id=seen-1"))
        .unwrap();
    assert!(
        line.contains(
            " NOTICE backend - read_results.read_results - read_results(page=2, items_per_page=10): called"
        ),
        "{line}"
    );
}
