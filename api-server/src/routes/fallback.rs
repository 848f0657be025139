//! Paths that are no route.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, Uri, header};

use crate::{error::ApiError, routes::route::matches};

/// A redirect for a path with slashes at its end, if the one without is a route; else 404.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_with_slash_at_its_end_redirects_to_the_route() {
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
