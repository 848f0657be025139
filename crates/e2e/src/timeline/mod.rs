//! How the autoscaler followed the load: as a table, as CSV, and as a picture.

mod plot;

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// One observation of the autoscaler.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Since the load began.
    pub at: Duration,
    /// How many clients send requests.
    pub clients: usize,
    /// Pods that the autoscaler wants.
    pub wanted: i32,
    /// Pods that are ready.
    pub ready: usize,
    /// Responses per second since the previous sample.
    pub rate: f64,
    /// The 99th percentile of their latency.
    pub p99: Duration,
}

/// Samples in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Timeline(pub Vec<Sample>);

impl Timeline {
    /// Writes `autoscaler.csv` and `autoscaler.svg` into a folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        for (name, text) in [
            ("autoscaler.csv", self.csv()),
            ("autoscaler.svg", plot::draw(&self.0)?),
        ] {
            let file = folder.join(name);
            std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }

    fn csv(&self) -> String {
        let mut text = String::from("seconds,clients,wanted,ready,requests_per_second,p99_ms\n");
        for sample in &self.0 {
            let Sample {
                clients,
                wanted,
                ready,
                rate,
                ..
            } = sample;
            let (seconds, p99) = (sample.at.as_secs(), sample.p99.as_secs_f64() * 1000.0);
            // Writing to a string never fails.
            let _ = writeln!(text, "{seconds},{clients},{wanted},{ready},{rate:.0},{p99:.1}");
        }
        text
    }

    pub(crate) fn table(&self) -> String {
        let mut text = String::from("  seconds  clients  wanted  ready  requests/s     p99\n");
        for sample in &self.0 {
            let _ = writeln!(
                text,
                "  {:>7}  {:>7}  {:>6}  {:>5}  {:>10.0}  {:>4} ms",
                sample.at.as_secs(),
                sample.clients,
                sample.wanted,
                sample.ready,
                sample.rate,
                sample.p99.as_millis()
            );
        }
        text
    }

    pub(crate) fn summary(&self) -> String {
        let most = self.0.iter().map(|sample| sample.ready).max().unwrap_or_default();
        let up = self.0.iter().find(|sample| sample.ready == most);
        let last = self.0.last();
        let seconds = |sample: Option<&Sample>| sample.map_or(0, |sample| sample.at.as_secs());
        format!(
            "1 → {most} pods after {} s; {} at the end, after {} s\n{}",
            seconds(up),
            last.map_or(0, |sample| sample.ready),
            seconds(last),
            self.table()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeline_has_summary_and_csv() {
        let sample = |at, clients, ready, rate, p99| Sample {
            at: Duration::from_secs(at),
            clients,
            wanted: 2,
            ready,
            rate,
            p99: Duration::from_micros(p99),
        };
        let timeline = Timeline(vec![
            sample(5, 8, 1, 480.4, 90_500),
            sample(10, 8, 2, 900.0, 40_000),
            sample(15, 0, 2, 0.0, 0),
            sample(20, 0, 1, 0.0, 0),
        ]);
        assert!(
            timeline
                .summary()
                .starts_with("1 → 2 pods after 10 s; 1 at the end, after 20 s\n")
        );
        let csv = timeline.csv();
        assert_eq!(csv.lines().nth(1), Some("5,8,2,1,480,90.5"));
        assert_eq!(csv.lines().count(), 5);
    }
}
