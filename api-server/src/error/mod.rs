//! Errors as responses: `{"detail": …}`, or problem details (RFC 9457) for clients that accept them; never with internals.

mod code;
mod details;

use std::{sync::Arc, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use storage::StorageError;
use wire::field_error::FieldErrors;

pub(crate) use self::{
    code::Code,
    details::{negotiated, prefers_problem_details},
};

/// When to come back after a 503 that is nobody's turn: databases and Kubernetes are usually back in seconds.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The one text for everything that is unavailable, so that no answer shows which part it is.
const UNAVAILABLE: &str = "The service is temporarily unavailable, try again later";

/// The content codings that request bodies may have.
pub(crate) const ACCEPTED_CODINGS: &str = "gzip, deflate, zstd";

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct ApiError {
    code: Code,
    status: StatusCode,
    detail: Detail,
    retry_after: Option<Duration>,
    limit: Option<Limit>,
    /// The path of what the error is about, without the prefix that clients see before it.
    instance: Option<String>,
}

/// The limit that a response reports; in the response's extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// One request to arXiv per interval, for all clients together.
    Upstream,
    /// A number at once: of a process, of the namespace, or of one client.
    Concurrent { name: &'static str, most: usize },
    /// A limit of Kubernetes, whose size is not known here.
    Kubernetes,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Detail {
    Text(String),
    FieldErrors(FieldErrors),
}

impl ApiError {
    /// With the code's own status, and a text for people.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            status: code.status(),
            detail: Detail::Text(detail.into()),
            retry_after: None,
            limit: None,
            instance: None,
        }
    }

    /// 400, of a parameter that is missing or cannot be read, where the wire format has no list of problems.
    pub(crate) fn bad_parameter(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameter, detail).with_status(StatusCode::BAD_REQUEST)
    }

    /// 404, of a path.
    pub(crate) fn not_found() -> Self {
        Self::new(Code::NotFound, "Not Found")
    }

    /// 404, of a search: arXiv knows no such paper.
    pub(crate) fn nothing_found() -> Self {
        let text = "No results found for the given search parameters";
        Self::new(Code::NothingFound, text)
    }

    /// 503: a dependency is unavailable. In the wire format the answer is the same for every code.
    pub(crate) fn unavailable(code: Code) -> Self {
        Self::new(code, UNAVAILABLE)
            .with_status(StatusCode::SERVICE_UNAVAILABLE)
            .retry_after(RETRY_AFTER)
    }

    /// 429: a limit of a number at once is used up.
    pub(crate) fn too_many(code: Code, detail: &str, name: &'static str, most: usize) -> Self {
        Self::new(code, detail)
            .retry_after(RETRY_AFTER)
            .limit(Limit::Concurrent { name, most })
    }

    /// 500
    pub(crate) fn internal() -> Self {
        Self::new(Code::Internal, "Internal Server Error")
    }

    /// What arXiv's failure means for the caller. A 429 and a 503 always say when to come back.
    pub(crate) fn upstream(
        code: Code,
        status: u16,
        detail: impl Into<String>,
        after: Option<Duration>,
    ) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        let too_many = status == StatusCode::TOO_MANY_REQUESTS;
        let wait = too_many || status == StatusCode::SERVICE_UNAVAILABLE;
        let limited = too_many || matches!(code, Code::RateLimited | Code::UpstreamBusy);
        Self {
            retry_after: after.or(wait.then_some(RETRY_AFTER)),
            limit: limited.then_some(Limit::Upstream),
            ..Self::new(code, detail).with_status(status)
        }
    }

    /// An answer that the framework made by itself, in the form that all have.
    pub(crate) fn of_framework(status: StatusCode) -> Self {
        let detail = status.canonical_reason().unwrap_or("Error");
        Self::new(Code::of_framework(status), detail).with_status(status)
    }

    /// Another status than the code's own.
    #[must_use]
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Reports when to come back.
    #[must_use]
    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Reports which limit is reached.
    #[must_use]
    pub(crate) fn limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Reports what the error is about, by its path.
    #[must_use]
    pub(crate) fn about(mut self, path: impl Into<String>) -> Self {
        self.instance = Some(path.into());
        self
    }

    /// Whether it is of this kind.
    #[cfg(test)]
    pub(crate) fn is(&self, code: Code) -> bool {
        self.code == code
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What the client reads, as an example.
    pub(crate) fn body(&self) -> serde_json::Value {
        serde_json::to_value(Body { detail: &self.detail }).unwrap_or_default()
    }
}

impl From<FieldErrors> for ApiError {
    fn from(problems: FieldErrors) -> Self {
        Self {
            detail: Detail::FieldErrors(problems),
            ..Self::new(Code::InvalidParameter, "")
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        let (is_unavailable, is_invalid_value) = (error.is_unavailable(), error.is_invalid_value());
        let error = &error as &dyn std::error::Error;
        if is_unavailable {
            tracing::warn!(error, "a database is unavailable");
            Self::unavailable(Code::DatabaseUnavailable)
        } else if is_invalid_value {
            tracing::warn!(error, "the database rejected a value of a request");
            Self::bad_parameter(
                "The database does not accept a value of this request: it is too long or too large",
            )
        } else {
            tracing::error!(error, "a database operation failed");
            Self::internal()
        }
    }
}

/// What the client reads. Written at once, never by way of a `Value`: that holds no integer beyond 64 bits, and a
/// client's own may be longer.
#[derive(Serialize)]
struct Body<'a> {
    detail: &'a Detail,
}

impl IntoResponse for ApiError {
    /// In the wire format, with this error in the extensions for the layer that knows what the client accepts
    /// ([`negotiated`]).
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(Body { detail: &self.detail })).into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds(after));
        }
        let challenge = match self.code {
            Code::Unauthenticated => Some("Bearer"),
            Code::InvalidToken => Some("Bearer error=\"invalid_token\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.code == Code::UnsupportedContentCoding {
            // RFC 9110, section 12.5.3.
            headers.insert(
                header::ACCEPT_ENCODING,
                HeaderValue::from_static(ACCEPTED_CODINGS),
            );
        }
        if let Some(limit) = self.limit {
            response.extensions_mut().insert(limit);
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// The value of `Retry-After`.
pub(crate) fn seconds(duration: Duration) -> HeaderValue {
    HeaderValue::from(whole_seconds(duration).max(1))
}

/// Rounded up.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::field_error::FieldError;

    #[test]
    fn a_clients_own_integer_may_be_longer_than_64_bits() {
        for number in [
            "18446744073709551616",
            "-9223372036854775809",
            "170141183460469231731687303715884105727",
        ] {
            let input = wire::json::parse(number.as_bytes()).unwrap();
            let error = ApiError::from(FieldErrors::from(FieldError::string_type(
                &["body".into()],
                input,
            )));
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
            let response = ApiError::upstream(Code::UpstreamError, status, "x", None).into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(
                response
                    .headers()
                    .get(header::RETRY_AFTER)
                    .map(|v| v.to_str().unwrap()),
                retry
            );
        }
        let after = Some(Duration::from_secs(70));
        let response = ApiError::upstream(Code::RateLimited, 429, "x", after).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "70");
        let error = ApiError::upstream(Code::UpstreamError, 9, "x", None);
        assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
    }
}
