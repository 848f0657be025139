//! What is done to a release, in order. Each step says what it found, or fails.

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

use crate::cluster::Cluster;
use crate::site::Site;
use crate::timeline::Timeline;

/// What a run found, for people.
#[derive(Debug, Default)]
pub struct Report {
    /// A line for each step, in order: what was done, how long it took, what was found or why it failed.
    pub steps: Vec<(&'static str, Duration, Result<String>)>,
    /// How the autoscaler followed the load.
    pub timeline: Timeline,
}

/// Starts the cluster and runs all steps, or (`short`) those that CI has time for: install, the main job in one mode, one scale-up. Each brings the
/// release to what it needs, so that one that fails does not keep the others from running.
pub async fn run(cluster: impl Future<Output = Result<Cluster>>, short: bool) -> Result<Report> {
    let mut report = Report::default();
    let first = "a node and what is beside it";
    progress::print(&format!("e2e: {first} …"));
    let start = Instant::now();
    let prepared = async { Site::prepare(cluster.await?).await };
    let site = Box::pin(prepared).await.context(first)?;
    report.note(first, start, Ok("ready".into()));
    report
        .step("helm install, helm test", install::install(&site))
        .await;
    report
        .step("the main job, by kubectl and REST", install::main_job(&site))
        .await;
    if !short {
        let modes = Box::pin(modes::modes(&site));
        report.step("the three modes", modes).await;
        report.step("network policies", policies::tried(&site)).await;
        let upgraded = Box::pin(upgrade::under_load(&site));
        report.step("upgrade and rollback under load", upgraded).await;
        report.step("a crash under load", disruption::kill(&site)).await;
        report
            .step("a drain asks for all pods", disruption::drain(&site))
            .await;
    }
    let mut timeline = Timeline::default();
    let autoscaled = async {
        timeline = autoscale::follow(&site, short).await?;
        Ok(timeline.summary())
    };
    report.step("the autoscaler", autoscaled).await;
    report.timeline = timeline;
    if !short {
        report
            .step("uninstall, and install again", removal::removal(&site))
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
        self.note(name, start, outcome);
    }

    fn note(&mut self, name: &'static str, start: Instant, outcome: Result<String>) {
        let took = start.elapsed();
        let told = match &outcome {
            Ok(found) => found.clone(),
            Err(error) => format!("FAILED: {error:#}"),
        };
        progress::print(&format!("e2e: {name}: {:.0} s. {told}", took.as_secs_f64()));
        self.steps.push((name, took, outcome));
    }
}
