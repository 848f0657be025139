//! Takes deliveries that are due, and attempts several at once.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use service::health::Heartbeat;
use storage::feeds::{DueDelivery, DueLimits};
use tokio::{
    task::JoinSet,
    time::{Instant, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::attempt::{LIMIT, attempt};
use crate::{controller::report::events::Events, process::dependencies::Dependencies};

/// Attempts at once. Of one webhook there is one at a time.
const CONCURRENCY: usize = 16;
/// Of these for the webhooks of one namespace, whose receivers may all be slow.
const OF_NAMESPACE: usize = CONCURRENCY / 2;
/// How often deliveries are looked for.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the metrics of what waits are brought up to date.
const STATS_PAUSE: Duration = Duration::from_secs(15);
/// So long nobody else attempts what was taken.
const LEASE: Duration = LIMIT.saturating_add(Duration::from_secs(20));
/// So long the attempts in progress have at the shutdown.
const FINISH_LIMIT: Duration = Duration::from_secs(12);
/// Without a heartbeat for so long it is stuck.
const STALL: Duration = Duration::from_mins(5);

/// Delivers until it is stopped; then it finishes what is in progress, if that does not take long. It may be dropped at any point: what
/// was attempted and not recorded is attempted again.
pub(crate) async fn run(with: Arc<Dependencies>, events: Events, stop: CancellationToken) {
    let heartbeat = with.liveness.watch("deliveries", STALL);
    let mut deliveries = Deliveries {
        with,
        events,
        running: JoinSet::new(),
        namespaces: Vec::new(),
        counted: None,
    };
    stop.run_until_cancelled(Box::pin(deliveries.deliver(&heartbeat)))
        .await;
    let all = async { while deliveries.ended().await {} };
    // The rest is attempted again by the next leader.
    let _ = timeout(FINISH_LIMIT, all).await;
}

struct Deliveries {
    with: Arc<Dependencies>,
    events: Events,
    /// Attempts in progress, each of which returns its namespace.
    running: JoinSet<String>,
    /// The namespaces of these.
    namespaces: Vec<String>,
    /// When the metrics were brought up to date.
    counted: Option<Instant>,
}

impl Deliveries {
    async fn deliver(&mut self, heartbeat: &Heartbeat) {
        let mut ticks = interval(PAUSE);
        loop {
            ticks.tick().await;
            heartbeat.beat();
            while self.running.len() < CONCURRENCY && self.start().await {}
            self.count().await;
            // Another one may be due as soon as one has ended.
            if !self.running.is_empty() && timeout(PAUSE, self.ended()).await.is_ok() {
                ticks.reset_immediately();
            }
        }
    }

    /// Starts attempts; whether there may be more that are due.
    async fn start(&mut self) -> bool {
        let room = CONCURRENCY.saturating_sub(self.running.len());
        let limits = DueLimits {
            all: i64::try_from(room).unwrap_or(0),
            of_namespace: i64::try_from(OF_NAMESPACE).unwrap_or(1),
            attempted: &self.namespaces,
            lease: LEASE,
        };
        match self.with.records.feeds().take_due(limits).await {
            Ok(due) => {
                let found = due.len();
                for delivery in due {
                    self.spawn(delivery);
                }
                found > 0
            }
            Err(error) => {
                let metrics = &self.with.metrics;
                metrics.task_failed("deliveries", "deliveries that are due are not read", &error);
                false
            }
        }
    }

    fn spawn(&mut self, due: DueDelivery) {
        self.namespaces.push(due.namespace.clone());
        let (with, events) = (Arc::clone(&self.with), self.events.clone());
        self.running.spawn(async move {
            attempt(&with, &events, &due).await;
            due.namespace
        });
    }

    /// Waits until an attempt has ended; false if none is in progress.
    async fn ended(&mut self) -> bool {
        match self.running.join_next().await {
            None => false,
            Some(Ok(namespace)) => {
                if let Some(index) = self.namespaces.iter().position(|other| *other == namespace) {
                    self.namespaces.swap_remove(index);
                }
                true
            }
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => true,
            },
        }
    }

    async fn count(&mut self) {
        if self
            .counted
            .is_some_and(|counted| counted.elapsed() < STATS_PAUSE)
        {
            return;
        }
        match self.with.records.feeds().delivery_stats().await {
            Ok(stats) => {
                self.counted = Some(Instant::now());
                self.with.metrics.deliveries.stats(&stats, Timestamp::now());
            }
            Err(error) => {
                let metrics = &self.with.metrics;
                metrics.task_failed("deliveries", "what waits for webhooks is not counted", &error);
            }
        }
    }
}
