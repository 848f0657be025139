//! The client against a server that does what arXiv does, and what it should not do.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is a test"
)]

mod answers;
mod configuration;
mod connections;
mod limits;
mod redirects;
mod server;

use std::time::Duration;

use arxiv::{Answer, Client, ClientSettings, FetchError, Fetched, PageRequest, ValidatedSearch, clause};
use server::response;
use tokio_util::sync::CancellationToken;
use url::Url;

const ATOM_TYPE: &str = "Content-Type: application/atom+xml; charset=utf-8\r\n";
const DATE: &str = "Date: Mon, 06 May 2024 16:58:09 GMT\r\n";
const NOW: i64 = 1_715_014_689;

fn search() -> ValidatedSearch {
    let query = clause("ti", "C++ graphs").unwrap();
    ValidatedSearch::new(query, String::new(), "", "")
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
    let mut pending = client.pending(&request());
    loop {
        match client.fetch(pending, &CancellationToken::new()).await? {
            Fetched::Answer(answer) => return Ok(answer),
            Fetched::Redirect(next) => pending = next,
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
