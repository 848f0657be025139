//! Waiting for a condition.

use std::time::{Duration, Instant};

use arxiv::arxiv_day;
use jiff::Timestamp;

/// Long enough for a machine that is busy with other tests.
pub const LIMIT: Duration = Duration::from_secs(90);

/// Repeats `check` until it returns something; panics after [`LIMIT`].
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Repeats `check` until it returns something, or nothing after `limit`.
pub async fn within<T>(limit: Duration, mut check: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = check().await {
            return Some(found);
        }
        if Instant::now() > deadline {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits, where midnight at arXiv is near, until a whole test fits into one of arXiv's days: a stored page is valid for one day.
pub async fn within_one_arxiv_day() {
    const TEST: Duration = Duration::from_mins(3);
    let fits = within(TEST + LIMIT, async || {
        let now = Timestamp::now();
        (arxiv_day(now) == arxiv_day(now + TEST)).then_some(())
    });
    assert!(fits.await.is_some(), "no new day begins");
}
