//! The steps of a run, in order. Each returns what it found, or fails.

mod autoscale;
mod disruption;
mod endpoints;
mod install;
mod modes;
mod policies;
mod records;
mod removal;
mod upgrade;
mod writers;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testbed::tools::progress;

use crate::environment::Environment;
use crate::test_images::TestImages;
use crate::timeline::Timeline;

/// The outcome of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// For each step, in order: its name, how long it took, and what it found or why it failed.
    pub steps: Vec<(&'static str, Duration, Result<String>)>,
    /// How the autoscaler followed the load.
    pub timeline: Timeline,
}

/// Starts the node and runs all steps, or (`short`) those that CI has time for: install, the main job in one mode, one
/// scale-up. Each step installs the release as it needs it, so the failure of one does not prevent the others.
pub async fn run(images: &TestImages, short: bool) -> Result<Report> {
    let mut report = Report::default();
    let first = "a node, databases and the fake arXiv";
    progress::print(&format!("e2e: {first} …"));
    let start = Instant::now();
    let env = Box::pin(Environment::prepare(images)).await.context(first)?;
    report.record(first, start, Ok("ready".into()));
    report
        .step("helm install, helm test", install::install(&env))
        .await;
    report
        .step("the main job, by kubectl and REST", install::main_job(&env))
        .await;
    if !short {
        let modes = Box::pin(modes::modes(&env));
        report.step("the three modes", modes).await;
        report.step("network policies", policies::check(&env)).await;
        let upgraded = Box::pin(upgrade::under_load(&env));
        report.step("upgrade and rollback under load", upgraded).await;
        report.step("a crash under load", disruption::kill(&env)).await;
        report.step("a drain of all pods", disruption::drain(&env)).await;
    }
    let mut timeline = Timeline::default();
    let autoscaled = async {
        timeline = autoscale::follow(&env, short).await?;
        Ok(timeline.summary())
    };
    report.step("the autoscaler", autoscaled).await;
    report.timeline = timeline;
    if !short {
        report
            .step("uninstall, and install again", removal::removal(&env))
            .await;
    }
    Ok(report)
}

impl Report {
    /// Whether every step did what it should.
    pub fn passed(&self) -> bool {
        self.steps.iter().all(|(_, _, outcome)| outcome.is_ok())
    }

    async fn step(&mut self, name: &'static str, work: impl Future<Output = Result<String>>) {
        progress::print(&format!("e2e: {name} …"));
        let start = Instant::now();
        let outcome = work.await;
        self.record(name, start, outcome);
    }

    fn record(&mut self, name: &'static str, start: Instant, outcome: Result<String>) {
        let took = start.elapsed();
        let text = match &outcome {
            Ok(found) => found.clone(),
            Err(error) => format!("FAILED: {error:#}"),
        };
        progress::print(&format!("e2e: {name}: {:.0} s. {text}", took.as_secs_f64()));
        self.steps.push((name, took, outcome));
    }
}
