//! Web pages: the search page at /, Swagger UI at /docs, `ReDoc` at /redoc. Everything that they load is part of this
//! program.

mod asset;
mod form;

use std::sync::Arc;

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, header};

use crate::{error::ApiError, http::allow_methods};
use wire::{headers::vary::vary, root_path::RootPath};

pub(crate) const DOCS_PATH: &str = "/docs";
pub(crate) const REDOC_PATH: &str = "/redoc";

const HTML: &str = "text/html; charset=utf-8";

/// An HTML page, complete but for the prefix, and what it may load.
struct Page {
    text: &'static str,
    policy: &'static str,
}

const SEARCH: Page = Page {
    text: include_str!("static/index.html"),
    policy: "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'; base-uri 'self'; frame-ancestors 'none'",
};
/// Swagger UI writes styles into its elements, and has its icons in its style sheet.
const DOCS: Page = Page {
    text: include_str!("static/docs.html"),
    policy: "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
             font-src data:; connect-src 'self'; form-action 'none'; base-uri 'self'; frame-ancestors 'none'",
};
/// `ReDoc` creates its style sheet at run time, and searches in a worker that it creates from a text.
const REDOC: Page = Page {
    text: include_str!("static/redoc.html"),
    policy: "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
             font-src data:; connect-src 'self'; worker-src blob:; form-action 'none'; base-uri 'self'; \
             frame-ancestors 'none'",
};

impl Page {
    /// The page under a prefix. Its links are relative to the prefix.
    fn under(&self, root: &RootPath) -> impl Fn() -> Response + Clone + Send + Sync + 'static {
        let text: Arc<str> = form::filled(self.text).replace("{{root}}", root.as_str()).into();
        let policy = self.policy;
        move || {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static(HTML)),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
                (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
                (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
                (
                    header::X_CONTENT_TYPE_OPTIONS,
                    HeaderValue::from_static("nosniff"),
                ),
            ];
            (headers, text.to_string()).into_response()
        }
    }
}

/// The documentation, and the search page where what it calls is served.
pub(crate) fn routes(root: &RootPath, searchable: bool) -> Router {
    let (docs, redoc) = (DOCS.under(root), REDOC.under(root));
    let router = Router::new()
        .route(
            DOCS_PATH,
            allow_methods(get(move || async move { docs() }), "GET"),
        )
        .route(
            REDOC_PATH,
            allow_methods(get(move || async move { redoc() }), "GET"),
        )
        .route("/assets/{name}", allow_methods(get(read_asset), "GET"));
    if !searchable {
        return router;
    }
    let search = SEARCH.under(root);
    let index = move |headers: HeaderMap| async move {
        let mut response = if wants_html(&headers) {
            search()
        } else {
            // As the existing service responds to clients of the API.
            ApiError::not_found().into_response()
        };
        vary(response.headers_mut(), "accept");
        response
    };
    router.route("/", allow_methods(get(index), "GET"))
}

async fn read_asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    asset::asset(&name, &headers)
}

/// Browsers name it; other clients say `*/*`, or nothing.
fn wants_html(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains("text/html"))
}
