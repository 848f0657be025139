//! Problem details (RFC 9457): the other form of an error, for clients that accept `application/problem+json`.

use std::{borrow::Cow, sync::Arc};

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;

use crate::{
    error::code::TYPE_PREFIX,
    error::{ApiError, Detail},
};
use wire::{field_error::FieldErrors, headers::accept::wanted, headers::vary::vary};

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Whether a client wants errors as problem details: if it wants them more than plain JSON, or names them and wants
/// them no less. Who wants anything (`*/*`) or says nothing gets the wire format.
pub(crate) fn prefers_problem_details(headers: &HeaderMap) -> bool {
    if !headers.contains_key(header::ACCEPT) {
        return false;
    }
    let problem = wanted(headers, "application/problem+json");
    let json = wanted(headers, "application/json");
    problem.quality > json.quality
        || (problem.by_name && problem.quality > 0 && problem.quality == json.quality)
}

/// An answer in the form that the client accepts; all but errors as they are. `address`: makes the
/// address of an error's subject from its path.
pub(crate) fn negotiated(
    mut response: Response,
    problem_details: bool,
    request_id: Option<&str>,
    address: impl Fn(&str) -> String,
) -> Response {
    // It stays in the extensions for the metrics.
    let Some(error) = response.extensions().get::<Arc<ApiError>>().cloned() else {
        return response;
    };
    let headers = response.headers_mut();
    vary(headers, "accept");
    if !problem_details {
        return response;
    }
    // What is written holds no map with other keys than texts, so this cannot fail.
    let Ok(body) = serde_json::to_vec(&ProblemDetails {
        request_id,
        ..ProblemDetails::of(&error, address)
    }) else {
        return response;
    };
    headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
    headers.remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(body);
    response
}

impl ApiError {
    /// What a client reads that prefers problem details, as an example.
    pub(crate) fn problem_details(&self) -> serde_json::Value {
        serde_json::to_value(ProblemDetails::of(self, str::to_owned)).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct ProblemDetails<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    code: &'static str,
    /// By which the request is found in the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    /// What is wrong with the request, one by one, as in the wire format's `detail`.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a FieldErrors>,
}

impl<'a> ProblemDetails<'a> {
    fn of(error: &'a ApiError, address: impl Fn(&str) -> String) -> Self {
        let (detail, errors) = match &error.detail {
            Detail::Text(text) => (Cow::from(text), None),
            Detail::FieldErrors(problems) => (Cow::from(problems.to_string()), Some(problems)),
        };
        Self {
            kind: format!("{TYPE_PREFIX}{}", error.code.as_str()),
            title: error.code.title(),
            status: error.status.as_u16(),
            detail,
            instance: error.instance.as_deref().map(address),
            code: error.code.as_str(),
            request_id: None,
            errors,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::*;
    use wire::field_error::FieldError;

    #[test]
    fn problem_details_are_for_those_who_accept_them() {
        let cases = [
            ("", false),
            ("*/*", false),
            ("application/*", false),
            ("application/json", false),
            ("text/html, */*;q=0.8", false),
            ("application/problem+json", true),
            ("application/problem+json, application/json", true),
            ("application/json, application/problem+json", true),
            ("application/json, application/problem+json;q=0.9", false),
            ("application/json;q=0.8, application/problem+json;q=0.9", true),
            ("application/problem+json;q=0.1, */*;q=0.05", true),
            ("application/problem+json, */*", true),
            ("application/problem+json;q=0, */*", false),
            ("application/json;q=0, */*", true),
            ("text/csv, application/problem+json;q=0.1", true),
            ("application/problem+xml", false),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(value));
            assert_eq!(prefers_problem_details(&headers), expected, "{value}");
        }
        assert!(!prefers_problem_details(&HeaderMap::new()));
    }

    async fn shown(error: ApiError) -> Value {
        let response = negotiated(error.into_response(), true, Some("r-1"), |path| {
            format!("/api{path}")
        });
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn members_are_those_of_the_standard_and_ours() {
        assert_eq!(
            shown(ApiError::nothing_found().about("/arxiv/x")).await,
            json!({
                "type": "tag:arxiv-operator.dev,2026:error/nothing_found", "title": "Nothing found",
                "status": 404, "detail": "No results found for the given search parameters",
                "instance": "/api/arxiv/x", "code": "nothing_found", "request_id": "r-1",
            })
        );
        let mut problems = FieldErrors::from(FieldError::missing(&["body".into(), "rows".into(), 3.into()]));
        problems.push(FieldError::missing(&["query".into(), "b".into()]));
        let details = shown(problems.into()).await;
        assert_eq!(details["detail"], "body.rows.3: Field required; and 1 more");
        assert_eq!(details["code"], "invalid_parameter");
        assert_eq!(details["errors"][1]["loc"], json!(["query", "b"]));
    }

    #[tokio::test]
    async fn others_get_the_wire_format() {
        let response = negotiated(
            ApiError::nothing_found().into_response(),
            false,
            Some("r-1"),
            str::to_owned,
        );
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(response.headers()[header::VARY], "accept");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let expected = r#"{"detail":"No results found for the given search parameters"}"#;
        assert_eq!(body, expected);
    }
}
