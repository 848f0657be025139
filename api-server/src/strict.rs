//! `Prefer: handling=strict` (RFC 7240, 4.4): a query parameter that no endpoint of this path knows is an error, where it
//! is passed over else.

use axum::{
    extract::Request,
    middleware::{Next, from_fn},
    response::IntoResponse,
    routing::MethodRouter,
};
use http::Method;

use crate::{
    error::ApiError,
    prefer::{Preferences, applied},
    wire::{
        declared::Param,
        json::Json,
        problem::{Problem, Problems, Step},
        query::Query,
    },
};

/// The methods, with reads held to these parameters for whoever prefers it.
pub(crate) fn strict<S: Clone + Send + Sync + 'static>(
    methods: MethodRouter<S>,
    known: &'static [&'static [Param]],
) -> MethodRouter<S> {
    methods.layer(from_fn(async move |request: Request, next: Next| {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if !reads || !Preferences::read(request.headers()).strict {
            return next.run(request).await;
        }
        let mut response = match check(request.uri().query(), known) {
            Ok(()) => next.run(request).await,
            Err(problems) => ApiError::from(problems).into_response(),
        };
        applied(&mut response, "handling=strict");
        response
    }))
}

fn check(query: Option<&str>, known: &[&[Param]]) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for (name, value) in Query::parse(query).pairs() {
        if !known.iter().copied().flatten().any(|param| param.name == name) {
            let loc = [Step::Name("query"), Step::Text(name.to_owned())];
            problems.push(Problem::extra(&loc, Json::from(value)));
        }
    }
    problems.into_result()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::WantedOfOne;

    #[test]
    fn what_is_not_known_is_told() {
        let told = |query: &str| match check(Some(query), &[WantedOfOne::DECLARED]) {
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
