//! The headers `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10), which report a limit that is
//! reached, in addition to `Retry-After`.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::error::Limit;

pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Writes the headers.
#[derive(Clone, Debug)]
pub(crate) struct RateLimitHeaders {
    /// The policy of arXiv; `None` if there is no minimum interval between requests.
    upstream: Option<String>,
}

impl RateLimitHeaders {
    /// `interval`: the least time between two requests to arXiv.
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            upstream: upstream_policy(interval),
        }
    }

    /// Adds the headers to a response that has a [`Limit`] in its extensions. The time is that of its `Retry-After`, so that
    /// they never differ.
    pub(crate) fn add_to(&self, mut response: Response) -> Response {
        let Some(limit) = response.extensions_mut().remove::<Limit>() else {
            return response;
        };
        let (name, policy) = match limit {
            Limit::Upstream => ("arxiv", self.upstream.clone()),
            Limit::Concurrent { name, most } => (
                name,
                Some(format!("\"{name}\";q={most};qu=\"concurrent-requests\"")),
            ),
            Limit::Kubernetes => ("kubernetes", None),
        };
        let headers = response.headers_mut();
        let after = headers
            .get(header::RETRY_AFTER)
            .and_then(|after| after.to_str().ok());
        let reset = after.map_or_else(String::new, |seconds| format!(";t={seconds}"));
        append(headers, policy, format!("\"{name}\";r=0{reset}"));
        response
    }
}

/// Adds a policy, and what is left of its limit.
pub(super) fn append(headers: &mut HeaderMap, policy: Option<String>, limit: String) {
    for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, Some(limit))] {
        if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.append(name, value);
        }
    }
}

/// Windows are whole seconds: an interval of 2.5 s is reported as one request in three seconds, one of 300 ms as three in one
/// second. A client that keeps to the reported policy never exceeds the real one.
fn upstream_policy(interval: Duration) -> Option<String> {
    let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    let (quota, window) = match millis {
        0 => return None,
        1..1000 => (1000 / millis, 1),
        _ => (1, millis.div_ceil(1000)),
    };
    Some(format!("\"arxiv\";q={quota};w={window}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_of(millis: u64, limit: Limit, retry_after: Option<u64>) -> [Option<String>; 2] {
        let mut response = Response::default();
        response.extensions_mut().insert(limit);
        if let Some(seconds) = retry_after {
            let value = HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        let response = RateLimitHeaders::new(Duration::from_millis(millis)).add_to(response);
        let headers = response.headers();
        [RATE_LIMIT_POLICY, RATE_LIMIT].map(|name| Some(headers.get(name)?.to_str().unwrap().to_owned()))
    }

    #[test]
    fn headers_have_policy_and_reset_of_the_limit() {
        let cases = [
            (
                3000,
                Limit::Upstream,
                Some(3),
                Some("\"arxiv\";q=1;w=3"),
                Some("\"arxiv\";r=0;t=3"),
            ),
            (
                2500,
                Limit::Upstream,
                Some(70),
                Some("\"arxiv\";q=1;w=3"),
                Some("\"arxiv\";r=0;t=70"),
            ),
            (
                300,
                Limit::Upstream,
                Some(1),
                Some("\"arxiv\";q=3;w=1"),
                Some("\"arxiv\";r=0;t=1"),
            ),
            (0, Limit::Upstream, Some(1), None, Some("\"arxiv\";r=0;t=1")),
            (
                3000,
                Limit::Concurrent {
                    name: "waiting",
                    most: 7,
                },
                None,
                Some("\"waiting\";q=7;qu=\"concurrent-requests\""),
                Some("\"waiting\";r=0"),
            ),
            (
                3000,
                Limit::Kubernetes,
                Some(2),
                None,
                Some("\"kubernetes\";r=0;t=2"),
            ),
        ];
        for (millis, limit, retry_after, policy, remaining) in cases {
            let [actual_policy, actual_remaining] = headers_of(millis, limit, retry_after);
            assert_eq!(
                (actual_policy.as_deref(), actual_remaining.as_deref()),
                (policy, remaining),
                "{limit:?} {millis}"
            );
        }
    }
}
