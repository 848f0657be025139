//! `Prefer: handling=strict` (RFC 7240, 4.4): a query parameter that no endpoint of this path knows is an error, where it
//! is passed over else.

use axum::{
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use http::Method;

use crate::error::ApiError;
use wire::{
    declared::Param,
    field_error::{FieldError, FieldErrors, PathSegment},
    headers::prefer::{Preferences, applied},
    json::Json,
    query::QueryString,
};

/// Parameters that an endpoint knows, where they are declared.
pub(crate) type Known = &'static [&'static [Param]];

/// The methods, with reads held to these parameters for whoever prefers it.
pub(crate) fn strict<S: Clone + Send + Sync + 'static>(
    methods: MethodRouter<S>,
    known: Known,
) -> MethodRouter<S> {
    strict_by(methods, move |_| known)
}

/// The same where it depends on the query what it is a request for.
pub(crate) fn strict_by<S: Clone + Send + Sync + 'static>(
    methods: MethodRouter<S>,
    known: impl Fn(&QueryString) -> Known + Clone + Send + Sync + 'static,
) -> MethodRouter<S> {
    methods.layer(from_fn(move |request: Request, next: Next| {
        hold(request, next, known.clone())
    }))
}

async fn hold(request: Request, next: Next, known: impl Fn(&QueryString) -> Known) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads || !Preferences::read(request.headers()).strict {
        return next.run(request).await;
    }
    let query = QueryString::parse(request.uri().query());
    let mut response = match check(&query, known(&query)) {
        Ok(()) => next.run(request).await,
        Err(problems) => ApiError::from(problems).into_response(),
    };
    applied(response.headers_mut(), "handling=strict");
    response
}

fn check(query: &QueryString, known: &[&[Param]]) -> Result<(), FieldErrors> {
    let mut problems = FieldErrors::default();
    for (name, value) in query.pairs() {
        if !known.iter().copied().flatten().any(|param| param.name == name) {
            let loc = [PathSegment::Name("query"), PathSegment::Text(name.to_owned())];
            problems.push(FieldError::extra(&loc, Json::from(value)));
        }
    }
    problems.into_result()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::results::WantedOfOne;

    #[test]
    fn what_is_not_known_is_told() {
        let told = |query: &str| match check(&QueryString::parse(Some(query)), &[WantedOfOne::DECLARED]) {
            Ok(()) => serde_json::json!([]),
            Err(problems) => serde_json::to_value(problems).unwrap(),
        };
        assert_eq!(told(""), serde_json::json!([]));
        assert_eq!(told("page=x&page=1&items_per_page"), serde_json::json!([]));
        assert_eq!(
            told("Page=1&%70age=2&x=%26"),
            serde_json::json!([
                {"type": "extra_forbidden", "loc": ["query", "Page"], "msg": "Extra inputs are not permitted", "input": "1"},
                {"type": "extra_forbidden", "loc": ["query", "x"], "msg": "Extra inputs are not permitted", "input": "&"},
            ])
        );
    }
}
