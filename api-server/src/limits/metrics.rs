//! The gauges of the limits, read from the limits themselves when the metrics are scraped.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};
use service::metrics::Metrics;

use crate::limits::{COMPRESSIONS, ProcessLimits, budget::Budget, slots::Slots};

#[derive(Debug)]
struct Usage {
    slots: [Slots; 7],
    budgets: [Budget; 3],
}

impl ProcessLimits {
    /// Adds the gauges to the metrics.
    pub(crate) fn register(&self, metrics: &Metrics) {
        let usage = Usage {
            slots: [
                self.waiters.clone(),
                self.streams.clone(),
                self.list_pages.clone(),
                self.long_bodies.clone(),
                COMPRESSIONS.clone(),
                self.kubernetes_requests.clone(),
                self.reviews.clone(),
            ],
            budgets: [
                self.request_bodies.budget().clone(),
                self.rows.budget().clone(),
                self.papers.budget().clone(),
            ],
        };
        metrics.register(|registry| registry.register_collector(Box::new(usage)));
    }
}

impl Collector for Usage {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = |used: usize| ConstGauge::new(i64::try_from(used).unwrap_or(i64::MAX));
        for slots in &self.slots {
            let limit = slots.limit();
            let help = format!("In use of {}: {}", limit.size, limit.reason);
            let used = gauge(slots.used());
            used.encode(encoder.encode_descriptor(limit.metric, &help, None, used.metric_type())?)?;
        }
        let mut memory = encoder.encode_descriptor(
            "memory_reserved_bytes",
            "Memory reserved for request bodies and for long responses",
            None,
            gauge(0).metric_type(),
        )?;
        for budget in &self.budgets {
            let labels = [("budget", budget.limit().name.replace(' ', "_"))];
            gauge(budget.used()).encode(memory.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
