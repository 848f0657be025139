//! The log of calls, in the format of the existing service: one line when the parameters of a request are known, and one
//! when its response is ready.
//!
//! A handler takes [`CallLog`] and reports its call to it; component and module of the lines come from the route.

use std::sync::{Arc, OnceLock};

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::Response,
};
use http::request::Parts;
use service::logs::Call;

use crate::error::ApiError;

/// The log of one request's call.
#[derive(Clone)]
pub(crate) struct CallLog(Arc<Entry>);

struct Entry {
    source: CallSource,
    /// Set once the parameters are known.
    call: OnceLock<Call>,
}

/// Where calls of a route come from, as the lines say it: `/arxiv-api` is the backend's module `arxiv_api`,
/// `/arxiv/{name}` the frontend's module `arxiv`.
#[derive(Clone)]
pub(crate) struct CallSource {
    component: &'static str,
    module: Arc<str>,
}

impl CallSource {
    pub(crate) fn new(is_backend: bool, path: &str) -> Self {
        let name = path.split('/').nth(1).unwrap_or_default();
        Self {
            component: if is_backend { "backend" } else { "frontend" },
            module: name.replace('-', "_").into(),
        }
    }
}

impl CallLog {
    fn new(source: CallSource) -> Self {
        Self(Arc::new(Entry {
            source,
            call: OnceLock::new(),
        }))
    }

    fn origin(&self, call: &Call) -> String {
        format!("{}.{}", self.0.source.module, call.name())
    }

    /// Logs the call, at NOTICE.
    pub(crate) fn called(&self, call: Call) {
        let component = self.0.source.component;
        service::notice!(component, origin = self.origin(&call), "{call}: called");
        // A handler makes one call.
        let _ = self.0.call.set(call);
    }

    /// Logs, at DEBUG, what a request is answered whose call is known.
    fn returning(&self, response: &Response) {
        if let Some(call) = self.0.call.get() {
            let (component, status) = (self.0.source.component, response.status());
            tracing::debug!(
                component,
                origin = self.origin(call),
                "{call}: returning {status}"
            );
        }
    }
}

/// The middleware.
pub(super) async fn log_calls(
    State(source): State<CallSource>,
    mut request: Request,
    next: Next,
) -> Response {
    let log = CallLog::new(source);
    request.extensions_mut().insert(log.clone());
    let response = next.run(request).await;
    log.returning(&response);
    response
}

impl<S: Sync> FromRequestParts<S> for CallLog {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // The middleware is around every route of the table.
        parts.extensions.get().cloned().ok_or_else(ApiError::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let log = CallLog::new(CallSource::new(component == "backend", path));
            assert_eq!(log.0.source.component, component, "{path}");
            assert_eq!(log.origin(&Call::new("f")), origin, "{path}");
        }
    }
}
