//! Connections that fail, and when they are closed.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use arxiv::{FailureClass, FetchError};
use tokio_util::sync::CancellationToken;

use crate::server::{Server, hold};
use crate::{ATOM_TYPE, client, fetch, fetch_all, good, request};

#[tokio::test]
async fn failed_connection_is_unreachable() {
    // Nobody listens on tcpmux; a port that was free a moment ago, another test may have.
    let error = fetch("http://127.0.0.1:1/".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, FetchError::Connect(_)), "{error:?}");
    assert_eq!(
        (error.class(), error.caller_status()),
        (FailureClass::Unreachable, 503)
    );
    assert!(!error.to_string().contains("127.0.0.1"), "{error}");

    // Too long for any name server to be asked, which might not answer for long.
    let nowhere = format!("http://{}.invalid/", "a".repeat(64));
    let error = fetch(nowhere.parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, FetchError::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn broken_connection_is_an_error_of_its_phase() {
    let half = good()[..good().len() / 2].to_vec();
    let cases: [(&str, Vec<u8>, &str); 4] = [
        (
            "before the answer",
            Vec::new(),
            "the connection to arXiv broke before the answer",
        ),
        (
            "within the head",
            b"HTTP/1.1 200 OK\r\nDate: ".to_vec(),
            "the connection to arXiv broke before the answer",
        ),
        (
            "within the body",
            half,
            "the connection to arXiv broke within the answer",
        ),
        (
            "within a chunk",
            format!("HTTP/1.1 200 OK\r\n{ATOM_TYPE}Transfer-Encoding: chunked\r\n\r\nff\r\n<feed")
                .into_bytes(),
            "the connection to arXiv broke within the answer",
        ),
    ];
    for (name, bytes, text) in cases {
        let server = Server::start(move |_, mut stream| {
            stream.write_all(&bytes).unwrap();
            stream.shutdown(Shutdown::Both).unwrap();
        });
        let error = fetch(server.url()).await.expect_err(name);
        assert_eq!(error.to_string(), text, "{name}");
        assert_eq!(
            (error.class(), error.caller_status()),
            (FailureClass::Unreachable, 503),
            "{name}"
        );
        assert_eq!(server.connections(), 1, "{name}: tried again");
    }
}

/// Waits until the condition holds.
async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn connection_is_closed_when_a_cancelled_request_returns() {
    let server = Server::start(|_, stream| hold(stream));
    let client = client(server.url());
    let token = CancellationToken::new();
    let pending = client.pending(&request());
    let fetching = tokio::spawn({
        let token = token.clone();
        async move { client.fetch(pending, &token).await }
    });
    until(|| server.heads().len() == 1).await;
    assert_eq!(server.open(), 1);
    token.cancel();
    let error = fetching.await.unwrap().unwrap_err();
    assert!(matches!(error, FetchError::Cancelled), "{error:?}");
    assert_eq!(server.open(), 0);
}

#[tokio::test]
async fn request_has_arrived_once_the_head_of_its_answer_comes() {
    let head = format!("HTTP/1.1 200 OK\r\n{ATOM_TYPE}Content-Length: 9\r\n\r\n");
    for (bytes, arrives) in [("", false), ("HTTP/1.1 200 OK\r\n", false), (&head, true)] {
        let bytes = bytes.to_owned();
        let server = Server::start(move |_, mut stream| {
            stream.write_all(bytes.as_bytes()).unwrap();
            hold(stream);
        });
        let client = client(server.url());
        let token = CancellationToken::new();
        let pending = client.pending(&request());
        let arrived_by = pending.arrived_by();
        let before = Instant::now();
        let fetching = tokio::spawn({
            let token = token.clone();
            async move { client.fetch(pending, &token).await }
        });
        until(|| server.heads().len() == 1 && (!arrives || arrived_by.get().is_some())).await;
        token.cancel();
        fetching.await.unwrap().unwrap_err();
        assert_eq!(arrived_by.get().is_some_and(|at| at >= before), arrives);
    }
}

#[tokio::test]
async fn connection_is_closed_soon_after_a_request_is_dropped() {
    let server = Server::start(|_, stream| hold(stream));
    let client = client(server.url());
    let pending = client.pending(&request());
    let fetching =
        tokio::spawn(async move { client.fetch(pending, &CancellationToken::new()).await.map(drop) });
    until(|| server.heads().len() == 1).await;
    fetching.abort();
    until(|| server.open() == 0).await;
}

#[tokio::test]
async fn many_requests_leave_no_thread_or_connection() {
    let server = Server::answering(good());
    let client = client(server.url());
    for _ in 0..50 {
        fetch_all(&client).await.unwrap();
        assert_eq!(server.open(), 0);
    }
    assert_eq!(server.connections(), 50);
}
