//! What arXiv answers, and what becomes of it.

use std::io::Write;
use std::time::Duration;

use arxiv::FailureClass;
use async_compression::tokio::bufread::ZstdEncoder;
use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use tokio::io::AsyncReadExt;

use crate::server::{Server, response};
use crate::{ATOM_TYPE, DATE, NOW, feed, fetch, good, good_feed};

#[tokio::test]
async fn page_is_requested_and_parsed() {
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
    assert!(head.contains("\r\naccept-encoding: gzip\r\n"), "{head}");
}

/// An answer with this body and these headers.
fn packed(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\n{ATOM_TYPE}{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

async fn zstd(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ZstdEncoder::new(body).read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a table")]
async fn compressed_answer_is_read_within_the_same_limits() {
    let feed = good_feed().into_bytes();
    let bomb = gzip(&[feed.clone(), vec![b' '; 64 * 1024 * 1024]].concat());
    assert!(bomb.len() < 1024 * 1024);
    let cases = [
        (
            "gzip",
            packed("Content-Encoding: gzip\r\n", &gzip(&feed)),
            Ok(1234),
        ),
        (
            "x-gzip",
            packed("Content-Encoding: X-GZIP\r\n", &gzip(&feed)),
            Ok(1234),
        ),
        (
            "identity",
            packed("Content-Encoding: identity\r\n", &feed),
            Ok(1234),
        ),
        (
            "in two members",
            packed(
                "Content-Encoding: gzip\r\n",
                &[gzip(&feed[..99]), gzip(&feed[99..])].concat(),
            ),
            Ok(1234),
        ),
        (
            "an unknown coding",
            packed("Content-Encoding: br\r\n", &feed),
            Err("arXiv's answer has an unknown content encoding"),
        ),
        (
            "deflate",
            packed("Content-Encoding: deflate\r\n", &zlib(&feed)),
            Ok(1234),
        ),
        (
            "deflate without the head of zlib",
            packed("Content-Encoding: deflate\r\n", &deflate(&feed)),
            Ok(1234),
        ),
        (
            "zstd in two frames",
            packed(
                "Content-Encoding: zstd\r\n",
                &[zstd(&feed[..99]).await, zstd(&feed[99..]).await].concat(),
            ),
            Ok(1234),
        ),
        ("gzip, and not said", packed("", &gzip(&feed)), Ok(1234)),
        (
            "two codings",
            packed(
                "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n",
                &gzip(&gzip(&feed)),
            ),
            Ok(1234),
        ),
        (
            "two codings in one line",
            packed(
                "Content-Encoding: deflate, identity, gzip\r\n",
                &gzip(&zlib(&feed)),
            ),
            Ok(1234),
        ),
        (
            "three codings",
            packed(
                "Content-Encoding: gzip, gzip, gzip\r\n",
                &gzip(&gzip(&gzip(&feed))),
            ),
            Err("arXiv's answer has an unknown content encoding"),
        ),
        (
            "a bomb in two codings",
            packed("Content-Encoding: gzip, gzip\r\n", &gzip(&bomb)),
            Err("arXiv's answer is too large"),
        ),
        (
            "not what it says",
            packed("Content-Encoding: gzip\r\n", &feed),
            Err("arXiv's answer is not well-formed: its compression is broken"),
        ),
        (
            "cut off",
            packed("Content-Encoding: gzip\r\n", &gzip(&feed)[..99]),
            Err("the connection to arXiv broke within the answer"),
        ),
        (
            "a bomb",
            packed("Content-Encoding: gzip\r\n", &bomb),
            Err("arXiv's answer is too large"),
        ),
    ];
    for (name, bytes, expected) in cases {
        let server = Server::answering(bytes);
        let answer = fetch(server.url()).await.map(|answer| answer.feed.total);
        let answer = answer.map_err(|error| error.to_string());
        assert_eq!(
            answer.as_ref().map_err(String::as_str),
            expected.as_ref().map_err(|text| *text),
            "{name}"
        );
    }
}

#[tokio::test]
async fn usable_answer_is_accepted() {
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
async fn unusable_answer_is_an_error_of_its_class() {
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
        ("200, error feed about the search", body(&error_feed.replace("too long", "incorrect id format for x")), Invalid, 400, "arXiv refused the search: incorrect id format for x"),
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
async fn retry_after_is_part_of_the_throttling_error() {
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
