//! The lag of the replicas, as last measured; reported in a header, in /readyz and in the metrics.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};

/// Whole seconds; sent only if it is at least one.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("arxiv-replica-lag");
/// A shorter lag is not reported.
const NOTABLE: Duration = Duration::from_secs(1);

/// The lag of one replica, or of one of the replicas behind a common name.
///
/// A replica that has received more than it has replayed is as far behind as its last transaction is old; after a quiet
/// hour that is an hour, at the moment in which the next one comes. So a lag that only one of two measurements shows is
/// not reported.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lag(Arc<Mutex<Measurements>>);

#[derive(Debug, Default)]
struct Measurements {
    last: Option<Duration>,
    /// The smaller one of the last two.
    reported: Option<Duration>,
}

impl Lag {
    /// Records a measurement: none for a server that is no replica, or does not answer.
    pub(crate) fn record(&self, lag: Option<Duration>) {
        let mut measured = self.lock();
        measured.reported = match (lag, measured.last) {
            (Some(lag), Some(before)) => Some(lag.min(before)),
            // There is no earlier measurement to compare it with.
            (lag, _) => lag.filter(|lag| *lag < NOTABLE),
        };
        measured.last = lag;
    }

    /// Whether it is a second or more.
    pub(crate) fn is_notable(&self) -> bool {
        self.seen().is_some_and(|lag| lag >= NOTABLE)
    }

    /// None when nothing is known, and for a server that is no replica.
    pub(crate) fn seen(&self) -> Option<Duration> {
        self.lock().reported
    }

    fn lock(&self) -> MutexGuard<'_, Measurements> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds the header to a response that was read from these replicas.
pub(crate) fn add_header(lags: &[Lag], headers: &mut HeaderMap) {
    // If several replicas were read, the one that is furthest behind counts.
    let most = lags.iter().filter_map(Lag::seen).max();
    if let Some(lag) = most.filter(|lag| *lag >= NOTABLE) {
        headers.insert(HEADER, HeaderValue::from(lag.as_secs()));
    }
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
