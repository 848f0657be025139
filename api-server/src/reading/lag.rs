//! How far the replicas are behind, as it was seen last; told in a header, in /readyz and in the metrics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue};

/// Whole seconds; there only when it is at least one.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("arxiv-replica-lag");
const UNKNOWN: i64 = -1;

/// What was seen of one replica, or of one of those behind a common name.
#[derive(Clone, Debug)]
pub(crate) struct Lag(Arc<AtomicI64>);

impl Default for Lag {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(UNKNOWN)))
    }
}

impl Lag {
    /// Notes what was seen; none for a server that is no replica, or does not answer.
    pub(crate) fn note(&self, lag: Option<Duration>) {
        let millis = lag.map_or(UNKNOWN, |lag| i64::try_from(lag.as_millis()).unwrap_or(i64::MAX));
        self.0.store(millis, Ordering::Relaxed);
    }

    /// Whether it is a second or more.
    pub(crate) fn is_notable(&self) -> bool {
        self.seen().is_some_and(|lag| lag.as_secs() > 0)
    }

    /// None when nothing is known, and for a server that is no replica.
    pub(crate) fn seen(&self) -> Option<Duration> {
        u64::try_from(self.0.load(Ordering::Relaxed))
            .ok()
            .map(Duration::from_millis)
    }
}

/// The middleware of endpoints that read from a replica.
pub(crate) async fn tell(State(lag): State<Lag>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(seconds) = lag.seen().map(|lag| lag.as_secs()).filter(|seconds| *seconds > 0) {
        response.headers_mut().insert(HEADER, HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_is_kept() {
        let lag = Lag::default();
        assert_eq!(lag.seen(), None);
        lag.note(Some(Duration::from_millis(1500)));
        assert_eq!(lag.clone().seen(), Some(Duration::from_millis(1500)));
        lag.note(None);
        assert_eq!(lag.seen(), None);
    }
}
