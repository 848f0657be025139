//! Gauges whose values are read for each scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::Metrics;

/// One sample: the values of the labels, in their order, and the value.
pub type Sample<V, const N: usize> = ([String; N], V);

struct Sampled<F, const N: usize> {
    name: &'static str,
    labels: &'static [&'static str; N],
    help: String,
    read: F,
}

impl<F, const N: usize> fmt::Debug for Sampled<F, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<F, V, const N: usize> Collector for Sampled<F, N>
where
    F: Fn() -> Vec<Sample<V, N>> + Send + Sync + 'static,
    V: EncodeGaugeValue,
    ConstGauge<V>: EncodeMetric,
{
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let values = (self.read)();
        if values.is_empty() {
            return Ok(());
        }
        let mut gauges = encoder.encode_descriptor(self.name, &self.help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            let labels: Vec<(&str, String)> = self.labels.iter().copied().zip(labels).collect();
            if N == 0 {
                return ConstGauge::new(value).encode(gauges);
            }
            ConstGauge::new(value).encode(gauges.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Metrics {
    /// Adds a gauge whose samples are read for each scrape.
    pub fn sample<V, const N: usize>(
        &self,
        name: &'static str,
        labels: &'static [&'static str; N],
        help: impl Into<String>,
        read: impl Fn() -> Vec<Sample<V, N>> + Send + Sync + 'static,
    ) where
        V: EncodeGaugeValue + 'static,
        ConstGauge<V>: EncodeMetric,
    {
        let help = help.into();
        self.change(|registered| {
            let full_name = format!("{}_{name}", registered.prefix);
            registered.define(&full_name, MetricType::Gauge, labels, &help);
            let sampled = Sampled {
                name,
                labels,
                help,
                read,
            };
            registered.own.register_collector(Box::new(sampled));
        });
    }
}
