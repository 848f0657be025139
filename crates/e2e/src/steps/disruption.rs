//! Disruptions under load: a pod that crashes, and a drain of the node.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::wait;

use super::install::FIXED;
use crate::environment::{Environment, RELEASE};
use crate::load::Load;
use crate::node;

const CLIENTS: usize = 8;
/// As many responses as arrive in a few seconds.
const SETTLED: usize = 1000;
const BACK_LIMIT: Duration = Duration::from_mins(1);

/// Kills the process of one of two pods while clients read. Only requests that are open at that moment may fail. Until Kubernetes
/// knows, new connections to the pod are refused, and succeed at the other pod when they are retried.
pub(super) async fn kill(env: &Environment) -> Result<String> {
    env.release(FIXED).await?;
    let api = env.service(&format!("{RELEASE}-api")).await?;
    let load = Load::start(CLIENTS, &[format!("{api}/results")], Duration::from_millis(5))?;
    let pods = env.ready("api").await?;
    let victim = pods.first().context("a pod")?;
    // Enough responses from both pods: connections are distributed at random, and the node may learn of a pod a moment late.
    load.answers(SETTLED, BACK_LIMIT).await?;
    let before = load.elapsed();
    env.crash(victim).await?;
    let after = load.elapsed();
    wait::until("the pod started again", BACK_LIMIT, async || {
        Ok((env.restarts(victim).await? > 0).then_some(()))
    })
    .await?;
    env.until_ready("api", 2).await?;
    load.answers(SETTLED, BACK_LIMIT).await?;
    let figures = load.stop().await?;
    let (failed, outside) = (figures.failed(), figures.failed_outside(before, after));
    ensure!(
        failed <= CLIENTS && outside == 0,
        "{failed} of {} failed, {outside} of them not open at the crash, with {CLIENTS} clients: {:?}",
        figures.requests(),
        figures.failures
    );
    Ok(format!(
        "{} requests by {CLIENTS} clients. Failed: {failed}, all of them open when the process ended. Refused at first: {} requests, by {} refusals in \
         {:.1} s, all answered after a retry of the connection. The longest response time was {:.2} s",
        figures.requests(),
        figures.delayed(),
        figures.refused(),
        figures.refusing().as_secs_f64(),
        figures.longest().as_secs_f64(),
    ))
}

/// Drains the only node while clients read. No replacement pod can start, so the disruption budgets allow the eviction of one pod
/// of each kind and keep the other. No request may fail.
pub(super) async fn drain(env: &Environment) -> Result<String> {
    env.release(FIXED).await?;
    let api = env.service(&format!("{RELEASE}-api")).await?;
    let load = Load::start(CLIENTS, &[format!("{api}/results")], Duration::from_millis(5))?;
    for component in ["operator", "api"] {
        env.until_ready(component, 2).await?;
        let refused = env.refused_drain(component).await?;
        ensure!(refused.contains("disruption budget"), "{component}: {refused}");
        let left = env.ready(component).await?;
        ensure!(left.len() == 1, "{component}: {left:?} left");
    }
    env.kubectl(&["uncordon", node::NAME]).await?;
    for component in ["operator", "api"] {
        env.until_ready(component, 2).await?;
    }
    let figures = load.stop().await?;
    let (failed, refused) = (figures.failed(), figures.refused());
    ensure!(
        failed + refused == 0,
        "{failed} requests failed, {refused} connections were not taken: {:?}",
        figures.failures
    );
    Ok(format!(
        "one pod of the operator and one of the API server were evicted, the others kept; {} requests meanwhile, 0 failed",
        figures.requests()
    ))
}
