//! The metrics of a process. Every registration names the labels, so that docs/metrics.md can be written from what the
//! programs register, and compared with what a running system serves.

mod durations;
mod page;
mod process;
mod sampled;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Metric, Registry};

pub use durations::Durations;
pub use page::section;
pub use sampled::Sample;

/// The metrics of one process; clones share them. Register into it at start; the handles that are registered do the
/// counting.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Mutex<Registered>>);

#[derive(Debug)]
struct Registered {
    prefix: &'static str,
    /// Those with the prefix.
    own: Registry,
    /// Those that any program has, by their usual names.
    usual: Registry,
    definitions: Vec<Definition>,
}

/// What is documented of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The name of its series, except for the suffixes of a histogram.
    pub name: String,
    /// counter, gauge or histogram.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it measures.
    pub help: String,
}

impl Metrics {
    /// The metrics that every process has, and a registry that puts `prefix_` before the name of every other.
    pub fn with_prefix(prefix: &'static str) -> Self {
        let metrics = Self(Arc::new(Mutex::new(Registered {
            prefix,
            own: Registry::with_prefix(prefix),
            usual: Registry::default(),
            definitions: Vec::new(),
        })));
        metrics.sample(
            "build_info",
            &["version"],
            "1, with the version of the program",
            || vec![([env!("CARGO_PKG_VERSION").to_owned()], 1)],
        );
        process::register(&metrics);
        metrics
    }

    /// A new metric, registered. `labels` are the names of the labels that it is used with.
    pub fn add<M: Metric + Clone + Default>(
        &self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &str,
    ) -> M {
        let metric = M::default();
        self.register(name, labels, help, &metric);
        metric
    }

    /// Registers a metric that exists.
    pub fn register<M: Metric + Clone>(
        &self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &str,
        metric: &M,
    ) {
        self.change(|registered| {
            registered.own.register(name, help, metric.clone());
            let name = format!("{}_{name}", registered.prefix);
            registered.define(&name, metric.metric_type(), labels, help);
        });
    }

    /// What is registered, in the order of registration.
    pub fn definitions(&self) -> Vec<Definition> {
        self.change(|registered| registered.definitions.clone())
    }

    /// All values in the `OpenMetrics` text format.
    pub fn text(&self) -> Result<String, fmt::Error> {
        self.change(|registered| {
            let mut text = String::new();
            encode_registry(&mut text, &registered.own)?;
            encode_registry(&mut text, &registered.usual)?;
            encode_eof(&mut text)?;
            Ok(text)
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Registered) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Registered {
    fn define(&mut self, name: &str, kind: MetricType, labels: &'static [&'static str], help: &str) {
        let (kind, suffix) = match kind {
            MetricType::Counter => ("counter", "_total"),
            MetricType::Histogram => ("histogram", ""),
            _ => ("gauge", ""),
        };
        self.definitions.push(Definition {
            name: format!("{name}{suffix}"),
            kind,
            labels,
            help: help.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::{counter::Counter, family::Family};

    use super::*;

    #[test]
    fn registered_metric_is_served_and_defined_under_one_name() {
        let metrics = Metrics::with_prefix("program");
        let calls: Family<[(&str, &str); 1], Counter> =
            metrics.add("calls", &["outcome"], "Calls by outcome");
        calls.get_or_create(&[("outcome", "ok")]).inc();
        let waits = Durations::new(["step"], &[0.1, 1.0]);
        metrics.register("wait_seconds", &["step"], "Waits by step", &waits);
        waits.observe(["turn"], std::time::Duration::from_millis(500));
        let text = metrics.text().unwrap();
        for line in [
            "program_calls_total{outcome=\"ok\"} 1\n",
            "program_wait_seconds_bucket{le=\"0.1\",step=\"turn\"} 0\n",
            "program_wait_seconds_bucket{le=\"1.0\",step=\"turn\"} 1\n",
            "program_build_info{version=\"",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert_eq!(text.matches("# EOF").count(), 1);
        let definitions = metrics.definitions();
        let defined = |name: &str| {
            definitions
                .iter()
                .find(|definition| definition.name == name)
                .unwrap()
        };
        assert_eq!(defined("program_calls_total").kind, "counter");
        assert_eq!(defined("program_wait_seconds").kind, "histogram");
        assert_eq!(defined("program_wait_seconds").labels, ["step"]);
        assert_eq!(defined("program_build_info").kind, "gauge");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn process_metrics_have_the_values_of_this_process() {
        let text = Metrics::with_prefix("program").text().unwrap();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("{name} is not in\n{text}"))
                .rsplit_once(' ')
                .unwrap()
                .1
                .parse()
                .unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_threads") >= 1.0 && value("process_cpu_seconds_total") >= 0.0);
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        let age = now - value("process_start_time_seconds");
        assert!((-5.0..3600.0).contains(&age), "{age}");
    }
}
