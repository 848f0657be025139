//! Searches whose page is stored, with a growing number of clients, of namespaces, and of finished objects.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use crd::ArxivQuery;
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use testbed::tools::{packages, progress};
use testbed::wait;

use super::{Series, Settings};
use crate::searches::{self, Bench, drain as backlog, stored};

const CLIENTS: [u32; 6] = [1, 4, 16, 64, 256, 768];
const NAMESPACES: [u32; 4] = [1, 10, 100, 1_000];
const OBJECTS: [u32; 4] = [100, 1_000, 10_000, 100_000];
/// Objects that are spread over the namespaces.
const SPREAD: u32 = 1_000;
/// Clients where their number does not grow.
const SOME_CLIENTS: u32 = 16;
const LIMIT: Duration = Duration::from_mins(15);

pub(super) async fn measure(settings: &Settings) -> Result<Vec<Series>> {
    tokio::task::spawn_blocking(|| packages::program(&["wrk"], &["wrk"], "a few seconds")).await??;
    progress::print("bench: starting Postgres, Kubernetes, the operator and the API server");
    let of_searches = searches::Settings {
        binaries: settings.binaries.clone(),
        length: settings.length,
        rounds: 1,
        objects: 0,
        intervals: 0,
        only: String::new(),
    };
    let bench = searches::start(&of_searches, Duration::ZERO, true).await?;
    // The first search stores its page.
    stored::search(&bench, 2, Duration::from_secs(2)).await?;
    let few = |count: &u32| *count <= settings.most;
    let mut all = Vec::new();

    let of = "clients that wait";
    let mut rate = Series::new(of, "GET /arxiv, page stored", "/s");
    let mut slowest = Series::new(of, "99th percentile", "ms");
    for clients in CLIENTS.into_iter().filter(few) {
        progress::print(&format!("bench: {clients} clients"));
        stored::at_rest(&bench).await?;
        let measured = stored::search(&bench, clients, settings.length).await?;
        rate.points.push((clients, measured.rate));
        slowest.points.push((clients, measured.p99.as_secs_f64() * 1e3));
    }
    all.extend([rate, slowest]);

    let mut drained = Series::new("namespaces", "drain of 1,000 searches whose page is stored", "/s");
    for namespaces in NAMESPACES.into_iter().filter(few) {
        progress::print(&format!("bench: {namespaces} namespaces"));
        drained
            .points
            .push((namespaces, drain(&bench, namespaces).await?));
    }
    all.push(drained);

    let of = "finished objects";
    let mut rate = Series::new(of, "GET /arxiv, page stored, 16 clients", "/s");
    let mut memory = Series::new(of, "operator, largest resident memory", "MiB");
    let mut first = Series::new(of, "operator, from start to the first answer", "s");
    let originals = stored::finished(&bench).await?;
    let mut present = 0;
    for (objects, original) in OBJECTS.into_iter().filter(few).zip(&originals) {
        progress::print(&format!("bench: {objects} finished objects"));
        copy(&bench, &original.name_any(), objects - present).await?;
        present = objects;
        // Its answer comes after the copies in all watches.
        stored::search_once(&bench).await?;
        let operator = bench.env.stack.operators[0].child();
        operator.kill9();
        let start = Instant::now();
        operator.start_again()?;
        stored::search_once(&bench).await?;
        first.points.push((objects, start.elapsed().as_secs_f64()));
        let measured = stored::search(&bench, SOME_CLIENTS, settings.length).await?;
        rate.points.push((objects, measured.rate));
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
        let peak = operator.memory()?.peak as f64 / 1_048_576.0;
        memory.points.push((objects, peak));
    }
    all.extend([rate, memory, first]);
    bench.env.stack.stop().await?;
    Ok(all)
}

/// So many copies of a finished object.
async fn copy(bench: &Bench<'_>, original: &str, count: u32) -> Result<()> {
    let (stack, resource) = (&bench.env.stack, "arxiv-operator.dev/arxivqueries");
    let copies =
        stack
            .control_plane()
            .copy_object(resource, stack.namespace(), original, count as usize, |_, _| {});
    copies.await
}

/// How many searches end in a second, of those that an operator finds in so many namespaces.
async fn drain(bench: &Bench<'_>, namespaces: u32) -> Result<f64> {
    let operator = bench.env.stack.operators[0].child();
    operator.kill9();
    for namespace in 0..namespaces {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name(namespace)}});
        let all: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(bench.env.kube.clone());
        // It may exist from a smaller number.
        let created = all
            .create(&PostParams::default(), &serde_json::from_value(object)?)
            .await;
        match created {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            created => drop(created?),
        }
    }
    let objects = stream::iter(0..SPREAD).map(async |number| {
        let object = ArxivQuery::new(&format!("of-{namespaces}-{number}"), stored::spec());
        let queries: Api<ArxivQuery> = Api::namespaced(bench.env.kube.clone(), &name(number % namespaces));
        queries.create(&PostParams::default(), &object).await
    });
    objects.buffer_unordered(16).try_collect::<Vec<_>>().await?;
    operator.start_again()?;
    let start = Instant::now();
    wait::until("all searches have ended", LIMIT, async || {
        Ok((backlog::finished(bench).await? >= SPREAD as usize).then_some(()))
    })
    .await
    .context("the operator does not work in all namespaces")?;
    Ok(f64::from(SPREAD) / start.elapsed().as_secs_f64())
}

fn name(namespace: u32) -> String {
    format!("growth-{namespace}")
}
