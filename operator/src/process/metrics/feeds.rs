//! The metrics of feeds.

use std::time::Duration;

use jiff::SignedDuration;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};
use storage::feeds::{LastRun, Outcome};

use super::{Counts, Label, RealGauge};

/// The states that a feed is counted in, one of them at a time.
const STATES: [&str; 5] = ["scheduled", "suspended", "failed", "stalled", "new"];
/// From a run that starts on time to one that covers a day in which the operator was down.
const DELAYS: [f64; 8] = [1.0, 5.0, 30.0, 60.0, 600.0, 3_600.0, 21_600.0, 86_400.0];

/// Feeds at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct FeedStats {
    /// How many are in each of the states: scheduled, suspended, failed, stalled, new.
    pub(crate) states: [usize; STATES.len()],
    /// How many have not looked at everything that had changed.
    pub(crate) incomplete: usize,
    /// How many have had two scheduled times since they were last complete.
    pub(crate) overdue: usize,
    /// The longest time since one was last complete.
    pub(crate) longest: Duration,
}

/// Handles to the metrics; clones share their values.
#[derive(Clone, Debug)]
pub(crate) struct FeedMetrics {
    feeds: Family<Label, Gauge>,
    incomplete: Gauge,
    overdue: Gauge,
    longest: RealGauge,
    runs: Counts,
    items: Counter,
    start_delay: Histogram,
}

impl FeedMetrics {
    pub(super) fn registered(registry: &service::metrics::Metrics) -> Self {
        let start_delay = Histogram::new(DELAYS);
        registry.register(
            "feed_run_start_delay_seconds",
            &[],
            "How long after its scheduled time and the feed's own delay a run was created, in seconds",
            &start_delay,
        );
        let metrics = Self {
            feeds: registry.add(
                "feeds",
                &["state"],
                "Feeds by state: scheduled, suspended, failed (the last run did, or a database does not answer), stalled (the spec \
                 has to be changed), new",
            ),
            incomplete: registry.add(
                "feeds_incomplete",
                &[],
                "Feeds of which the last run did not look at everything that had changed",
            ),
            overdue: registry.add(
                "feeds_overdue",
                &[],
                "Feeds that have had two scheduled times since they were last complete or created, without suspended and stalled ones",
            ),
            longest: registry.add(
                "feeds_longest_incomplete_seconds",
                &[],
                "Longest time in seconds since a feed was last complete or created, without suspended and stalled ones; 0 without feeds",
            ),
            runs: Counts::add(
                registry,
                "feed_runs",
                &["outcome"],
                &["complete", "incomplete", "other_search", "failed"],
                "Runs of feeds that have ended, by outcome",
            ),
            items: registry.add("feed_items", &[], "Items that runs of feeds have added"),
            start_delay,
        };
        metrics.count(&FeedStats::default());
        metrics
    }

    /// Shows how many feeds there are.
    #[allow(clippy::cast_possible_wrap)] // So many feeds do not fit anywhere.
    pub(crate) fn count(&self, stats: &FeedStats) {
        for (state, feeds) in STATES.into_iter().zip(stats.states) {
            self.feeds.get_or_create(&[("state", state)]).set(feeds as i64);
        }
        self.incomplete.set(stats.incomplete as i64);
        self.overdue.set(stats.overdue as i64);
        self.longest.set(stats.longest.as_secs_f64());
    }

    /// A run was created so long after its time.
    pub(crate) fn started(&self, delay: SignedDuration) {
        self.start_delay.observe(delay.as_secs_f64().max(0.0));
    }

    /// A run has failed.
    pub(crate) fn run_failed(&self) {
        self.runs.of("failed").inc();
    }

    /// A run has succeeded; `last` is what the database says of the last one that counts.
    pub(crate) fn run_succeeded(&self, last: Option<LastRun>) {
        let outcome = last.map_or(Outcome::OtherSearch, |last| last.outcome);
        self.runs
            .of(match outcome {
                Outcome::Complete => "complete",
                Outcome::Incomplete => "incomplete",
                Outcome::OtherSearch => "other_search",
            })
            .inc();
        let counts = last.filter(|_| outcome != Outcome::OtherSearch);
        let new = counts.map_or(0, |last| last.new_items);
        self.items.inc_by(u64::try_from(new).unwrap_or(0));
    }
}
