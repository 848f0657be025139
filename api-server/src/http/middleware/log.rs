//! The log of calls, in the format of the existing service: one line when its parameters are known, and one
//! when its response is ready. A handler takes [`CallLog`] and reports its call to it; component and module of the lines
//! come from the route.

use std::{
    ops::ControlFlow,
    sync::{Arc, OnceLock},
};

use axum::{
    extract::{FromRequestParts, Request},
    response::Response,
};
use http::request::Parts;
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
        let component = self.component;
        service::notice!(component, origin = self.origin(&call), "{call}: called");
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
            let (component, status) = (self.0.component, response.status());
            tracing::debug!(
                component,
                origin = self.0.origin(call),
                "{call}: returning {status}"
            );
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
            let log = CallLog::new(component == "backend", path);
            assert_eq!(log.component, component, "{path}");
            assert_eq!(log.origin(&Call::new("f")), origin, "{path}");
        }
    }
}
