//! The autoscaler on real metrics: it adds pods under load and removes them afterwards.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::Api;

use crate::environment::{Environment, NAMESPACE, RELEASE};
use crate::load::Load;
use crate::timeline::{Sample, Timeline};

/// Pods with a small CPU limit, so that a small machine can run four of them and the load; and a fast scale-down, because a
/// run should take minutes.
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
/// Samples with the maximum of pods, before the load ends.
const STEADY: usize = 4;
const UP_LIMIT: Duration = Duration::from_mins(4);
const DOWN_LIMIT: Duration = Duration::from_mins(5);

/// Reads until there are more pods (`short`: one more; otherwise the maximum, for a while), then stops and waits until they
/// are removed.
pub(super) async fn follow(env: &Environment, short: bool) -> Result<Timeline> {
    env.release(VALUES).await?;
    env.until_ready("api", 1).await?;
    let api = env.service(&format!("{RELEASE}-api")).await?;
    let (goal, samples_there) = if short { (2, 1) } else { (4, STEADY) };
    let load = Load::start(
        CLIENTS,
        &[format!("{api}/results?items_per_page=100")],
        Duration::ZERO,
    )?;
    let mut samples = sample(env, CLIENTS, load.elapsed(), UP_LIMIT, |samples| {
        samples.iter().filter(|sample| sample.ready >= goal).count() >= samples_there
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
        let start = samples.last().context("no samples")?.at;
        samples.extend(
            sample(env, 0, start, DOWN_LIMIT, |samples| {
                samples.last().is_some_and(|last| last.ready == 1)
            })
            .await?,
        );
    }
    Ok(Timeline(samples))
}

/// Takes a sample every few seconds until `enough`. Times count from `start` on.
async fn sample(
    env: &Environment,
    clients: usize,
    start: Duration,
    limit: Duration,
    enough: impl Fn(&[Sample]) -> bool,
) -> Result<Vec<Sample>> {
    let autoscalers: Api<HorizontalPodAutoscaler> = Api::namespaced(env.client().await?, NAMESPACE);
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
            ready: env.ready("api").await?.len(),
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
