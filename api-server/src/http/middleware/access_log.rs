//! The access log: one line for each request, when the last byte of its response was handed over or when it ended early.
//! docs/logging.md describes the fields. No line is longer than some 2 KB, whatever clients send.

use std::{sync::Arc, time::Instant};

use axum::{
    body::HttpBody,
    extract::{MatchedPath, Request},
    response::Response,
};
use http::{Method, StatusCode, Uri};
use service::logs::ACCESS_TARGET;
use tracing::{Level, Span};

use super::limits::is_exempt;
use crate::{
    auth::correlation::Correlation,
    error::ApiError,
    jobs::client_key::ClientKey,
    limits::client::{Client, ClientAddress},
};

/// Most bytes of a path with its query; the rest is cut off.
const MAX_TARGET: usize = 600;
/// The same of a method: clients may send any word.
const MAX_METHOD: usize = 20;
/// The same of an object's name: Kubernetes knows no longer ones, and clients may send any text.
const MAX_NAME: usize = 253;
/// The same of a user's name, with which the token of another system may come.
const MAX_CLIENT: usize = 300;

/// How clients are named that are known only by their addresses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum ShownAddress {
    /// By the keyed hash that is also the label `arxiv-operator.dev/client` of their objects.
    #[default]
    Hash,
    /// By the address itself; of IPv6, by the network of 64 bits.
    Address,
    /// Not at all.
    None,
}

/// What the lines say of clients.
#[derive(Clone)]
pub(crate) struct AccessLog {
    shown: ShownAddress,
    key: Arc<ClientKey>,
}

impl AccessLog {
    /// `key`: of the hash.
    pub(crate) fn new(shown: ShownAddress, key: Arc<ClientKey>) -> Self {
        Self { shown, key }
    }

    /// The line of this request, if it is written at all. `span`: whose fields it has, too.
    pub(super) fn begin(&self, request: &Request, correlation: &Correlation, span: &Span) -> Option<Entry> {
        let is_probe = is_exempt(request.uri());
        let is_written = if is_probe {
            tracing::enabled!(target: ACCESS_TARGET, Level::DEBUG)
        } else {
            tracing::enabled!(target: ACCESS_TARGET, Level::INFO)
        };
        is_written.then(|| Entry {
            log: self.clone(),
            span: span.clone(),
            correlation: correlation.clone(),
            begun: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            route: request.extensions().get().cloned(),
            address: request.extensions().get().cloned(),
            is_probe,
            status: None,
            code: None,
            bytes: 0,
            end: None,
        })
    }

    /// The client as the line names it.
    fn client(&self, client: &Client) -> Option<String> {
        if client.user_name().is_some() {
            return Some(cut(client.key(), MAX_CLIENT));
        }
        match self.shown {
            ShownAddress::Hash => Some(format!("hash:{}", self.key.known_label(client)?)),
            ShownAddress::Address => Some(client.key().to_owned()),
            ShownAddress::None => None,
        }
    }
}

/// The line of one request, written when this is dropped.
pub(super) struct Entry {
    log: AccessLog,
    span: Span,
    correlation: Correlation,
    begun: Instant,
    method: Method,
    uri: Uri,
    route: Option<MatchedPath>,
    address: Option<ClientAddress>,
    is_probe: bool,
    status: Option<StatusCode>,
    code: Option<&'static str>,
    bytes: u64,
    /// Why it has ended; none if the client left.
    end: Option<&'static str>,
}

const COMPLETE: &str = "complete";

impl Entry {
    /// The head of the response is there.
    pub(super) fn answered(&mut self, response: &Response) {
        self.status = Some(response.status());
        let error = response.extensions().get::<Arc<ApiError>>();
        self.code = error.map(|error| error.code().as_str());
        // A body that is empty, or that is not sent, is not asked for its end.
        self.set_complete(self.method == Method::HEAD || response.body().is_end_stream());
    }

    /// So many bytes of the body were handed over.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    pub(super) fn set_complete(&mut self, is_complete: bool) {
        if is_complete {
            self.end = Some(COMPLETE);
        }
    }

    /// The response has failed after its head.
    pub(super) fn set_broken_off(&mut self) {
        self.end = Some("broken_off");
    }

    /// The object that the request is about.
    fn object(&self) -> Option<String> {
        let noted = self.correlation.object();
        let in_path = || {
            let route = self.route.as_ref()?.as_str();
            let at = route.split('/').position(|segment| segment == "{name}")?;
            self.uri.path().split('/').nth(at)
        };
        Some(cut(noted.or_else(in_path)?, MAX_NAME))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let address = self.address.as_ref().map(|address| &address.0);
        let client = self.correlation.client().or(address);
        let client = client.and_then(|client| self.log.client(client));
        let status = self.status.map(|status| status.as_u16());
        // What was asked for, where it is not what the route says.
        let target = self.status.filter(StatusCode::is_client_error).map(|_| {
            let target = self.uri.path_and_query().map_or("", |target| target.as_str());
            cut(target, MAX_TARGET)
        });
        let object = self.object();
        let end = match self.end {
            Some(COMPLETE) => self.correlation.end().unwrap_or(COMPLETE),
            Some(end) => end,
            None => "client_left",
        };
        let millis = (self.begun.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        macro_rules! write_at {
            ($level:expr) => {
                tracing::event!(
                    target: ACCESS_TARGET,
                    parent: &self.span,
                    $level,
                    origin = ACCESS_TARGET,
                    method = cut(self.method.as_str(), MAX_METHOD),
                    route = self.route.as_ref().map_or("other", MatchedPath::as_str),
                    object,
                    status,
                    code = self.code,
                    duration_ms = millis,
                    bytes = self.bytes,
                    client,
                    end,
                    request_target = target,
                    "request ended"
                )
            };
        }
        if self.is_probe {
            write_at!(Level::DEBUG);
        } else {
            write_at!(Level::INFO);
        }
    }
}

/// At most so many bytes, and a sign that the rest is cut off. Clients may send UTF-8 that is not percent-encoded.
fn cut(text: &str, most: usize) -> String {
    let (start, rest) = text.split_at(text.floor_char_boundary(most));
    let more = if rest.is_empty() { "" } else { "…" };
    format!("{start}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_text_is_short_whatever_a_client_sends() {
        for text in [
            format!("/{}", "é".repeat(3000)),
            format!("/{}é", "x".repeat(598)),
            "x".repeat(6000),
        ] {
            let short = cut(&text, MAX_TARGET);
            assert!((MAX_TARGET - 1..=MAX_TARGET + "…".len()).contains(&short.len()));
            assert!(short.ends_with('…'), "{short}");
        }
        assert_eq!(cut("/arxiv?title=x", MAX_TARGET), "/arxiv?title=x");
    }
}
