//! Web pages: the search page at /, Swagger UI at /docs, `ReDoc` at /redoc. Everything that they load is part of this
//! program.

mod asset;
mod form;

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use crd::fields::Field;
use http::{HeaderMap, header};

use crate::{error::ApiError, http::allow_methods};
use wire::{headers::vary::vary, root_path::RootPath};

pub(crate) const DOCS_PATH: &str = "/docs";
pub(crate) const REDOC_PATH: &str = "/redoc";

/// An HTML page, and what it may load.
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
    /// The page under a prefix, to which its links are relative.
    fn under(&self, root: &RootPath, first_fields: &[&Field]) -> impl IntoResponse + Clone + use<> {
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, self.policy),
            (header::REFERRER_POLICY, "same-origin"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        let text = form::filled(self.text, first_fields).replace("{{root}}", root.as_str());
        (headers, Bytes::from(text))
    }
}

/// The documentation; and, where what it calls is served, the search page with these fields first.
pub(crate) fn routes(root: &RootPath, first_fields: Option<&[&Field]>) -> Router {
    let (docs, redoc) = (DOCS.under(root, &[]), REDOC.under(root, &[]));
    let router = Router::new()
        .route(DOCS_PATH, allow_methods(get(move || async move { docs }), "GET"))
        .route(
            REDOC_PATH,
            allow_methods(get(move || async move { redoc }), "GET"),
        )
        .route("/assets/{name}", allow_methods(get(read_asset), "GET"));
    let Some(first_fields) = first_fields else {
        return router;
    };
    let search = SEARCH.under(root, first_fields);
    let index = move |headers: HeaderMap| async move {
        let mut response = if wants_html(&headers) {
            search.into_response()
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
