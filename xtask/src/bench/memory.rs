//! The operator's memory with very many finished objects in etcd, with none, and with as many that wait.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench::{Figure, Goal};
use crd::{ArxivQuery, ArxivQuerySpec, ArxivSearch, Phase};
use kube::api::{ListParams, PostParams};
use serde_json::Value;
use testbed::stack::{Options, Service};
use testbed::{TestEnv, http_get};

use crate::output;

/// The maximum with history, as a ratio to the peak without it.
const RATIO: f64 = 1.3;
/// The absolute maximum.
const MOST_MIB: f64 = 64.0;
/// The memory limit that the chart sets.
const CHART_MIB: f64 = 512.0;
/// No second request to arXiv is sent while this measures: everything waits. The longest pause that the operator takes.
const NEVER: Duration = Duration::from_hours(1);
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
    let options = Options {
        api_servers: Vec::new(),
        own_control_plane: true,
        binaries: Some(binaries),
        environment: vec![("SWEEP_INTERVAL_SECONDS".into(), "5".into())],
        ..Options::default()
    };
    let mut measurement = Measurement::start(options.clone()).await?;
    measurement.run(objects).await?;
    measurement.env.stack.stop().await?;
    let finished = measurement.figures;
    let mut measurement = Measurement::start(Options {
        min_interval: NEVER,
        ..options
    })
    .await?;
    measurement.wait(objects).await?;
    measurement.env.stack.stop().await?;
    Ok(finished.into_iter().chain(measurement.figures).collect())
}

impl Measurement {
    async fn start(options: Options) -> Result<Self> {
        output::progress("starting Postgres, Kubernetes and the operator");
        Ok(Self {
            env: TestEnv::try_start(options).await?,
            figures: Vec::new(),
            without: 0.0,
        })
    }

    /// Objects that wait for arXiv, each for a page of its own.
    async fn wait(&mut self, objects: usize) -> Result<()> {
        self.work("none").await?;
        self.create("waits").await?;
        output::progress(&format!("creating {objects} objects that wait"));
        self.operator().child().kill9();
        let edit = |number: usize, object: &mut Value| {
            object["spec"]["search"]["title"] = format!("waits {number}").into();
        };
        self.copy("work-waits", objects, edit).await?;
        self.operator().child().start_again()?;
        self.until("all of them are queued", async || {
            let queued = self.metric("arxiv_operator_queue_length").await;
            #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
            Ok(queued.is_ok_and(|queued| queued >= objects as f64))
        })
        .await?;
        let peak = mebibytes(self.operator().child().memory()?.peak);
        let stage = format!("start with {objects} that wait for arXiv");
        output::progress(&format!("{stage}: {peak:.1} MiB"));
        self.push(stage, peak, CHART_MIB);
        Ok(())
    }

    async fn run(&mut self, objects: usize) -> Result<()> {
        self.work("none").await?;
        self.swept().await?;
        self.without = self.peak("start and work with no finished objects", false)?;

        output::progress(&format!("creating {objects} finished objects"));
        self.operator().child().kill9();
        self.copy("work-none", objects, |_, _| {}).await?;

        output::progress("starting with them");
        self.operator().child().start_again()?;
        self.work("start").await?;
        self.peak(&format!("start with {objects}"), true)?;
        self.swept().await?;
        self.swept().await?;
        self.peak(&format!("two sweeps over {objects}, none expired"), true)?;
        let resident = mebibytes(self.operator().child().memory()?.resident);
        self.push(format!("idle with {objects} (resident)"), resident, MOST_MIB);

        output::progress("listing again: the Kubernetes API server is killed and restarted");
        let plane = self.env.stack.control_plane();
        plane.api_server().kill9();
        plane.start_api_server().await?;
        self.work("listed-again").await?;
        self.peak(&format!("listing {objects} again"), true)?;

        output::progress("every object expires");
        self.copy("work-none", objects, |_, object| {
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
        let name = format!("time of that clean-up, by {}", self.operator().name());
        let took = Figure::new(name, "s", None).measured(took.as_secs_f64());
        self.figures.push(took);
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
        self.push(stage.to_owned(), measured, limit);
        output::progress(&format!("{stage}: {measured:.1} MiB"));
        Ok(measured)
    }

    fn push(&mut self, name: String, mebibytes: f64, most: f64) {
        let figure = Figure::new(name, "MiB", Some(Goal::AtMost(most)));
        self.figures.push(figure.measured(mebibytes));
    }

    /// Runs a query from start to end.
    async fn work(&self, name: &str) -> Result<()> {
        self.create(name).await?;
        let name = format!("work-{name}");
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

    /// Creates the query `work-NAME`.
    async fn create(&self, name: &str) -> Result<()> {
        let spec = ArxivQuerySpec {
            search: ArxivSearch {
                title: Some(name.replace('-', " ")),
                ..ArxivSearch::default()
            },
            ..ArxivQuerySpec::default()
        };
        let object = ArxivQuery::new(&format!("work-{name}"), spec);
        self.env.queries.create(&PostParams::default(), &object).await?;
        Ok(())
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
        self.metric("arxiv_operator_sweeps_total").await
    }

    async fn metric(&self, name: &str) -> Result<f64> {
        let (_, text) = http_get(self.operator().url().join("/metrics")?).await?;
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let value = lines.find_map(|(metric, value)| (metric == name).then_some(value));
        Ok(value.context("the operator has no such metric")?.parse()?)
    }

    async fn copy(&self, name: &str, count: usize, edit: impl Fn(usize, &mut Value)) -> Result<()> {
        let plane = self.env.stack.control_plane();
        let resource = "arxiv-operator.dev/arxivqueries";
        let namespace = self.env.stack.namespace();
        plane.copy_object(resource, namespace, name, count, edit).await
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
