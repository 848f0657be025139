//! Time and size.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use arxiv::{Client, ClientSettings, FailureClass, FetchError};

use crate::server::{Server, hold, response};
use crate::{ATOM_TYPE, entry, feed, fetch_all, good, settings};

/// Fetches with a short deadline from a server that never comes to an end.
async fn assert_times_out(name: &str, server: Server) {
    let client = Client::new(ClientSettings {
        timeout: Duration::from_millis(300),
        ..settings(server.url())
    })
    .unwrap();
    let started = Instant::now();
    let error = fetch_all(&client).await.expect_err(name);
    assert!(matches!(error, FetchError::TimedOut), "{name}: {error:?}");
    assert_eq!(
        (error.class(), error.caller_status()),
        (FailureClass::Unreachable, 503),
        "{name}"
    );
    assert!(
        started.elapsed() >= Duration::from_millis(300),
        "{name}: too soon"
    );
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{name}: {:?}",
        started.elapsed()
    );
    assert_eq!(server.open(), 0, "{name}: the connection is still open");
}

#[tokio::test]
async fn deadline_holds_for_the_sum_of_all_requests() {
    assert_times_out("no answer", Server::start(|_, stream| hold(stream))).await;
    let drip = |stream: &mut std::net::TcpStream, bytes: &[u8]| {
        for byte in bytes {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    };
    let slow_head = Server::start(move |_, mut stream| drip(&mut stream, &good()));
    assert_times_out("a slow head", slow_head).await;
    let slow_body = Server::start(move |_, mut stream| {
        let answer = good();
        let (head, body) = answer.split_at(answer.len() - 200);
        stream.write_all(head).unwrap();
        drip(&mut stream, body);
    });
    assert_times_out("a slow body", slow_body).await;
    // Each of these takes less than the deadline, but not all of them.
    let slow_redirects = Server::start(|number, mut stream| {
        thread::sleep(Duration::from_millis(120));
        let _ = stream.write_all(&response("302 Found", &format!("Location: /{number}\r\n"), ""));
        hold(stream);
    });
    assert_times_out("slow redirects", slow_redirects).await;
}

/// Sends a feed that has no end after its head; how many bytes were taken.
async fn bytes_taken(headers: &str, piece: String, max_body: usize) -> usize {
    let start = feed("<o:totalResults>1</o:totalResults>", "").replace("</feed>", "");
    let head = format!("HTTP/1.1 200 OK\r\n{ATOM_TYPE}{headers}\r\n{start}");
    let (report, taken) = std::sync::mpsc::channel();
    let server = Server::start(move |_, mut stream| {
        let mut sent = head.len();
        stream.write_all(head.as_bytes()).unwrap();
        while sent < 100_000_000 && stream.write_all(piece.as_bytes()).is_ok() {
            sent += piece.len();
        }
        report.send(sent).unwrap();
    });
    let client = Client::new(ClientSettings {
        max_body,
        ..settings(server.url())
    })
    .unwrap();
    let error = fetch_all(&client).await.unwrap_err();
    assert_eq!(error.to_string(), "arXiv's answer is too large");
    assert_eq!(
        (error.class(), error.caller_status()),
        (FailureClass::Broken, 502)
    );
    assert_eq!(server.open(), 0);
    tokio::task::spawn_blocking(move || taken.recv_timeout(Duration::from_secs(30)).unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn feed_of_100_megabytes_is_refused_while_it_is_read() {
    const MEBIBYTE: usize = 1024 * 1024;
    // What the two sockets hold by themselves.
    const BUFFERS: usize = 12 * MEBIBYTE;
    let entries: String = (0..1000).map(entry).collect();
    let taken = bytes_taken("Connection: close\r\n", entries.clone(), 2 * MEBIBYTE).await;
    assert!(taken < 2 * MEBIBYTE + BUFFERS, "{taken} bytes of entries");
    // A length that is announced is refused at once: nothing is read.
    let taken = bytes_taken("Content-Length: 100000000\r\n", entries, 2 * MEBIBYTE).await;
    assert!(taken < BUFFERS, "{taken} bytes of a known length");
    // One text without an end is given up long before the body's limit.
    let taken = bytes_taken("Connection: close\r\n", "x".repeat(8192), 64 * MEBIBYTE).await;
    assert!(taken < MEBIBYTE + BUFFERS, "{taken} bytes of text");
}
