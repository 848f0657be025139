//! What all routes have in common: methods that are not allowed, paths that are not there.

use axum::{
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use http::{HeaderValue, StatusCode, Uri, header};

use wire::headers::vary::vary;

use crate::error::{ApiError, Code};

/// Every other method is 405 with this `Allow`.
pub(crate) fn only<S: Clone + Send + Sync + 'static>(
    methods: MethodRouter<S>,
    allow: &'static str,
) -> MethodRouter<S> {
    methods.fallback(move || async move {
        ([(header::ALLOW, HeaderValue::from_static(allow))], not_allowed()).into_response()
    })
}

/// 405 for a HEAD where GET has an effect.
pub(crate) async fn method_not_allowed() -> Response {
    ([(header::ALLOW, HeaderValue::from_static("GET"))], not_allowed()).into_response()
}

fn not_allowed() -> ApiError {
    ApiError::new(Code::MethodNotAllowed, "Method Not Allowed")
}

/// For answers that change each time.
pub(crate) async fn no_store(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// For responses whose form depends on `Accept`.
pub(crate) async fn by_accept(mut response: Response) -> Response {
    vary(response.headers_mut(), "accept");
    response
}

/// A path that is no route: one with slashes at its end leads to the one without, if that is a route; else 404.
pub(crate) fn fallback(paths: &[&'static str], uri: &Uri) -> Response {
    let path = uri.path();
    let bare = path.trim_end_matches('/');
    let is_route = bare != path && paths.iter().any(|route| matches(route, bare));
    let target = match uri.query() {
        Some(query) => format!("{bare}?{query}"),
        None => bare.to_owned(),
    };
    match HeaderValue::from_str(&target) {
        Ok(target) if is_route => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target)]).into_response()
        }
        _ => ApiError::not_found().into_response(),
    }
}

/// Whether a path is one of a route, whose `{name}` stands for any one segment.
fn matches(route: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    route.split('/').all(|expected| {
        segments
            .next()
            .is_some_and(|segment| segment == expected || (expected == "{name}" && !segment.is_empty()))
    }) && segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_end_lead_to_the_route() {
        let paths = ["/results", "/arxiv", "/arxiv/{name}", "/arxiv/{name}/results"];
        let cases = [
            ("/results/", Some("/results")),
            ("/results/?page=1", Some("/results?page=1")),
            ("/results//", Some("/results")),
            ("/arxiv/", Some("/arxiv")),
            ("/arxiv/x/", Some("/arxiv/x")),
            ("/arxiv/x/results/", Some("/arxiv/x/results")),
            ("/", None),
            ("/nope/", None),
            ("/results", None),
            ("//results", None),
            ("//evil.example/", None),
            ("/arxiv/x/y/", None),
        ];
        for (uri, expected) in cases {
            let response = fallback(&paths, &uri.parse().unwrap());
            let location = response
                .headers()
                .get(header::LOCATION)
                .map(|value| value.to_str().unwrap());
            assert_eq!(location, expected, "{uri}");
            let status = if expected.is_some() { 307 } else { 404 };
            assert_eq!(response.status(), status, "{uri}");
        }
    }
}
