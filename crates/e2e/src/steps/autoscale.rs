//! The autoscaler on real metrics: load comes, pods come; load goes, pods go.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::Api;

use crate::load::Load;
use crate::site::{NAMESPACE, RELEASE, Site};
use crate::timeline::{Sample, Timeline};

/// Small pods, kept small by a limit, so that a small machine has room for four of them and for the load; and a quick way down,
/// since a run has minutes.
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
  resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {cpu: 100m, memory: 256Mi}}
";
const CLIENTS: usize = 8;
const EVERY: Duration = Duration::from_secs(5);
/// Looks at the most pods, before the load ends.
const STEADY: usize = 4;
const UP_LIMIT: Duration = Duration::from_mins(4);
const DOWN_LIMIT: Duration = Duration::from_mins(5);

/// Loads the reads until more pods have come (`short`: one more; else the most that there may be, for a while), then stops and
/// waits for them to go.
pub(super) async fn follow(site: &Site, short: bool) -> Result<Timeline> {
    site.release(VALUES).await?;
    site.until_ready("api", 1).await?;
    let api = site.service(&format!("{RELEASE}-api")).await?;
    let (goal, looks_there) = if short { (2, 1) } else { (4, STEADY) };
    let load = Load::start(
        CLIENTS,
        &[format!("{api}/results?items_per_page=100")],
        Duration::ZERO,
    )?;
    let mut samples = looks(site, CLIENTS, load.elapsed(), UP_LIMIT, |samples| {
        samples.iter().filter(|sample| sample.ready >= goal).count() >= looks_there
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
        samples.extend(
            looks(site, 0, start, DOWN_LIMIT, |samples| {
                samples.last().is_some_and(|last| last.ready == 1)
            })
            .await?,
        );
    }
    Ok(Timeline(samples))
}

/// Looks every few seconds until `enough`; the first look counts as at `start`.
async fn looks(
    site: &Site,
    clients: usize,
    start: Duration,
    limit: Duration,
    enough: impl Fn(&[Sample]) -> bool,
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
        if enough(&samples) {
            return Ok(samples);
        }
        ensure!(
            begun.elapsed() < limit,
            "not within {limit:?}\n{}",
            Timeline(samples).table()
        );
    }
}
