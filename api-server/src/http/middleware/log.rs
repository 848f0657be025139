//! The log of requests. Of a call, in the format of the existing service: one line when its parameters are known, and one
//! when its response is ready. A handler takes [`CallLog`] and reports its call to it; component and module of the lines
//! come from the route.

use std::{
    borrow::Cow,
    ops::ControlFlow,
    sync::{Arc, OnceLock},
};

use axum::{
    extract::{FromRequestParts, Request},
    response::Response,
};
use http::{Method, Uri, request::Parts};
use service::logs::Call;

use crate::{error::ApiError, http::middleware::around::Middleware};

/// The log of one request's call, with where the lines say that it comes from: `/arxiv-api` is the backend's module
/// `arxiv_api`, `/arxiv/{name}` the frontend's module `arxiv`.
#[derive(Clone)]
pub(crate) struct CallLog {
    component: &'static str,
    module: Arc<str>,
    /// Set once the parameters are known.
    call: Arc<OnceLock<Call>>,
}

impl CallLog {
    /// For the calls of a route.
    pub(crate) fn new(is_backend: bool, path: &str) -> Self {
        let name = path.split('/').nth(1).unwrap_or_default();
        Self {
            component: if is_backend { "backend" } else { "frontend" },
            module: name.replace('-', "_").into(),
            call: Arc::default(),
        }
    }

    fn origin(&self, call: &Call) -> String {
        format!("{}.{}", self.module, call.name())
    }

    /// Logs the call, at NOTICE.
    pub(crate) fn called(&self, call: Call) {
        let (component, origin) = (self.component, self.origin(&call));
        service::notice!(component, origin, "{call}: called");
        // A handler makes one call.
        let _ = self.call.set(call);
    }
}

/// Logs, at DEBUG, what a request is answered whose call is known.
#[derive(Clone)]
pub(super) struct LogCalls(pub(super) CallLog);

impl Middleware for LogCalls {
    type Kept = Arc<OnceLock<Call>>;

    fn before(&self, request: &mut Request) -> ControlFlow<Response, Self::Kept> {
        let call = Self::Kept::default();
        let log = CallLog {
            call: Arc::clone(&call),
            ..self.0.clone()
        };
        request.extensions_mut().insert(log);
        ControlFlow::Continue(call)
    }

    fn after(&self, call: Self::Kept, response: Response) -> Response {
        if let Some(call) = call.get() {
            let (component, origin, status) = (self.0.component, self.0.origin(call), response.status());
            tracing::debug!(component, origin, "{call}: returning {status}");
        }
        response
    }
}

impl<S: Sync> FromRequestParts<S> for CallLog {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // The middleware is around every route of the table.
        parts.extensions.get().cloned().ok_or_else(ApiError::internal)
    }
}

/// Most bytes of a path and query in the log; the rest is cut off.
const MAX_LOGGED_TARGET: usize = 600;
/// The same of a method: clients may send any word.
const MAX_LOGGED_METHOD: usize = 20;

/// Logs a request that is answered with a 4xx: it may have reached no handler and so left no other line.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogRefusals;

impl Middleware for LogRefusals {
    /// Cheap to keep, and formatted only for what is refused.
    type Kept = (Method, Uri);

    fn before(&self, request: &mut Request) -> ControlFlow<Response, Self::Kept> {
        ControlFlow::Continue((request.method().clone(), request.uri().clone()))
    }

    fn after(&self, (method, uri): Self::Kept, response: Response) -> Response {
        if response.status().is_client_error() {
            let (line, status) = (request_line(&method, &uri), response.status().as_u16());
            service::notice!(origin = "http", "{line}: answered with {status}");
        }
        response
    }
}

/// The request's first line, without the version.
fn request_line(method: &Method, uri: &Uri) -> String {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let (method, target) = (
        cut(method.as_str(), MAX_LOGGED_METHOD),
        cut(target, MAX_LOGGED_TARGET),
    );
    format!("{method} {target}")
}

/// At most so many bytes, and a sign that the rest is cut off. Clients may send UTF-8 that is not percent-encoded.
fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text.into();
    }
    let (start, _) = text.split_at(text.floor_char_boundary(most));
    format!("{start}…").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logged_line_is_short_whatever_a_client_sends() {
        let long = format!("/{}", "é".repeat(3000));
        for target in [
            long.clone(),
            format!("/{}{long}", "x".repeat(598)),
            format!("/{}", "x".repeat(6000)),
        ] {
            for method in ["GET".to_owned(), "M".repeat(5000)] {
                let (method, uri) = (method.parse().unwrap(), target.parse().unwrap());
                let line = request_line(&method, &uri);
                let most = MAX_LOGGED_METHOD + 1 + MAX_LOGGED_TARGET + 2 * "…".len();
                assert!((600..=most).contains(&line.len()), "{}", line.len());
                assert!(line.ends_with('…'), "{line}");
            }
        }
        let uri = "/arxiv?title=x".parse().unwrap();
        assert_eq!(request_line(&Method::GET, &uri), "GET /arxiv?title=x");
    }

    #[test]
    fn component_and_module_come_from_the_route() {
        for (path, component, origin) in [
            ("/arxiv", "frontend", "arxiv.f"),
            ("/arxiv/{name}/events", "frontend", "arxiv.f"),
            ("/queries", "frontend", "queries.f"),
            ("/arxiv-api", "backend", "arxiv_api.f"),
            ("/get-sequence", "backend", "get_sequence.f"),
            ("/read-results", "backend", "read_results.f"),
        ] {
            let log = CallLog::new(component == "backend", path);
            assert_eq!(log.component, component, "{path}");
            assert_eq!(log.origin(&Call::new("f")), origin, "{path}");
        }
    }
}
