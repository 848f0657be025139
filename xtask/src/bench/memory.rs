//! The operator's memory with very many finished objects in etcd, and with none.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use crd::{ArxivQuery, ArxivQuerySpec, ArxivSearch, Phase};
use kube::api::{ListParams, PostParams};
use serde_json::Value;
use testbed::stack::{Options, Service};
use testbed::{TestEnv, http_get};

use super::figure::Figure;
use crate::output;

/// The maximum with history, as a ratio to the peak without it.
const RATIO: f64 = 1.3;
/// The absolute maximum.
const MOST_MIB: f64 = 64.0;
/// The limit of each stage; most take a minute.
const LIMIT: Duration = Duration::from_mins(30);
/// A completion time so long ago that every TTL set afterwards has expired at once.
const LONG_AGO: &str = "2024-05-06T00:00:00Z";

struct Measurement {
    env: TestEnv,
    figures: Vec<Figure>,
    /// The operator's peak with no finished objects, in MiB.
    without: f64,
}

/// Measures the peak of each stage.
pub(super) async fn measure(binaries: PathBuf, objects: usize) -> Result<Vec<Figure>> {
    output::progress("starting Postgres, Kubernetes and the operator");
    let env = TestEnv::try_start(Options {
        api_servers: Vec::new(),
        own_control_plane: true,
        binaries: Some(binaries),
        environment: vec![("SWEEP_INTERVAL_SECONDS".into(), "5".into())],
        ..Options::default()
    })
    .await?;
    let mut measurement = Measurement {
        env,
        figures: Vec::new(),
        without: 0.0,
    };
    measurement.run(objects).await?;
    measurement.env.stack.stop().await?;
    Ok(measurement.figures)
}

impl Measurement {
    async fn run(&mut self, objects: usize) -> Result<()> {
        self.work("none").await?;
        self.swept().await?;
        self.without = self.peak("start and work with no finished objects", false)?;

        output::progress(&format!("creating {objects} finished objects"));
        self.operator().child().kill9();
        self.copy(objects, |_| {}).await?;

        output::progress("starting with them");
        self.operator().child().start_again()?;
        self.work("start").await?;
        self.peak(&format!("start with {objects}"), true)?;
        self.swept().await?;
        self.swept().await?;
        self.peak(&format!("two sweeps over {objects}, none expired"), true)?;
        let resident = mebibytes(self.operator().child().memory()?.resident);
        self.figures.push(Figure {
            what: format!("idle with {objects} (resident)"),
            measured: resident,
            limit: Some(MOST_MIB),
            unit: "MiB",
        });

        output::progress("listing again: the Kubernetes API server is killed and restarted");
        let plane = self.env.stack.control_plane();
        plane.api_server().kill9();
        plane.start_api_server().await?;
        self.work("listed-again").await?;
        self.peak(&format!("listing {objects} again"), true)?;

        output::progress("every object expires");
        self.copy(objects, |object| {
            object["spec"]["ttlSecondsAfterFinished"] = 1.into();
            object["status"]["completionTime"] = LONG_AGO.into();
        })
        .await?;
        let began = Instant::now();
        self.until("the expired objects are gone", async || {
            let list = self
                .env
                .queries
                .list_metadata(&ListParams::default().limit(10))
                .await;
            Ok(list.is_ok_and(|list| list.items.len() < 10))
        })
        .await?;
        let took = began.elapsed();
        self.peak(&format!("clean-up of {objects}"), true)?;
        self.figures.push(Figure {
            what: format!("time of that clean-up, by {}", self.operator().name()),
            measured: took.as_secs_f64(),
            limit: None,
            unit: "s",
        });
        self.work("afterwards").await
    }

    fn operator(&self) -> &Service {
        &self.env.stack.operators[0]
    }

    /// Records the peak since the last call in MiB, and resets it.
    fn peak(&mut self, stage: &str, limited: bool) -> Result<f64> {
        let child = self.operator().child();
        let measured = mebibytes(child.memory()?.peak);
        child.reset_peak()?;
        let limit = if limited {
            MOST_MIB.min(self.without * RATIO)
        } else {
            MOST_MIB
        };
        self.figures.push(Figure {
            what: stage.to_owned(),
            measured,
            limit: Some(limit),
            unit: "MiB",
        });
        output::progress(&format!("{stage}: {measured:.1} MiB"));
        Ok(measured)
    }

    /// Runs a query from start to end.
    async fn work(&self, name: &str) -> Result<()> {
        let spec = ArxivQuerySpec {
            search: ArxivSearch {
                title: Some(name.replace('-', " ")),
                ..ArxivSearch::default()
            },
            ..ArxivQuerySpec::default()
        };
        let name = format!("work-{name}");
        let object = ArxivQuery::new(&name, spec);
        self.env.queries.create(&PostParams::default(), &object).await?;
        self.until("the query has succeeded", async || {
            let Ok(object) = self.env.queries.get(&name).await else {
                return Ok(false);
            };
            let phase = object.status.map(|status| status.phase).unwrap_or_default();
            ensure!(phase != Phase::Failed, "{name} failed");
            Ok(phase == Phase::Succeeded)
        })
        .await
    }

    /// Waits for the end of a sweep that starts after this call.
    async fn swept(&self) -> Result<()> {
        let before = self.sweeps().await?;
        self.until("the operator has swept", async || {
            Ok(self.sweeps().await? >= before + 2.0)
        })
        .await
    }

    async fn sweeps(&self) -> Result<f64> {
        let (_, text) = http_get(self.operator().url().join("/metrics")?).await?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix("arxiv_operator_sweeps_total "));
        Ok(value.context("the operator has no metric for sweeps")?.parse()?)
    }

    async fn copy(&self, count: usize, edit: impl Fn(&mut Value)) -> Result<()> {
        let plane = self.env.stack.control_plane();
        plane
            .copy_object(
                "arxiv-operator.dev/arxivqueries",
                self.env.stack.namespace(),
                "work-none",
                count,
                |_, object| edit(object),
            )
            .await
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        while !holds()
            .await
            .with_context(|| self.operator().child().log_tail())?
        {
            ensure!(
                Instant::now() < deadline,
                "not within {LIMIT:?}: {what}\n{}",
                self.operator().child().log_tail()
            );
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss, reason = "exact up to petabytes")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
