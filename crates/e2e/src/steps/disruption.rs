//! Pods that go away at once, and pods that are asked to.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::wait;

use super::install::FIXED;
use crate::load::Load;
use crate::site::{RELEASE, Site};

const CLIENTS: usize = 8;
/// Answers that a few seconds bring.
const SETTLED: usize = 1000;
const BACK_LIMIT: Duration = Duration::from_mins(1);

/// Kills the process of one of two pods without notice while clients read. What is in flight on it fails; connections that
/// come until Kubernetes knows are not taken, and go to the other pod when they are made anew.
pub(super) async fn kill(site: &Site) -> Result<String> {
    site.release(FIXED).await?;
    let api = site.service(&format!("{RELEASE}-api")).await?;
    let load = Load::start(CLIENTS, &[format!("{api}/results")], Duration::from_millis(5))?;
    let pods = site.ready("api").await?;
    let victim = pods.first().context("a pod")?;
    // On both pods: connections are spread by chance, and the node may learn of a pod a moment late.
    load.answers(SETTLED, BACK_LIMIT).await?;
    site.crash(victim).await?;
    wait::until("the pod started again", BACK_LIMIT, async || {
        Ok((site.restarts(victim).await? > 0).then_some(()))
    })
    .await?;
    site.until_ready("api", 2).await?;
    load.answers(SETTLED, BACK_LIMIT).await?;
    let figures = load.stop().await?;
    ensure!(
        figures.failed() <= CLIENTS,
        "{} of {} failed, with {CLIENTS} in flight: {:?}",
        figures.failed(),
        figures.requests(),
        figures.failures
    );
    Ok(format!(
        "{} asked, {} failed ({CLIENTS} in flight at any time); {} connections were not taken and made anew",
        figures.requests(),
        figures.failed(),
        figures.refused
    ))
}

/// Drains the only node while clients read: as no pod can come up elsewhere, the budgets let go of one pod of each kind and
/// keep the other, and nobody is to notice.
pub(super) async fn drain(site: &Site) -> Result<String> {
    site.release(FIXED).await?;
    let api = site.service(&format!("{RELEASE}-api")).await?;
    let load = Load::start(CLIENTS, &[format!("{api}/results")], Duration::from_millis(5))?;
    for component in ["operator", "api"] {
        site.until_ready(component, 2).await?;
        let refused = site.refused_drain(component).await?;
        ensure!(refused.contains("disruption budget"), "{component}: {refused}");
        let left = site.ready(component).await?;
        ensure!(left.len() == 1, "{component}: {left:?} left");
    }
    site.kubectl(&["uncordon", crate::node::NAME]).await?;
    for component in ["operator", "api"] {
        site.until_ready(component, 2).await?;
    }
    let figures = load.stop().await?;
    let (failed, refused) = (figures.failed(), figures.refused);
    ensure!(
        failed + refused == 0,
        "{failed} requests failed, {refused} connections were not taken: {:?}",
        figures.failures
    );
    Ok(format!(
        "one pod of the operator and one of the API server went, the others were kept; {} asked meanwhile, 0 failed",
        figures.requests()
    ))
}
