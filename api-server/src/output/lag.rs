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
/// Less is not told.
const NOTABLE_MILLIS: i64 = 1000;

/// What was seen of one replica, or of one of those behind a common name.
///
/// A replica that has got more than it has replayed is as far behind as its last transaction is old; after a quiet hour that is an
/// hour, in the moment in which the next one comes. So what one look shows and the next one does not is never told.
#[derive(Clone, Debug)]
pub(crate) struct Lag(Arc<Looks>);

/// In milliseconds.
#[derive(Debug)]
struct Looks {
    last: AtomicI64,
    /// The less of the last two.
    told: AtomicI64,
}

impl Default for Lag {
    fn default() -> Self {
        Self(Arc::new(Looks {
            last: AtomicI64::new(UNKNOWN),
            told: AtomicI64::new(UNKNOWN),
        }))
    }
}

impl Lag {
    /// Notes what was seen, by the one who looks; none for a server that is no replica, or does not answer.
    pub(crate) fn record(&self, lag: Option<Duration>) {
        let millis = lag.map_or(UNKNOWN, |lag| i64::try_from(lag.as_millis()).unwrap_or(i64::MAX));
        let before = self.0.last.swap(millis, Ordering::Relaxed);
        let told = match before {
            // There is nothing to hold it to yet.
            UNKNOWN if millis >= NOTABLE_MILLIS => UNKNOWN,
            UNKNOWN => millis,
            _ => millis.min(before),
        };
        self.0.told.store(told, Ordering::Relaxed);
    }

    /// Whether it is a second or more.
    pub(crate) fn is_notable(&self) -> bool {
        self.seen().is_some_and(|lag| lag.as_secs() > 0)
    }

    /// None when nothing is known, and for a server that is no replica.
    pub(crate) fn seen(&self) -> Option<Duration> {
        u64::try_from(self.0.told.load(Ordering::Relaxed))
            .ok()
            .map(Duration::from_millis)
    }
}

/// The middleware of endpoints that read from a replica.
pub(crate) async fn add_header(State(lag): State<Lag>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(seconds) = lag.seen().map(|lag| lag.as_secs()).filter(|seconds| *seconds > 0) {
        let headers = response.headers_mut();
        // Where several replicas were read from, the one that is furthest behind counts.
        let told = headers
            .get(HEADER)
            .and_then(|told| told.to_str().ok()?.parse().ok());
        let most = told.map_or(seconds, |told: u64| told.max(seconds));
        headers.insert(HEADER, HeaderValue::from(most));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_twice_is_told() {
        let lag = Lag::default();
        assert_eq!(lag.seen(), None);
        let cases: [(Option<u64>, Option<u64>); 12] = [
            // At the start.
            (Some(1500), None),
            (Some(2500), Some(1500)),
            (Some(0), Some(0)),
            // After a quiet hour.
            (Some(3_600_000), Some(0)),
            (Some(0), Some(0)),
            // It stays behind.
            (Some(3_600_000), Some(0)),
            (Some(3_602_000), Some(3_600_000)),
            (Some(3_604_000), Some(3_602_000)),
            // It has caught up.
            (Some(100), Some(100)),
            // It is away, and is there again.
            (None, None),
            (Some(100), Some(100)),
            (None, None),
        ];
        for (number, (seen, told)) in cases.into_iter().enumerate() {
            lag.record(seen.map(Duration::from_millis));
            assert_eq!(
                lag.clone().seen(),
                told.map(Duration::from_millis),
                "look {number}"
            );
        }
    }
}
