//! Every error answer: `{"detail": …}`, never with anything of the inside.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use storage::StorageError;

use crate::wire::problem::Problems;

/// When to come back after a 503 that is nobody's turn: databases and Kubernetes are usually back in seconds.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The one text for whatever is away, so that nothing tells which part it is.
const UNAVAILABLE: &str = "The service is temporarily unavailable, try again later";

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    detail: Detail,
    retry_after: Option<Duration>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Detail {
    Text(String),
    Problems(Problems),
}

impl ApiError {
    /// Any status with a text for people.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: Detail::Text(detail.into()),
            retry_after: None,
        }
    }

    /// 400
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 404, of a path.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    /// 404, of a search: arXiv knows no such paper.
    pub(crate) fn nothing_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "No results found for the given search parameters",
        )
    }

    /// 503: something that we need is away.
    pub(crate) fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE).retry_after(RETRY_AFTER)
    }

    /// 429: a bound of ours is reached.
    pub(crate) fn too_many(detail: &str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(RETRY_AFTER)
    }

    /// 500
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }

    /// Tells when to come back.
    #[must_use]
    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What the client reads, as a test looks into it.
    #[cfg(test)]
    pub(crate) fn body(&self) -> serde_json::Value {
        let text = serde_json::to_string(&Body { detail: &self.detail }).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// What the client reads. Written at once, never by way of a `Value`: that holds no integer beyond 64 bits, and a
/// client's own may be longer.
#[derive(Serialize)]
struct Body<'a> {
    detail: &'a Detail,
}

impl From<Problems> for ApiError {
    fn from(problems: Problems) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            detail: Detail::Problems(problems),
            retry_after: None,
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        if error.is_unavailable() {
            tracing::warn!(error = &error as &dyn std::error::Error, "a database is away");
            Self::unavailable()
        } else {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a database operation failed"
            );
            Self::internal()
        }
    }
}

impl ApiError {
    /// What arXiv's failure means for the caller. A 429 and a 503 always say when to come back.
    pub(crate) fn upstream(status: u16, detail: impl Into<String>, after: Option<Duration>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        let wait = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        let answer = Self::new(status, detail);
        match after.or(wait.then_some(RETRY_AFTER)) {
            Some(after) => answer.retry_after(after),
            None => answer,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(Body { detail: &self.detail })).into_response();
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds(after));
        }
        response
    }
}

/// Whole seconds, rounded up, at least one.
pub(crate) fn seconds(duration: Duration) -> HeaderValue {
    HeaderValue::from(
        duration
            .as_secs()
            .saturating_add(u64::from(duration.subsec_nanos() > 0))
            .max(1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::problem::Problem;

    #[test]
    fn a_clients_own_integer_may_be_longer_than_64_bits() {
        for number in [
            "18446744073709551616",
            "-9223372036854775809",
            "170141183460469231731687303715884105727",
        ] {
            let input = crate::wire::json::parse(number.as_bytes()).unwrap();
            let error = ApiError::from(Problems::from(Problem::string_type(&["body".into()], input)));
            let answer = serde_json::to_string(&Body {
                detail: &error.detail,
            })
            .unwrap();
            assert!(answer.contains(&format!("\"input\":{number}")), "{answer}");
        }
    }

    #[test]
    fn retry_after_is_rounded_up() {
        for (millis, shown) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (2500, "3")] {
            assert_eq!(seconds(Duration::from_millis(millis)), shown);
        }
    }

    #[test]
    fn upstream_statuses_are_the_callers() {
        for (status, retry) in [
            (400, None),
            (403, None),
            (502, None),
            (429, Some("5")),
            (503, Some("5")),
        ] {
            let response = ApiError::upstream(status, "x", None).into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(
                response
                    .headers()
                    .get(header::RETRY_AFTER)
                    .map(|v| v.to_str().unwrap()),
                retry
            );
        }
        let told = ApiError::upstream(429, "x", Some(Duration::from_secs(70))).into_response();
        assert_eq!(told.headers()[header::RETRY_AFTER], "70");
        assert_eq!(ApiError::upstream(9, "x", None).status(), StatusCode::BAD_GATEWAY);
    }
}
