//! The client against a server that does what arXiv does, and what it should not do.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is a test"
)]

mod server;

use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arxiv::{
    Answer, Client, ClientSettings, FailureClass, FetchError, Fetched, PageRequest, Search, ValidatedSearch,
};
use server::{Server, hold, response};
use tokio_util::sync::CancellationToken;
use url::Url;

const ATOM_TYPE: &str = "Content-Type: application/atom+xml; charset=utf-8\r\n";
const DATE: &str = "Date: Mon, 06 May 2024 16:58:09 GMT\r\n";
const NOW: i64 = 1_715_014_689;

fn search() -> ValidatedSearch {
    Search {
        title: Some("C++ graphs".into()),
        ..Search::default()
    }
    .validate()
    .unwrap()
}

fn request() -> PageRequest {
    PageRequest {
        search: search(),
        start: 10,
        count: 3,
    }
}

fn settings(base: Url) -> ClientSettings {
    let _ = rustls::crypto::ring::default_provider().install_default();
    ClientSettings {
        base,
        contact: Some("mailto:librarian@example.org".into()),
        timeout: Duration::from_secs(30),
        proxy: None,
        ca_bundle: None,
        max_body: ClientSettings::DEFAULT_MAX_BODY,
    }
}

fn client(base: Url) -> Client {
    Client::new(settings(base)).unwrap()
}

/// Makes the first request and every one that it leads to.
async fn fetch_all(client: &Client) -> Result<Answer, FetchError> {
    let mut visit = client.visit(&request());
    loop {
        match client.fetch(visit, &CancellationToken::new()).await? {
            Fetched::Answer(answer) => return Ok(answer),
            Fetched::Redirect(next) => visit = next,
        }
    }
}

async fn fetch(base: Url) -> Result<Answer, FetchError> {
    fetch_all(&client(base)).await
}

fn feed(total: &str, entries: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom" xmlns:o="http://a9.com/-/spec/opensearch/1.1/"><title>arXiv Query: q</title>{total}{entries}</feed>"#
    )
}

fn good_feed() -> String {
    feed("<o:totalResults>1234</o:totalResults>", &entry(0))
}

fn entry(number: usize) -> String {
    format!(
        "<entry><id>http://arxiv.org/abs/2405.{number:05}v1</id><title>T {number}</title><author><name>A</name></author></entry>"
    )
}

fn good() -> Vec<u8> {
    response("200 OK", &format!("{ATOM_TYPE}{DATE}"), &good_feed())
}

#[tokio::test]
async fn a_page_is_asked_for_and_read() {
    let server = Server::answering(good());
    let answer = fetch(server.url()).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.date.unwrap().as_second(), NOW);
    assert_eq!(answer.feed.total, 1234);
    assert_eq!(answer.feed.entries[0].title, "T 0");

    let [head] = &server.heads()[..] else {
        panic!("{:?}", server.heads())
    };
    let head = head.to_ascii_lowercase();
    assert!(
        head.starts_with(
            "get /api/query?search_query=ti%3a%22c%2b%2b%22+and+ti%3agraphs&start=10&max_results=3 http/1.1\r\n"
        ),
        "{head}"
    );
    let agent = concat!(
        "user-agent: arxiv-operator/",
        env!("CARGO_PKG_VERSION"),
        " (+mailto:librarian@example.org)\r\n"
    );
    assert!(head.contains(agent), "{head}");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert!(
        !head.contains("accept-encoding"),
        "a packed body could unpack to any size: {head}"
    );
}

#[tokio::test]
async fn answers_that_are_taken() {
    let no_authors = feed(
        "<o:totalResults>1</o:totalResults>",
        "<entry><id>http://arxiv.org/abs/1v1</id><title>T</title></entry>",
    );
    let no_title = good_feed().replace("<title>arXiv Query: q</title>", "");
    let nothing = feed("<o:totalResults>0</o:totalResults>", "");
    let cases = [
        (
            "no content type",
            response("200 OK", DATE, &good_feed()),
            Some(NOW),
            1234,
            1,
        ),
        (
            "plain XML",
            response("200 OK", "Content-Type: text/xml\r\n", &good_feed()),
            None,
            1234,
            1,
        ),
        (
            "no date",
            response("200 OK", ATOM_TYPE, &good_feed()),
            None,
            1234,
            1,
        ),
        (
            "a bad date",
            response("200 OK", &format!("{ATOM_TYPE}Date: yesterday\r\n"), &good_feed()),
            None,
            1234,
            1,
        ),
        (
            "no authors",
            response("200 OK", ATOM_TYPE, &no_authors),
            None,
            1,
            1,
        ),
        (
            "no title",
            response("200 OK", ATOM_TYPE, &no_title),
            None,
            1234,
            1,
        ),
        (
            "nothing found",
            response("200 OK", ATOM_TYPE, &nothing),
            None,
            0,
            0,
        ),
    ];
    for (name, bytes, date, total, entries) in cases {
        let server = Server::answering(bytes);
        let answer = fetch(server.url())
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(answer.date.map(jiff::Timestamp::as_second), date, "{name}");
        assert_eq!(
            (answer.feed.total, answer.feed.entries.len()),
            (total, entries),
            "{name}"
        );
        assert_eq!(server.open(), 0, "{name}: the connection is still open");
    }
}

#[tokio::test]
async fn answers_that_are_not_taken() {
    use FailureClass::{Broken, Invalid, Throttled};

    let status = |status: &str| {
        response(
            status,
            "Content-Type: text/html\r\n",
            "<html>proxy-7.internal</html>",
        )
    };
    let body = |body: &str| response("200 OK", ATOM_TYPE, body);
    let plain = |body: &str| response("200 OK", "Content-Type: text/plain\r\n", body);
    let error_feed = feed(
        "<o:totalResults>1</o:totalResults>",
        "<entry><id>http://arxiv.org/api/errors#x</id><title>Error</title><summary>too long</summary></entry>",
    );
    let html = response(
        "200 OK",
        "Content-Type: text/html\r\n",
        "<html><body>Maintenance</body></html>",
    );
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>, FailureClass, u16, &str)> = vec![
        ("400", status("400 Bad Request"), Invalid, 400, "arXiv refused the search"),
        ("400, error feed", response("400 Bad Request", ATOM_TYPE, &error_feed), Invalid, 400, "arXiv refused the search: too long"),
        ("200, error feed", body(&error_feed), Broken, 502, "arXiv's answer is an error: too long"),
        ("403", status("403 Forbidden"), Broken, 403, "arXiv answered with status 403"),
        ("404", status("404 Not Found"), Broken, 404, "arXiv answered with status 404"),
        ("429", status("429 Too Many Requests"), Throttled, 429, "arXiv asked to slow down (status 429)"),
        ("500", status("500 Oops"), Broken, 500, "arXiv answered with status 500"),
        ("503", status("503 Busy"), Throttled, 503, "arXiv asked to slow down (status 503)"),
        ("502", status("502 Bad Gateway"), Broken, 502, "arXiv answered with status 502"),
        ("418", status("418 Teapot"), Broken, 502, "arXiv answered with status 418"),
        ("204", b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), Broken, 502, "arXiv answered with status 204"),
        ("rate exceeded", plain("Rate exceeded."), Throttled, 429, "arXiv asked to slow down (status 429)"),
        ("rate exceeded, as Atom", body("Rate exceeded."), Throttled, 429, "arXiv asked to slow down (status 429)"),
        ("rate exceeded, as nothing", response("200 OK", "", "Rate exceeded.\n"), Throttled, 429, "arXiv asked to slow down (status 429)"),
        ("plain text", plain("Hello"), Broken, 502, "arXiv's answer is not a feed"),
        ("a feed as plain text", plain(&good_feed()), Broken, 502, "arXiv's answer is not a feed"),
        ("html", html, Broken, 502, "arXiv's answer is not a feed"),
        ("html as Atom", body("<html></html>"), Broken, 502, "arXiv's answer is not a feed"),
        ("empty", body(""), Broken, 502, "arXiv's answer is not a feed"),
        ("malformed", body("<feed><entry></feed>"), Broken, 502, "arXiv's answer is not a feed"),
        ("malformed further on", body(&good_feed().replace("</title>", "</titel>")), Broken, 502, "arXiv's answer is not well-formed"),
        ("broken UTF-8", body(&good_feed()).iter().map(|b| if *b == b'Q' { 0xFF } else { *b }).collect(), Broken, 502, "arXiv's answer is not well-formed"),
        ("truncated", body(&good_feed()[..150]), Broken, 502, "arXiv's answer is not well-formed"),
        ("no total", body(&feed("", "")), Broken, 502, "arXiv's answer does not say how many results there are"),
        ("bad total", body(&feed("<o:totalResults>many</o:totalResults>", "")), Broken, 502, "arXiv's answer does not say how many results there are"),
        ("DOCTYPE", body(&format!("<!DOCTYPE feed [<!ENTITY x 'y'>]>{}", good_feed())), Broken, 502, "arXiv's answer has a document type declaration"),
        ("redirect to nowhere", status("301 Moved"), Broken, 502, "arXiv's answer is a redirect that leads nowhere"),
        ("redirect to itself", response("302 Found", "Location: ?search_query=ti%3A%22C%2B%2B%22+AND+ti%3Agraphs&start=10&max_results=3\r\n", ""), Broken, 502, "arXiv's answer is a redirect too many"),
        ("redirect elsewhere", response("302 Found", "Location: http://elsewhere.invalid/\r\n", ""), Broken, 502, "arXiv's answer is a redirect that leads elsewhere"),
    ];
    for (name, bytes, class, caller_status, text) in cases {
        let server = Server::answering(bytes);
        let error = fetch(server.url()).await.expect_err(name);
        assert_eq!(
            (error.class(), error.caller_status()),
            (class, caller_status),
            "{name}: {error:?}"
        );
        assert!(error.to_string().starts_with(text), "{name}: {error}");
        assert_eq!(server.connections(), 1, "{name}: asked more than once");
        assert_eq!(server.open(), 0, "{name}: the connection is still open");
    }
}

#[tokio::test]
async fn pauses_are_told() {
    let cases = [
        ("429 Too Many Requests", "Retry-After: 17\r\n", Some(17)),
        ("503 Busy", "Retry-After: 0\r\n", Some(0)),
        (
            "503 Busy",
            "Retry-After: Mon, 06 May 2024 17:00:09 GMT\r\n",
            Some(120),
        ),
        ("429 Too Many Requests", "Retry-After: soon\r\n", None),
        ("503 Busy", "", None),
        (
            "200 OK",
            "Content-Type: text/plain\r\nRetry-After: 5\r\n",
            Some(5),
        ),
    ];
    for (status, headers, seconds) in cases {
        let server = Server::answering(response(status, &format!("{DATE}{headers}"), "Rate exceeded."));
        let error = fetch(server.url()).await.unwrap_err();
        assert_eq!(
            error.retry_after(),
            seconds.map(Duration::from_secs),
            "{status} {headers}"
        );
    }
}

#[tokio::test]
async fn no_answer_is_no_connection() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = fetch(format!("http://{address}/").parse().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::Connect(_)), "{error:?}");
    assert_eq!(
        (error.class(), error.caller_status()),
        (FailureClass::Unreachable, 503)
    );
    assert!(!error.to_string().contains("127.0.0.1"), "{error}");

    let error = fetch("http://arxiv.invalid/".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, FetchError::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_breaks() {
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
async fn one_deadline_holds_for_all_of_it() {
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

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_one_by_one() {
    let server = Server::start(|number, mut stream| {
        let bytes = if number < 3 {
            response("301 Moved", &format!("Location: /new/{number}?q\r\n"), "")
        } else {
            good()
        };
        stream.write_all(&bytes).unwrap();
        hold(stream);
    });
    let client = client(server.url());
    let token = CancellationToken::new();
    let mut visit = client.visit(&request());
    for number in 0..3 {
        let Ok(Fetched::Redirect(next)) = client.fetch(visit, &token).await else {
            panic!("no redirect")
        };
        assert_eq!(server.connections(), number + 1, "followed on its own");
        assert_eq!(server.open(), 0);
        visit = next;
    }
    let fetched = client.fetch(visit, &token).await.unwrap();
    assert!(matches!(fetched, Fetched::Answer(answer) if answer.feed.total == 1234));
    assert!(
        server.heads()[3].starts_with("GET /new/2?q HTTP/1.1\r\n"),
        "{:?}",
        server.heads()
    );
}

#[tokio::test]
async fn redirects_come_to_an_end() {
    let server = Server::start(|number, mut stream| {
        stream
            .write_all(&response("307 Moved", &format!("Location: /{number}\r\n"), ""))
            .unwrap();
        hold(stream);
    });
    let error = fetch(server.url()).await.unwrap_err();
    assert_eq!(error.to_string(), "arXiv's answer is a redirect too many");
    assert_eq!(server.connections(), 4);
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
async fn a_feed_of_100_megabytes_is_refused_on_the_way() {
    const MEBIBYTE: usize = 1024 * 1024;
    // What the two sockets hold by themselves.
    const BUFFERS: usize = 12 * MEBIBYTE;
    let entries: String = (0..1000).map(entry).collect();
    let taken = bytes_taken("Connection: close\r\n", entries.clone(), 2 * MEBIBYTE).await;
    assert!(taken < 2 * MEBIBYTE + BUFFERS, "{taken} bytes of entries");
    // Told at once, it is not read at all.
    let taken = bytes_taken("Content-Length: 100000000\r\n", entries, 2 * MEBIBYTE).await;
    assert!(taken < BUFFERS, "{taken} bytes of a known length");
    // One text without an end is given up long before the body's limit.
    let taken = bytes_taken("Connection: close\r\n", "x".repeat(8192), 64 * MEBIBYTE).await;
    assert!(taken < MEBIBYTE + BUFFERS, "{taken} bytes of text");
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
async fn a_cancelled_request_is_closed_when_it_returns() {
    let server = Server::start(|_, stream| hold(stream));
    let client = client(server.url());
    let token = CancellationToken::new();
    let visit = client.visit(&request());
    let fetching = tokio::spawn({
        let token = token.clone();
        async move { client.fetch(visit, &token).await }
    });
    until(|| server.heads().len() == 1).await;
    token.cancel();
    let error = fetching.await.unwrap().unwrap_err();
    assert!(matches!(error, FetchError::Cancelled), "{error:?}");
    assert_eq!(server.open(), 0);
}

#[tokio::test]
async fn a_dropped_request_is_closed_soon() {
    let server = Server::start(|_, stream| hold(stream));
    let client = client(server.url());
    let visit = client.visit(&request());
    let fetching =
        tokio::spawn(async move { client.fetch(visit, &CancellationToken::new()).await.map(drop) });
    until(|| server.heads().len() == 1).await;
    fetching.abort();
    until(|| server.open() == 0).await;
}

#[tokio::test]
async fn a_proxy_is_used_for_everything() {
    let proxy = Server::answering(good());
    let mut url = proxy.url();
    url.set_username("u").unwrap();
    url.set_password(Some("secret")).unwrap();
    let base = "http://arxiv.invalid/api/query".parse().unwrap();
    let client = Client::new(ClientSettings {
        proxy: Some(url),
        ..settings(base)
    })
    .unwrap();
    assert_eq!(fetch_all(&client).await.unwrap().feed.total, 1234);
    let head = &proxy.heads()[0];
    assert!(
        head.starts_with("GET http://arxiv.invalid/api/query?search_query="),
        "{head}"
    );
    assert!(
        head.to_ascii_lowercase().contains("proxy-authorization: basic "),
        "{head}"
    );
    assert_eq!(proxy.open(), 0);
}

/// A server with a certificate of its own for 127.0.0.1, and the certificate.
fn secure_server() -> (Server, String) {
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let pem = key.cert.pem();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private)
            .unwrap();
    let config = Arc::new(config);
    let server = Server::start_raw(Arc::default(), move |stream| {
        let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = rustls::StreamOwned::new(session, stream);
        if !server::read_head(&mut stream).is_empty() {
            let _ = stream.write_all(&good());
        }
    });
    (server, pem)
}

#[tokio::test]
async fn an_upgrade_to_https_is_followed_if_the_certificate_is_trusted() {
    let (secure, pem) = secure_server();
    let location = format!("Location: https://{}/api/query\r\n", secure.address());
    let server = Server::answering(response("301 Moved", &location, ""));

    let error = fetch(server.url()).await.unwrap_err();
    assert!(matches!(error, FetchError::Connect(_)), "{error:?}");

    let bundle = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(bundle.path(), pem).unwrap();
    let settings = ClientSettings {
        ca_bundle: Some(bundle.path().into()),
        ..settings(server.url())
    };
    let answer = fetch_all(&Client::new(settings).unwrap()).await.unwrap();
    assert_eq!(answer.feed.total, 1234);
}

#[test]
fn settings_that_cannot_work_are_told() {
    let base: Url = "http://arxiv.invalid/".parse().unwrap();
    let empty = tempfile::NamedTempFile::new().unwrap();
    let cases = [
        (
            ClientSettings {
                ca_bundle: Some(empty.path().into()),
                ..settings(base.clone())
            },
            "the CA bundle has no readable certificates",
        ),
        (
            ClientSettings {
                ca_bundle: Some("/nowhere".into()),
                ..settings(base.clone())
            },
            "the CA bundle cannot be read",
        ),
        (
            ClientSettings {
                contact: Some("a\nb".into()),
                ..settings(base)
            },
            "the contact has characters that cannot be sent in a User-Agent",
        ),
    ];
    for (settings, text) in cases {
        assert_eq!(
            Client::new(settings)
                .err()
                .map(|error| error.to_string())
                .as_deref(),
            Some(text)
        );
    }
}

#[tokio::test]
async fn many_requests_leave_nothing_behind() {
    let server = Server::answering(good());
    let client = client(server.url());
    let answered = AtomicUsize::new(0);
    for _ in 0..50 {
        fetch_all(&client).await.unwrap();
        answered.fetch_add(1, Ordering::Relaxed);
        assert_eq!(server.open(), 0);
    }
    assert_eq!((answered.into_inner(), server.connections()), (50, 50));
}
