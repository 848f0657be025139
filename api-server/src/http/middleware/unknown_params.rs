//! `Prefer: handling=strict` (RFC 7240, 4.4): a query parameter that the operation does not know is an error. Without it,
//! such a parameter is ignored.

use std::ops::ControlFlow;

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::Method;

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

/// The middleware.
#[derive(Clone, Copy, Debug)]
pub(super) struct RejectUnknownParams(pub(super) AllowedParams);

impl Middleware for RejectUnknownParams {
    /// Whether the client asked for it.
    type Kept = bool;

    fn before(&self, request: &mut Request) -> ControlFlow<Response, bool> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if !reads || !Preferences::read(request.headers()).strict {
            return ControlFlow::Continue(false);
        }
        match check(&QueryString::parse(request.uri().query()), self.0) {
            Ok(()) => ControlFlow::Continue(true),
            Err(errors) => {
                let response = ApiError::from(errors).into_response();
                ControlFlow::Break(self.after(true, response))
            }
        }
    }

    fn after(&self, is_strict: bool, mut response: Response) -> Response {
        if is_strict {
            applied(response.headers_mut(), "handling=strict");
        }
        response
    }
}

fn check(query: &QueryString, allowed: &[&[Param]]) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::default();
    for (name, value) in query.pairs() {
        if !allowed.iter().copied().flatten().any(|param| param.name == name) {
            let loc = [PathSegment::Name("query"), PathSegment::Text(name.to_owned())];
            errors.push(FieldError::extra(&loc, Json::from(value)));
        }
    }
    errors.into_result()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{request::ReadRequest, results::QueryResultsParams};

    #[test]
    fn unknown_params_are_errors() {
        let errors_of =
            |query: &str| match check(&QueryString::parse(Some(query)), QueryResultsParams::PARAMS) {
                Ok(()) => serde_json::json!([]),
                Err(errors) => serde_json::to_value(errors).unwrap(),
            };
        assert_eq!(errors_of(""), serde_json::json!([]));
        assert_eq!(errors_of("page=x&page=1&items_per_page"), serde_json::json!([]));
        assert_eq!(
            errors_of("Page=1&%70age=2&x=%26"),
            serde_json::json!([
                {"type": "extra_forbidden", "loc": ["query", "Page"], "msg": "Extra inputs are not permitted", "input": "1"},
                {"type": "extra_forbidden", "loc": ["query", "x"], "msg": "Extra inputs are not permitted", "input": "&"},
            ])
        );
    }
}
