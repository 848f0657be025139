//! Clients that send slowly, read nothing or only hold connections: others are served, and memory is bounded.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod bed;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use bed::{Alone, LIMIT, client, eventually};
use testbed::Postgres;

/// More than the server takes at once, together with what a request needs below the usual limit of 1,024 open files.
const CROWD: usize = 1100;
const MEBIBYTE: u64 = 1024 * 1024;

/// This test's process holds all ends of the clients.
fn allow_many_files() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum.map(|most| most.min(8192)).or(Some(8192)),
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
}

/// A server that serves `/read-results` and `/write-results` on a database that is not there, and its resident memory.
async fn server() -> Alone {
    let nowhere = "postgresql://u:p@127.0.0.1:1/d";
    Alone::start(&[
        ("SERVE", "read-results,write-results"),
        ("DATABASE_RO_URL", nowhere),
        ("DATABASE_RW_URL", nowhere),
    ])
    .listening()
    .await
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn connect(server: &Alone) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.port.number())).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// As many connections as the server takes and more, each having sent `start`.
fn crowd(server: &Alone, start: &[u8]) -> Vec<TcpStream> {
    (0..CROWD)
        .map(|_| {
            let mut stream = connect(server);
            // The server may have closed it already.
            let _ = stream.write_all(start);
            stream
        })
        .collect()
}

async fn assert_healthy(server: &Alone, what: &str) {
    let client = client();
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
async fn connections_without_a_request_keep_nobody_out() {
    allow_many_files();
    let server = server().await;
    let before = resident(server.child.pid());
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
    let grown = resident(server.child.pid()).saturating_sub(before);
    assert!(grown < 64 * MEBIBYTE, "{} MiB more", grown / MEBIBYTE);
}

#[tokio::test]
async fn a_low_limit_of_open_files_keeps_nobody_out() {
    let environment = [
        ("SERVE", "read-results"),
        ("DATABASE_RO_URL", "postgresql://u:p@127.0.0.1:1/d"),
    ];
    let server = Alone::start_with_files(64, &environment).listening().await;
    let crowd: Vec<_> = (0..100).map(|_| connect(&server)).collect();
    assert_healthy(&server, "more connections than files").await;
    drop(crowd);
}

#[tokio::test]
async fn a_kept_connection_is_usable_while_there_is_room() {
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
async fn slow_bodies_are_bounded_and_leave_room_for_health() {
    allow_many_files();
    let server = server().await;
    let before = resident(server.child.pid());
    // Each says that it will send the most that is taken, and sends a part of it.
    let mut start = format!(
        "POST /write-results HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        32 * MEBIBYTE
    )
    .into_bytes();
    start.extend_from_slice(&[b' '; 16 * 1024]);
    let mut crowd = crowd(&server, &start);
    let client = client();
    eventually("health is answered beside slow bodies", async || {
        let answer = client.get(server.url("/healthz")).send().await.ok()?;
        (answer.status() == 200).then_some(())
    })
    .await;
    // Those that came last are told so, at once.
    let mut told = [0; 12];
    crowd.last_mut().unwrap().read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 503");
    let grown = resident(server.child.pid()).saturating_sub(before);
    assert!(grown < 128 * MEBIBYTE, "{} MiB more", grown / MEBIBYTE);
}

#[tokio::test]
async fn clients_that_read_nothing_cost_little() {
    allow_many_files();
    let postgres = Postgres::start().await.unwrap();
    postgres.create_database("arxiv").await.unwrap();
    postgres
        .execute(
            "arxiv",
            "create table queries (id serial primary key, query_id bigint, timestamp bigint, status smallint,
               num_results integer, num_entries smallint, query text, query_uid uuid, recorded_at timestamptz);
             create table results (id serial primary key, query_id bigint, timestamp bigint, result_number smallint,
               author text, title text, journal text, query_uid uuid, recorded_at timestamptz);
             insert into results (query_id, timestamp, result_number, author, title, journal)
               select 1, 1, n, repeat('A', 1000), repeat('T', 1000), '' from generate_series(1, 1000) n",
        )
        .await
        .unwrap();
    let server = Alone::start(&[
        ("SERVE", "read-results"),
        ("DATABASE_RO_URL", &postgres.admin_url("arxiv")),
    ])
    .listening()
    .await;
    let path = "/read-results?items_per_page=1000";
    let whole = client().get(server.url(path)).send().await.unwrap();
    assert_eq!(whole.status(), 200);
    assert!(whole.bytes().await.unwrap().len() > 2_000_000);
    let before = resident(server.child.pid());
    let clients: Vec<_> = (0..48)
        .map(|_| {
            let mut stream = connect(&server);
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_healthy(&server, "clients that read nothing").await;
    let grown = resident(server.child.pid()).saturating_sub(before);
    // An answer each, and what comes of it.
    assert!(grown < 384 * MEBIBYTE, "{} MiB more", grown / MEBIBYTE);
    drop(clients);
}

#[tokio::test]
async fn half_open_connections_end() {
    let server = server().await;
    let mut stream = connect(&server);
    stream
        .write_all(b"GET /read-results?page=x HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    // Whether it still answers is its own business; it lets go in any case.
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let client = client();
    eventually("only the looking connection is left", async || {
        let metrics = client.get(server.url("/metrics")).send().await.ok()?;
        let text = metrics.text().await.ok()?;
        text.contains("arxiv_api_server_connections 1\n").then_some(())
    })
    .await;
}
