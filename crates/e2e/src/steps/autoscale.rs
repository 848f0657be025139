//! The autoscaler on real metrics: load comes, pods come; load goes, pods go.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::Api;

use crate::load::Load;
use crate::site::{NAMESPACE, RELEASE, Site};

/// Small requests, so that a small machine's load is a large share of them; and a quick way down, since a run has minutes.
const VALUES: &str = "
apiServer:
  autoscaling:
    minReplicas: 1
    maxReplicas: 4
    behavior:
      scaleUp:
        stabilizationWindowSeconds: 0
        policies: [{type: Pods, value: 1, periodSeconds: 15}]
      scaleDown:
        stabilizationWindowSeconds: 20
        policies: [{type: Percent, value: 100, periodSeconds: 15}]
  resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 256Mi}}
";
const CLIENTS: usize = 6;
const EVERY: Duration = Duration::from_secs(5);
const UP_LIMIT: Duration = Duration::from_mins(4);
const DOWN_LIMIT: Duration = Duration::from_mins(5);

/// A look at the autoscaler.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Since the load began.
    pub at: Duration,
    /// How many clients ask.
    pub clients: usize,
    /// Pods that the autoscaler wants.
    pub wanted: i32,
    /// Pods that take requests.
    pub ready: usize,
    /// Answers a second since the look before.
    pub rate: f64,
    /// Within which 99 of 100 of them came.
    pub p99: Duration,
}

impl Sample {
    pub(super) fn line(&self) -> String {
        let Self {
            clients,
            wanted,
            ready,
            rate,
            ..
        } = self;
        format!(
            "{},{clients},{wanted},{ready},{rate:.0},{:.1}\n",
            self.at.as_secs(),
            self.p99.as_secs_f64() * 1000.0
        )
    }
}

/// Loads the reads until more pods have come (`short`: one more; else the most that there may be), then stops and waits for
/// them to go.
pub(super) async fn follow(site: &Site, short: bool) -> Result<Vec<Sample>> {
    site.release(VALUES).await?;
    site.until_ready("api", 1).await?;
    let api = site.service(&format!("{RELEASE}-api")).await?;
    let goal = if short { 2 } else { 4 };
    let load = Load::start(
        CLIENTS,
        &[format!("{api}/results?items_per_page=100")],
        Duration::ZERO,
    )?;
    let mut samples = looks(site, CLIENTS, load.elapsed(), UP_LIMIT, |sample| {
        sample.ready >= goal
    })
    .await?;
    let figures = load.stop().await?;
    ensure!(
        figures.failed() == 0,
        "{} requests failed: {:?}",
        figures.failed(),
        figures.failures
    );
    let mut before = Duration::ZERO;
    for sample in &mut samples {
        (sample.rate, sample.p99) = figures.between(before, sample.at);
        before = sample.at;
    }
    if !short {
        let start = samples.last().context("no looks")?.at;
        samples.extend(looks(site, 0, start, DOWN_LIMIT, |sample| sample.ready == 1).await?);
    }
    Ok(samples)
}

/// Looks every few seconds until `enough`; the first look counts as at `start`.
async fn looks(
    site: &Site,
    clients: usize,
    start: Duration,
    limit: Duration,
    enough: impl Fn(&Sample) -> bool,
) -> Result<Vec<Sample>> {
    let autoscalers: Api<HorizontalPodAutoscaler> = Api::namespaced(site.client().await?, NAMESPACE);
    let name = format!("{RELEASE}-api");
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.tick().await;
    let mut samples: Vec<Sample> = Vec::new();
    loop {
        ticks.tick().await;
        let status = autoscalers.get(&name).await?.status.unwrap_or_default();
        let sample = Sample {
            at: start + begun.elapsed(),
            clients,
            wanted: status.desired_replicas,
            ready: site.ready("api").await?.len(),
            rate: 0.0,
            p99: Duration::ZERO,
        };
        samples.push(sample);
        if enough(&sample) {
            return Ok(samples);
        }
        ensure!(
            begun.elapsed() < limit,
            "not within {limit:?}\n{}",
            table(&samples)
        );
    }
}

pub(super) fn summary(samples: &[Sample]) -> String {
    let most = samples
        .iter()
        .map(|sample| sample.ready)
        .max()
        .unwrap_or_default();
    let up = samples.iter().find(|sample| sample.ready == most);
    let last = samples.last();
    let seconds = |sample: Option<&Sample>| sample.map_or(0, |sample| sample.at.as_secs());
    format!(
        "1 → {most} pods after {} s; {} at the end, after {} s\n{}",
        seconds(up),
        last.map_or(0, |sample| sample.ready),
        seconds(last),
        table(samples)
    )
}

fn table(samples: &[Sample]) -> String {
    let mut text = String::from("  seconds  clients  wanted  ready  requests/s    p99\n");
    for sample in samples {
        // Writing to a string never fails.
        let _ = writeln!(
            text,
            "  {:>7}  {:>7}  {:>6}  {:>5}  {:>10.0}  {:>3} ms",
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
