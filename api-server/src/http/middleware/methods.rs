//! What all routes have in common: methods that are not allowed, paths that are not there.

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use http::{HeaderValue, StatusCode, Uri, header};

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

/// A path as it is meant: letters, digits, `-`, `.`, `_` and `~` mean the same percent-encoded (RFC 3986, 2.3).
pub(crate) async fn plainly_written(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.contains('%')
        && let Some(plain) = decoded(path)
    {
        let target = match request.uri().query() {
            Some(query) => format!("{plain}?{query}"),
            None => plain,
        };
        let mut parts = request.uri().clone().into_parts();
        if let Ok(target) = target.parse() {
            parts.path_and_query = Some(target);
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
    }
    request
}

/// The path without needless encoding, if there is any.
fn decoded(path: &str) -> Option<String> {
    let mut plain = String::with_capacity(path.len());
    let mut changed = false;
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, encoded) = rest.split_at(at);
        plain.push_str(before);
        let byte = encoded.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                plain.push(char::from(byte));
                changed = true;
                rest = encoded.get(3..).unwrap_or_default();
            }
            _ => {
                plain.push('%');
                rest = encoded.get(1..).unwrap_or_default();
            }
        }
    }
    plain.push_str(rest);
    changed.then_some(plain)
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
    fn needless_encoding_is_taken_away() {
        for (path, plain) in [
            ("/%72esults", Some("/results")),
            ("/r%65sult%73", Some("/results")),
            ("/%7E%2D%5f%2E", Some("/~-_.")),
            ("/results", None),
            ("/arxiv/a%2Fb", None),
            ("/a%2fb%61", Some("/a%2fba")),
            ("/%", None),
            ("/%7", None),
            ("/%zz%+1%C3%A9", None),
            ("/%2572", None),
        ] {
            assert_eq!(decoded(path).as_deref(), plain, "{path}");
        }
    }

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
