//! What the operating system knows of this process, by the usual names
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use std::{fmt, fs};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::Metrics;

/// Of the times in /proc/PID/stat: fixed for the programs of x86-64 and ARM64, whatever the kernel counts by.
const TICKS_PER_SECOND: f64 = 100.0;

const METRICS: [(&str, MetricType, &str); 7] = [
    (
        "process_cpu_seconds",
        MetricType::Counter,
        "CPU time of the process, in user and system mode",
    ),
    (
        "process_resident_memory_bytes",
        MetricType::Gauge,
        "Memory of the process that is in RAM",
    ),
    (
        "process_virtual_memory_bytes",
        MetricType::Gauge,
        "Address space of the process",
    ),
    (
        "process_open_fds",
        MetricType::Gauge,
        "Open files and connections",
    ),
    (
        "process_max_fds",
        MetricType::Gauge,
        "Most files and connections that may be open",
    ),
    ("process_threads", MetricType::Gauge, "Threads of the process"),
    (
        "process_start_time_seconds",
        MetricType::Gauge,
        "When the process started, in seconds since 1970",
    ),
];

pub(crate) fn register(metrics: &Metrics) {
    metrics.change(|registered| {
        for (name, kind, help) in METRICS {
            registered.define(name, kind, &[], help);
        }
        registered.usual.register_collector(Box::new(Process));
    });
}

#[derive(Debug)]
struct Process;

impl Collector for Process {
    /// A value that cannot be read is left out.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for ((name, kind, help), value) in METRICS.into_iter().zip(values()) {
            let Some(value) = value else { continue };
            let one = encoder.encode_descriptor(name, help, None, kind)?;
            match kind {
                MetricType::Counter => ConstCounter::new(value).encode(one)?,
                _ => ConstGauge::new(value).encode(one)?,
            }
        }
        Ok(())
    }
}

/// In the order of [`METRICS`]. Only Linux has these files.
fn values() -> [Option<f64>; 7] {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name| after(&status, name).map(|kib| kib * 1024.0);
    let ticks = |field| stat_field(&stat, field).map(|ticks| ticks / TICKS_PER_SECOND);
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let boot = fs::read_to_string("/proc/stat")
        .ok()
        .and_then(|text| after(&text, "btime"));
    // The reading of the folder is one of them.
    let open = fs::read_dir("/proc/self/fd")
        .ok()
        .map(|files| files.count().saturating_sub(1));
    [
        ticks(14).zip(ticks(15)).map(|(user, system)| user + system),
        kib("VmRSS:"),
        kib("VmSize:"),
        open.and_then(|open| u32::try_from(open).ok()).map(f64::from),
        after(&limits, "Max open files"),
        after(&status, "Threads:"),
        ticks(22).zip(boot).map(|(started, boot)| boot + started),
    ]
}

/// The number that follows this name at the begin of a line.
fn after(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// A field of `/proc/PID/stat`, counted from 1 as in proc(5). The second one, the program's name in parentheses, may
/// have spaces and parentheses.
fn stat_field(stat: &str, field: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(field.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_a_name_with_spaces_and_parentheses() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20";
        assert_eq!(stat_field(stat, 4), Some(1.0));
        assert_eq!(stat_field(stat, 14), Some(11.0));
        assert_eq!(stat_field(stat, 22), Some(19.0));
        assert_eq!(stat_field(stat, 90), None);
        assert_eq!(after("VmSize:\t  12 kB\nVmRSS:\t   8 kB\n", "VmRSS:"), Some(8.0));
        assert_eq!(
            after("Max open files            unlimited", "Max open files"),
            None
        );
    }
}
