//! Query parameters that an operation does not know. Where the existing service ignores them they are ignored, and reported in a
//! header; with `Prefer: handling=strict` (RFC 7240, 4.4), and at the operations that the existing service has not, they are an
//! error.

use std::ops::ControlFlow;

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{error::ApiError, http::middleware::around::Middleware};
use wire::{
    declared::Param,
    field_error::{FieldError, FieldErrors, PathSegment},
    headers::prefer::{Preferences, applied},
    json::Json,
    query::QueryString,
};

/// The parameters that an operation allows, where they are declared.
pub(crate) type AllowedParams = &'static [&'static [Param]];

/// The names of ignored parameters, percent-encoded, with commas between.
const IGNORED: HeaderName = HeaderName::from_static("arxiv-ignored-parameters");
/// Longer lists end with `…`, encoded as the names are.
const MAX_IGNORED_CHARS: usize = 500;

/// The middleware.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnknownParams {
    pub(super) allowed: AllowedParams,
    /// Whether they are an error whatever the client prefers.
    pub(super) refused: bool,
}

/// What the response says of it.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Report {
    Nothing,
    /// The client asked for it.
    Strict,
    Ignored(HeaderValue),
}

impl Middleware for UnknownParams {
    type Kept = Report;

    fn before(&self, request: &mut Request) -> ControlFlow<Response, Report> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let is_strict = reads && Preferences::read(request.headers()).strict;
        let kept = if is_strict {
            Report::Strict
        } else {
            Report::Nothing
        };
        let query = QueryString::parse(request.uri().query());
        let mut unknown = unknown(&query, self.allowed).peekable();
        if unknown.peek().is_none() {
            return ControlFlow::Continue(kept);
        }
        if self.refused || is_strict {
            let response = ApiError::from(errors(unknown)).into_response();
            return ControlFlow::Break(self.after(kept, response));
        }
        let names = names(unknown.map(|(name, _)| name));
        tracing::info!(parameters = names, "unknown query parameters are ignored");
        let names = HeaderValue::from_str(&names);
        ControlFlow::Continue(names.map_or(Report::Nothing, Report::Ignored))
    }

    fn after(&self, report: Report, mut response: Response) -> Response {
        match report {
            Report::Nothing => {}
            Report::Strict => applied(response.headers_mut(), "handling=strict"),
            Report::Ignored(names) => {
                response.headers_mut().insert(IGNORED, names);
            }
        }
        response
    }
}

/// Names and values of the parameters that are not allowed.
fn unknown(query: &QueryString, allowed: AllowedParams) -> impl Iterator<Item = (&str, &str)> {
    let known = |name: &str| allowed.iter().copied().flatten().any(|param| param.name == name);
    query.pairs().filter(move |(name, _)| !known(name))
}

fn errors<'q>(unknown: impl Iterator<Item = (&'q str, &'q str)>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (name, value) in unknown {
        let loc = [PathSegment::Name("query"), PathSegment::Text(name.to_owned())];
        errors.push(FieldError::extra(&loc, Json::from(value)));
    }
    errors
}

/// Each name once, as far as they fit.
fn names<'q>(unknown: impl Iterator<Item = &'q str>) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut length = 0;
    for name in unknown {
        // The usual names stay readable.
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
        let name = name.replace("%5F", "_").replace("%2D", "-");
        if name.is_empty() || names.contains(&name) {
            continue;
        }
        length += name.len() + 2;
        if length > MAX_IGNORED_CHARS {
            names.push("%E2%80%A6".to_owned());
            break;
        }
        names.push(name);
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{request::ReadRequest, results::QueryResultsParams};

    fn unknown_in(query: &str) -> (serde_json::Value, String) {
        let query = QueryString::parse(Some(query));
        let unknown = || unknown(&query, QueryResultsParams::PARAMS);
        let errors = serde_json::to_value(errors(unknown())).unwrap();
        (errors, names(unknown().map(|(name, _)| name)))
    }

    #[test]
    fn unknown_params_are_errors_or_reported() {
        assert_eq!(unknown_in(""), (serde_json::json!([]), String::new()));
        assert_eq!(unknown_in("page=x&page=1&items_per_page").1, "");
        assert_eq!(
            unknown_in("Page=1&%70age=2&x=%26"),
            (
                serde_json::json!([
                    {"type": "extra_forbidden", "loc": ["query", "Page"], "msg": "Extra inputs are not permitted", "input": "1"},
                    {"type": "extra_forbidden", "loc": ["query", "x"], "msg": "Extra inputs are not permitted", "input": "&"},
                ]),
                "Page, x".to_owned()
            )
        );
        assert_eq!(
            unknown_in("start_tiem=1&start_tiem=2&a%0D%0Ab&%C3%A9&=x&a,b").1,
            "start_tiem, a%0D%0Ab, %C3%A9, a%2Cb"
        );
        let many: Vec<_> = (0..1000).map(|n| format!("parameter{n}")).collect();
        let names = unknown_in(&many.join("&")).1;
        assert!(
            names.len() < MAX_IGNORED_CHARS + 20 && names.ends_with(", %E2%80%A6"),
            "{names}"
        );
    }
}
