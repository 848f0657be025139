//! The lag of the replicas, as last measured; reported in a header, in /readyz and in the metrics.

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

/// Whole seconds; sent only if it is at least one.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("arxiv-replica-lag");
const UNKNOWN: i64 = -1;
/// A shorter lag is not reported.
const NOTABLE_MILLIS: i64 = 1000;

/// The lag of one replica, or of one of the replicas behind a common name.
///
/// A replica that has got more than it has replayed is as far behind as its last transaction is old; after a quiet hour that is an
/// hour, at the moment in which the next one comes. So a lag that only one of two measurements shows is not reported.
#[derive(Clone, Debug)]
pub(crate) struct Lag(Arc<Measurements>);

/// Measurements in milliseconds.
#[derive(Debug)]
struct Measurements {
    last: AtomicI64,
    /// The smaller one of the last two.
    reported: AtomicI64,
}

impl Default for Lag {
    fn default() -> Self {
        Self(Arc::new(Measurements {
            last: AtomicI64::new(UNKNOWN),
            reported: AtomicI64::new(UNKNOWN),
        }))
    }
}

impl Lag {
    /// Notes what was seen, by the one who looks; none for a server that is no replica, or does not answer.
    pub(crate) fn record(&self, lag: Option<Duration>) {
        let millis = lag.map_or(UNKNOWN, |lag| i64::try_from(lag.as_millis()).unwrap_or(i64::MAX));
        let before = self.0.last.swap(millis, Ordering::Relaxed);
        let reported = match before {
            // There is no earlier measurement to compare it with.
            UNKNOWN if millis >= NOTABLE_MILLIS => UNKNOWN,
            UNKNOWN => millis,
            _ => millis.min(before),
        };
        self.0.reported.store(reported, Ordering::Relaxed);
    }

    /// Whether it is a second or more.
    pub(crate) fn is_notable(&self) -> bool {
        self.seen().is_some_and(|lag| lag.as_secs() > 0)
    }

    /// None when nothing is known, and for a server that is no replica.
    pub(crate) fn seen(&self) -> Option<Duration> {
        u64::try_from(self.0.reported.load(Ordering::Relaxed))
            .ok()
            .map(Duration::from_millis)
    }
}

/// The middleware of endpoints that read from a replica.
pub(crate) async fn add_header(State(lag): State<Lag>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(seconds) = lag.seen().map(|lag| lag.as_secs()).filter(|seconds| *seconds > 0) {
        let headers = response.headers_mut();
        // If several replicas were read, the one that is furthest behind counts.
        let reported = headers
            .get(HEADER)
            .and_then(|reported| reported.to_str().ok()?.parse().ok());
        let most = reported.map_or(seconds, |reported: u64| reported.max(seconds));
        headers.insert(HEADER, HeaderValue::from(most));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_reported_when_two_measurements_show_it() {
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
            // It is unavailable, and available again.
            (None, None),
            (Some(100), Some(100)),
            (None, None),
        ];
        for (number, (seen, reported)) in cases.into_iter().enumerate() {
            lag.record(seen.map(Duration::from_millis));
            assert_eq!(
                lag.clone().seen(),
                reported.map(Duration::from_millis),
                "measurement {number}"
            );
        }
    }
}
