//! Clients that send slowly, read nothing or only hold connections: others are served, and memory is bounded.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};
use testbed::Postgres;
use testbed::test_env::{LIMIT, ServerOnly, eventually, http_client};

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
async fn server() -> ServerOnly {
    let nowhere = "postgresql://u:p@127.0.0.1:1/d";
    ServerOnly::start(&[
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

fn connect(server: &ServerOnly) -> TcpStream {
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

async fn assert_healthy(server: &ServerOnly, what: &str) {
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
    let server = ServerOnly::start_with_files(64, &environment).listening().await;
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
    let client = http_client();
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

/// Asks from this address, and reads nothing.
fn unread(server: &ServerOnly, path: &str, address: &str) -> TcpStream {
    let mut stream = connect(server);
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Asks from this address for problem details, and reads all: the status, and the body.
async fn read(server: &ServerOnly, path: &str, address: &str) -> (u16, String) {
    let request = http_client()
        .get(server.url(path))
        .header("x-forwarded-for", address);
    let request = request.header("accept", "application/json, application/problem+json");
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    assert_eq!(
        answer.headers().contains_key("retry-after"),
        status == 503,
        "{path}"
    );
    (status, answer.text().await.unwrap())
}

/// The memory that is taken for long answers.
async fn taken(server: &ServerOnly) -> u64 {
    let metrics = http_client().get(server.url("/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let name = "arxiv_api_server_memory_reserved_bytes{budget=\"rows\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
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
               author text, title text, journal text, query_uid uuid, recorded_at timestamptz,
               arxiv_id text, categories text);
             insert into results (query_id, timestamp, result_number, author, title, journal)
               select 1, 1, n, repeat('A', 4000), repeat('T', 1000), '' from generate_series(1, 1000) n",
        )
        .await
        .unwrap();
    let server = ServerOnly::start(&[
        ("SERVE", "read-results"),
        ("DATABASE_RO_URL", &postgres.admin_url("arxiv")),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
    ])
    .listening()
    .await;
    let (page, export) = ("/read-results?items_per_page=1000", "/read-results?all=true");
    for path in [page, export] {
        let (status, whole) = read(&server, path, "192.0.2.1").await;
        assert_eq!(status, 200, "{whole}");
        // More than the kernel takes of an answer that nobody reads, which is no memory of the server's.
        assert!(whole.len() > 5_000_000, "{path}");
    }
    let before = resident(server.child.pid());

    // One client takes half of the room: four pages, and nearly half a page is left.
    let greedy: Vec<_> = (0..150).map(|_| unread(&server, page, "192.0.2.2")).collect();
    eventually("one client has its share", async || {
        let taken = taken(&server).await;
        assert!(taken <= 24 * MEBIBYTE, "{taken}");
        (taken > 19 * MEBIBYTE).then_some(())
    })
    .await;
    eventually("others are served", async || {
        (read(&server, page, "192.0.2.3").await.0 == 200).then_some(())
    })
    .await;

    // Many take all of it. On a busy machine some are refused for want of a connection to the database, so more may be needed.
    let address = |n: usize| format!("198.51.{}.{}", n / 250, n % 250);
    let path = |n: usize| if n.is_multiple_of(2) { page } else { export };
    let mut many: Vec<_> = (0..150).map(|n| unread(&server, path(n), &address(n))).collect();
    let mut most = 0;
    eventually("the room is full", async || {
        let (status, body) = read(&server, page, "192.0.2.3").await;
        most = resident(server.child.pid()).max(most);
        if status == 503 && body.contains(r#""code":"overloaded""#) {
            return Some(());
        }
        let n = many.len();
        many.extend((n..n + 10).map(|n| unread(&server, path(n), &address(n))));
        None
    })
    .await;
    // What is short needs no room.
    eventually("short pages are served", async || {
        (read(&server, "/read-results", "192.0.2.3").await.0 == 200).then_some(())
    })
    .await;
    assert_healthy(&server, "clients that read nothing").await;
    let grown = resident(server.child.pid()).max(most).saturating_sub(before);
    println!(
        "{} MiB more, {} MiB taken, {} clients",
        grown / MEBIBYTE,
        taken(&server).await / MEBIBYTE,
        many.len() + greedy.len()
    );
    // The room of 48 MiB; what was being read and written at one time; and the connections, which take more as they are built for
    // tests: without optimisation, what a request holds while it waits is some tens of kilobytes.
    assert!(grown < 96 * MEBIBYTE, "{} MiB more", grown / MEBIBYTE);

    drop((greedy, many));
    eventually("there is room again", async || {
        (read(&server, page, "192.0.2.3").await.0 == 200).then_some(())
    })
    .await;
    eventually("all of it", async || (taken(&server).await == 0).then_some(())).await;
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
    let client = http_client();
    eventually("only the looking connection is left", async || {
        let metrics = client.get(server.url("/metrics")).send().await.ok()?;
        let text = metrics.text().await.ok()?;
        text.contains("arxiv_api_server_connections 1\n").then_some(())
    })
    .await;
}
