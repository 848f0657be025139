//! The chart's alerts in a real Prometheus next to a running system: each fault makes its alert fire and no other, the
//! commands of its runbook show it, and those that fix it end the alert. And: what is scraped is what docs/metrics.md says,
//! and every panel of the dashboard has data.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod dashboard;
mod documented;
mod faults;
mod runbook;
mod shorter;
mod system;

use system::Monitored;

/// In two tests, which may run at the same time: each has a system and a Prometheus of its own.
#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_fetching_makes_its_alert_fire_and_no_other() {
    let monitored = Box::pin(Monitored::start()).await;
    documented::series_are_documented(&monitored).await;
    documented::metrics_pass_promtool(&monitored).await;
    faults::throttling(&monitored).await;
    faults::held_gate(&monitored).await;
    faults::overdue_feed(&monitored).await;
    faults::failing_webhook(&monitored).await;
    // No request of a user failed.
    dashboard::panels_have_data(&monitored, &["5xx by cause"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_what_is_needed_makes_its_alert_fire_and_no_other() {
    let monitored = Box::pin(Monitored::start()).await;
    faults::replica_lag(&monitored).await;
    faults::no_leader(&monitored).await;
    faults::failing_requests(&monitored).await;
    faults::wrong_password(&monitored).await;
    dashboard::panels_have_data(&monitored, &["429 by cause"]).await;
}
