//! Clients that send slowly or only hold connections: others are served, and memory is limited.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};
use testbed::test_env::{LIMIT, ServerOnly, eventually, http_client};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{MEBIBYTE, NOWHERE};

/// More than the server takes at once, together with what a request needs below the usual limit of 1,024 open files.
const CROWD: usize = 1100;

/// This test's process holds all ends of the clients.
pub(crate) fn allow_many_files() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum.map(|most| most.min(8192)).or(Some(8192)),
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
}

/// A server that serves `/read-results` and `/write-results` on a database that is unavailable.
async fn server() -> ServerOnly {
    ServerOnly::start(&[
        ("SERVE", "read-results,write-results"),
        ("DATABASE_RO_URL", NOWHERE),
        ("DATABASE_RW_URL", NOWHERE),
    ])
    .listening()
    .await
}

pub(crate) fn resident(server: &ServerOnly) -> u64 {
    server.child.memory().unwrap().resident
}

pub(crate) fn connect(server: &ServerOnly) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.port.number())).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// As many connections as the server takes and more, each having sent `start`.
fn crowd(server: &ServerOnly, start: &[u8]) -> Vec<TcpStream> {
    (0..CROWD)
        .map(|_| {
            let mut stream = connect(server);
            // The server may have closed it already.
            let _ = stream.write_all(start);
            stream
        })
        .collect()
}

pub(crate) async fn assert_healthy(server: &ServerOnly, what: &str) {
    let client = http_client();
    for path in ["/healthz", "/metrics"] {
        let answer = tokio::time::timeout(Duration::from_secs(10), client.get(server.url(path)).send());
        let answer = answer
            .await
            .unwrap_or_else(|_| panic!("{path} with {what}"))
            .unwrap();
        assert_eq!(answer.status(), 200, "{path} with {what}");
    }
    let bad = client.get(server.url("/read-results?page=x")).send();
    let answer = tokio::time::timeout(Duration::from_secs(10), bad).await;
    assert_eq!(
        answer.unwrap().unwrap().status(),
        422,
        "others are served with {what}"
    );
}

#[tokio::test]
async fn connections_without_a_request_do_not_block_other_clients() {
    allow_many_files();
    let server = server().await;
    let before = resident(&server);
    let cases: [(&str, &[u8]); 3] = [
        ("silent connections", b""),
        (
            "half-sent heads",
            b"GET /read-results HTTP/1.1\r\nhost: x\r\nx-slow: ",
        ),
        (
            "connections that are kept after a request",
            b"GET /read-results?page=x HTTP/1.1\r\nhost: x\r\n\r\n",
        ),
    ];
    for (what, start) in cases {
        let crowd = crowd(&server, start);
        assert_healthy(&server, what).await;
        drop(crowd);
    }
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 64 * MEBIBYTE, "{} MiB more", grown / MEBIBYTE);
}

#[tokio::test]
async fn low_limit_of_open_files_does_not_block_other_clients() {
    let environment = [("SERVE", "read-results"), ("DATABASE_RO_URL", NOWHERE)];
    let server = ServerOnly::start_with_files(64, &environment).listening().await;
    let crowd: Vec<_> = (0..100).map(|_| connect(&server)).collect();
    assert_healthy(&server, "more connections than files").await;
    drop(crowd);
}

#[tokio::test]
async fn kept_connection_is_usable_while_there_are_few() {
    let server = server().await;
    let mut kept = connect(&server);
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    for _ in 0..2 {
        kept.write_all(request).unwrap();
        let mut answer = [0; 12];
        kept.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        let mut rest = [0; 1024];
        let _ = kept.read(&mut rest).unwrap();
    }
}

#[tokio::test]
async fn slow_bodies_are_limited_and_health_is_answered() {
    allow_many_files();
    let server = server().await;
    let before = resident(&server);
    // Each says that it will send the most that is taken, and sends a part of it.
    let mut start = format!(
        "POST /write-results HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        32 * MEBIBYTE
    )
    .into_bytes();
    start.extend_from_slice(&[b' '; 16 * 1024]);
    let mut crowd = crowd(&server, &start);
    let client = http_client();
    eventually("health is answered next to slow bodies", async || {
        let answer = client.get(server.url("/healthz")).send().await.ok()?;
        (answer.status() == 200).then_some(())
    })
    .await;
    // Those beyond the limit are refused at once; the others when they stay too slow.
    let mut statuses = crowd.iter_mut().rev().map(|stream| {
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).map(|()| answer)
    });
    assert!(statuses.any(|status| status.is_ok_and(|status| &status == b"HTTP/1.1 503")));
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 128 * MEBIBYTE, "{} MiB more", grown / MEBIBYTE);
}

/// Connections from another address of loopback.
async fn crowd_from(
    source: [u8; 4],
    server: &ServerOnly,
    count: usize,
    start: &[u8],
) -> Vec<tokio::net::TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..count {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        let server = ([127, 0, 0, 1], server.port.number()).into();
        // The server may refuse it.
        if let Ok(mut stream) = socket.connect(server).await {
            let _ = stream.write_all(start).await;
            crowd.push(stream);
        }
    }
    crowd
}

#[tokio::test]
async fn client_with_as_many_requests_as_it_can_leaves_half_to_others() {
    allow_many_files();
    let server = server().await;
    let start = b"POST /write-results HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    let mut crowd = crowd_from([127, 0, 0, 2], &server, 980, start).await;
    assert_healthy(&server, "many requests of one client").await;
    let mut statuses = std::collections::BTreeSet::new();
    for stream in &mut crowd {
        let mut answer = [0; 12];
        let read = tokio::time::timeout(LIMIT, stream.read_exact(&mut answer)).await;
        if read.unwrap().is_ok() {
            statuses.insert(String::from_utf8_lossy(&answer).into_owned());
        }
    }
    // What was beyond its half was refused, and the rest was not held for long.
    assert!(
        statuses.iter().eq(["HTTP/1.1 408", "HTTP/1.1 503"]),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn half_open_connection_ends() {
    let server = server().await;
    let mut stream = connect(&server);
    stream
        .write_all(b"GET /read-results?page=x HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    // It may answer or not; it closes the connection.
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let client = http_client();
    eventually("only this connection is left", async || {
        let metrics = client.get(server.url("/metrics")).send().await.ok()?;
        let text = metrics.text().await.ok()?;
        text.contains("arxiv_api_server_connections 1\n").then_some(())
    })
    .await;
}
