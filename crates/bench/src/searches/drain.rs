//! A backlog that an operator finds: how fast it ends, with no pause between requests to arXiv.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use crd::{ArxivQuerySpec, Phase};
use testbed::test_env::search;
use testbed::tools::progress;
use testbed::{http_get, wait};

use super::cost::Counters;
use super::kubernetes::Bodies;
use super::{Bench, CLIENTS, Settings, start, stored};
use crate::figures::{Figure, Goal};

const LIMIT: Duration = Duration::from_mins(10);

pub(super) async fn measure(settings: &Settings) -> Result<Vec<Figure>> {
    let objects = settings.objects;
    let bench = start(settings, Duration::ZERO, false).await?;
    let own = drain(&bench, "drain-", search).await?;
    bench.env.stack.stop().await?;

    let bench = stored::with_page(settings).await?;
    let same = drain(&bench, "same-", |_| stored::spec()).await?;
    bench.env.stack.stop().await?;

    let mut bound = 0_f64;
    for clients in CLIENTS {
        bound = bound.max(statuses(settings, clients).await?);
    }

    let rates = [
        ("each with its request to arXiv", own.rate),
        ("whose page is stored", same.rate),
    ];
    let rates = rates.map(|(what, rate)| {
        let name = format!("drain of {objects} ArxivQueries, {what}");
        let mut figure = Figure::new(name, "/s", Some(Goal::Ratio(0.6))).measured(rate);
        figure.bound.push(bound);
        figure
    });
    let costs = own.costs.into_iter();
    let costs = costs.map(|(name, unit, value)| Figure::new(name, unit, None).measured(value));
    Ok(rates.into_iter().chain(costs).collect())
}

/// How a backlog was drained.
struct Drained {
    rate: f64,
    costs: Vec<(String, &'static str, f64)>,
}

/// Creates objects while no operator runs, and then starts one.
#[allow(clippy::cast_precision_loss, reason = "small")]
async fn drain(bench: &Bench<'_>, prefix: &str, spec: impl Fn(&str) -> ArxivQuerySpec) -> Result<Drained> {
    let objects = bench.settings.objects;
    let operator = &bench.env.stack.operators[0];
    operator.child().kill9();
    progress::print(&format!("bench: drain: creating {objects} objects"));
    bench.env.create_each(prefix, objects, spec).await;
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
    let rate = objects as f64 / start.elapsed().as_secs_f64();
    let after = Counters::read(bench).await?;
    let searches = objects.saturating_sub(already);
    Ok(Drained {
        rate,
        costs: after.since(&before, searches, "a search of a backlog"),
    })
}

/// The bound: statuses per second that so many bare clients write to objects of the same content.
async fn statuses(settings: &Settings, clients: u32) -> Result<f64> {
    let bench = stored::with_page(settings).await?;
    progress::print(&format!("bench: statuses of a bare client, {clients} clients"));
    let mut finished = bench.env.create("one", stored::spec()).await;
    finished.status = Some(bench.env.finished("one").await);
    ensure!(finished.phase() == Phase::Succeeded, "the query has failed");
    let kubernetes = bench.kubernetes().await?;
    let bodies = Bodies::of(&finished, kubernetes.namespace())?;
    let rate = kubernetes.statuses(&bodies, clients, settings.length).await?;
    bench.env.stack.stop().await?;
    Ok(rate)
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
