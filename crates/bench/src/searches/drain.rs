//! A backlog that an operator finds: how fast it ends, with no pause between requests to arXiv.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use crd::{ArxivQuery, Phase};
use testbed::tools::progress;
use testbed::{http_get, wait};

use super::Bench;
use super::cost::Counters;
use super::kubernetes::Bodies;
use crate::figures::{Figure, Goal};

const LIMIT: Duration = Duration::from_mins(10);

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let kubernetes = bench.kubernetes().await?;
    let objects = bench.settings.objects;
    let operator = &bench.env.stack.operators[0];
    operator.child().kill9();
    progress::print(&format!("bench: drain: creating {objects} objects"));
    bench.env.create_many("drain-", objects).await;
    progress::print("bench: drain");
    operator.child().start_again()?;
    let start = Instant::now();
    // What it uses until it can be asked is left out.
    let before = wait::until("the operator's metrics", LIMIT, async || {
        Ok(Counters::read(bench).await.ok())
    })
    .await?;
    let already = finished(bench).await?;
    wait::until("the backlog has ended", LIMIT, async || {
        Ok((finished(bench).await? >= objects).then_some(()))
    })
    .await?;
    #[allow(clippy::cast_precision_loss, reason = "small")]
    let rate = objects as f64 / start.elapsed().as_secs_f64();
    let after = Counters::read(bench).await?;
    let name = format!("drain of {objects} ArxivQueries, each with its request to arXiv");
    let mut figures = vec![Figure::new(name, "/s", Some(Goal::Ratio(0.6))).measured(rate)];
    let searches = objects.saturating_sub(already);
    let costs = after
        .since(&before, searches, "a search of a backlog")
        .into_iter();
    figures.extend(costs.map(|(name, unit, value)| Figure::new(name, unit, None).measured(value)));
    let last = bench.env.queries.get("drain-0").await?;
    figures[0].bound.push(statuses(bench, &kubernetes, &last).await?);
    Ok(figures)
}

async fn statuses(bench: &Bench<'_>, kubernetes: &super::Kubernetes, finished: &ArxivQuery) -> Result<f64> {
    anyhow::ensure!(
        finished.phase() == Phase::Succeeded,
        "a query of the backlog failed"
    );
    let bodies = Bodies::of(finished, kubernetes.namespace())?;
    kubernetes.statuses(&bodies, bench.settings.length).await
}

/// How many queries the operator has finished since it started.
pub(crate) async fn finished(bench: &Bench<'_>) -> Result<usize> {
    let url = bench.env.stack.operators[0].url().join("/metrics")?;
    // It may not listen yet.
    let Ok((200, text)) = http_get(url).await else {
        return Ok(0);
    };
    let line = |line: &str| {
        let value = line.strip_prefix("arxiv_operator_finished_total{phase=\"Succeeded\"} ")?;
        value.parse().ok()
    };
    text.lines()
        .find_map(line)
        .context("the operator counts no finished queries")
}
