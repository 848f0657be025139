//! Memory while long responses are sent.

use std::io::Write;
use std::net::TcpStream;

use reqwest::header;
use serde_json::Value;
use testbed::test_env::{ServerOnly, eventually, http_client};
use tokio::io::AsyncReadExt;

use crate::MEBIBYTE;
use crate::databases::Databases;
use crate::slow_clients::{allow_many_files, assert_healthy, connect, resident};

/// A server that reads these databases.
async fn server(databases: &Databases, serve: &str) -> ServerOnly {
    let environment = databases.environment();
    let reads = environment.iter().find(|(name, _)| *name == "DATABASE_RO_URL");
    let environment = [
        ("SERVE", serve),
        ("DATABASE_RO_URL", &*reads.unwrap().1),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
        ("LOG_LEVEL", "INFO"),
    ];
    ServerOnly::start(&environment).listening().await
}

#[tokio::test(flavor = "multi_thread")]
async fn export_of_all_results_takes_little_memory_in_each_coding() {
    let rows: usize = std::env::var("EXPORT_TEST_ROWS").map_or(100_000, |rows| rows.parse().unwrap());
    let databases = Databases::shared().await;
    let fill = format!(
        "insert into public.results (query_id, timestamp, author, title, journal)
           select n / 10, n, repeat('Author, ', 20) || n, repeat('title ', 10), '' from generate_series(1, {rows}) n"
    );
    databases.execute("arxiv", &fill).await;
    let server = server(&databases, "results").await;
    let client = http_client();
    let first = client.get(server.url("/results")).send().await.unwrap();
    assert_eq!(first.status(), 200);
    let before = server.child.memory().unwrap().peak;
    for (coding, format) in [("identity", "csv"), ("gzip", "ndjson"), ("zstd", "json")] {
        let request = client
            .get(server.url(&format!("/results?all=true&format={format}")))
            .timeout(std::time::Duration::from_mins(10))
            .header(header::ACCEPT_ENCODING, coding);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let used = response.headers().get(header::CONTENT_ENCODING);
        let used = used.map(|coding| coding.to_str().unwrap());
        assert_eq!(used, Some(coding).filter(|coding| *coding != "identity"));
        let bytes = response.bytes().await.unwrap();
        let mut plain = Vec::new();
        match coding {
            "gzip" => {
                let mut decoder = async_compression::tokio::bufread::GzipDecoder::new(&*bytes);
                decoder.read_to_end(&mut plain).await.unwrap();
            }
            "zstd" => {
                let mut decoder = async_compression::tokio::bufread::ZstdDecoder::new(&*bytes);
                decoder.read_to_end(&mut plain).await.unwrap();
            }
            _ => plain = bytes.to_vec(),
        }
        let lines = String::from_utf8(plain.clone()).unwrap().lines().count();
        let count = match format {
            "json" => serde_json::from_slice::<Vec<Value>>(&plain).unwrap().len(),
            "csv" => lines - 1,
            _ => lines,
        };
        assert_eq!(count, rows, "{format}");
    }
    let growth = server.child.memory().unwrap().peak - before;
    println!("{rows} rows three times: {} KiB more at the most", growth / 1024);
    assert!(growth < 30 * MEBIBYTE, "{} KiB", growth / 1024);
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

/// The memory that is reserved for long responses.
async fn taken(server: &ServerOnly) -> u64 {
    let metrics = http_client().get(server.url("/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let name = "arxiv_api_server_memory_reserved_bytes{budget=\"rows\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

#[tokio::test]
async fn clients_that_read_nothing_take_little_memory() {
    allow_many_files();
    let databases = Databases::shared().await;
    let fill = "insert into results (query_id, timestamp, result_number, author, title, journal)
                  select 1, 1, n, repeat('A', 4000), repeat('T', 1000), '' from generate_series(1, 1000) n";
    databases.execute("arxiv", fill).await;
    let server = server(&databases, "read-results").await;
    let (page, export) = ("/read-results?items_per_page=1000", "/read-results?all=true");
    for path in [page, export] {
        let (status, whole) = read(&server, path, "192.0.2.1").await;
        assert_eq!(status, 200, "{whole}");
        // More than the kernel takes of an answer that nobody reads, which is no memory of the server's.
        assert!(whole.len() > 5_000_000, "{path}");
    }
    let before = resident(&server);

    // One client takes half of the limit: four pages, and nearly half a page is left.
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

    // Many take all of it. On a busy machine some are refused as they get no connection to the database, so more may be needed.
    let address = |n: usize| format!("198.51.{}.{}", n / 250, n % 250);
    let path = |n: usize| if n.is_multiple_of(2) { page } else { export };
    let mut many: Vec<_> = (0..150).map(|n| unread(&server, path(n), &address(n))).collect();
    let mut most = 0;
    eventually("the limit is reached", async || {
        let (status, body) = read(&server, page, "192.0.2.3").await;
        most = resident(&server).max(most);
        if status == 503 && body.contains(r#""code":"overloaded""#) {
            return Some(());
        }
        let n = many.len();
        many.extend((n..n + 10).map(|n| unread(&server, path(n), &address(n))));
        None
    })
    .await;
    // Short pages need no memory of it.
    eventually("short pages are served", async || {
        (read(&server, "/read-results", "192.0.2.3").await.0 == 200).then_some(())
    })
    .await;
    assert_healthy(&server, "clients that read nothing").await;
    let grown = resident(&server).max(most).saturating_sub(before);
    println!(
        "{} MiB more, {} MiB taken, {} clients",
        grown / MEBIBYTE,
        taken(&server).await / MEBIBYTE,
        many.len() + greedy.len()
    );
    // The limit of 48 MiB; what was being read and written at one time; and the connections, which take more as they are built for
    // tests: without optimisation, what a request holds while it waits is some tens of kilobytes.
    assert!(grown < 96 * MEBIBYTE, "{} MiB more", grown / MEBIBYTE);

    drop((greedy, many));
    eventually("long pages are served again", async || {
        (read(&server, page, "192.0.2.3").await.0 == 200).then_some(())
    })
    .await;
    eventually("nothing is taken", async || {
        (taken(&server).await == 0).then_some(())
    })
    .await;
}
