//! Histograms of durations in seconds.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Durations by labels whose values come from fixed sets; clones share the counts.
#[derive(Clone)]
pub struct Durations<const N: usize> {
    names: [&'static str; N],
    family: Family<Labels<N>, Histogram, Buckets>,
}

/// The upper limits of the buckets in seconds.
#[derive(Clone)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl<const N: usize> Durations<N> {
    /// With these labels and upper limits of the buckets in seconds.
    pub fn new(names: [&'static str; N], buckets: &'static [f64]) -> Self {
        Self {
            names,
            family: Family::new_with_constructor(Buckets(buckets)),
        }
    }

    /// Counts one duration. `values` are those of the labels, in their order.
    pub fn observe(&self, values: [&'static str; N], duration: Duration) {
        let mut labels = [("", ""); N];
        for (label, pair) in labels.iter_mut().zip(self.names.into_iter().zip(values)) {
            *label = pair;
        }
        self.family.get_or_create(&labels).observe(duration.as_secs_f64());
    }
}

impl<const N: usize> fmt::Debug for Durations<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "durations by {:?}", self.names)
    }
}

impl<const N: usize> EncodeMetric for Durations<N> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.family.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }

    fn is_empty(&self) -> bool {
        self.family.is_empty()
    }
}
