//! Limits of the HTTP server: heads, bodies and their time, on a process whose databases are unavailable.

use std::{
    io::{Read, Write},
    net::TcpStream,
};
use testbed::test_env::{LIMIT, ServerOnly, http_client};

use crate::NOWHERE;

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
async fn head_that_is_too_long_is_refused_with_a_reason() {
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
async fn body_that_is_too_long_is_refused_before_it_is_sent() {
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
async fn body_that_does_not_arrive_is_refused_after_a_timeout() {
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
async fn malformed_head_is_refused_in_the_format_of_other_errors() {
    let server = alone().await;
    let raw = |header: &str| {
        let accept = "accept: application/problem+json\r\nconnection: close";
        server.raw(format!("GET / HTTP/1.1\r\nhost: x\r\n{accept}\r\n{header}\r\n").as_bytes())
    };
    let too_long = raw(&format!("a: {}\r\n", "x".repeat(17_000)));
    assert!(
        too_long.starts_with("HTTP/1.1 431") && too_long.contains(r#""code":"headers_too_long""#),
        "{too_long}"
    );
    // The HTTP library refuses this one; it reads no Accept.
    let malformed = raw("no colon\r\n");
    assert!(
        malformed.starts_with("HTTP/1.1 400") && malformed.ends_with("{\"detail\":\"Bad Request\"}"),
        "{malformed}"
    );
}

#[tokio::test]
async fn process_without_a_setting_ends_and_names_it() {
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
async fn connection_takes_many_requests_whose_ids_are_returned_and_logged() {
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
