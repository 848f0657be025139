//! `arxiv-api-server`: the REST API over arXiv searches that run as Kubernetes jobs.
//!
//! Ten endpoints keep the wire format of an existing FastAPI service (see the module `wire`). `GET /arxiv` makes an
//! `ArxivQuery` object and waits for its end; `/queries` and `/results` read from replicas. This file only wires.

mod app;
mod auth;
mod error;
mod http;
pub mod intake;
mod jobs;
mod limits;
mod openapi;
mod output;
mod pages;
mod routes;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use service::{
    health::{Liveness, Readiness},
    logs,
    metrics::Metrics,
    settings::{Environment, command_line},
    signals,
};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    app::App,
    app::metrics::Counts,
    app::settings::{Databases, Settings},
    auth::AccessControl,
    http::middleware::Layers,
    jobs::{orphans, watch},
    limits::headers::Fields,
};

/// Before every metric's name.
const METRICS_PREFIX: &str = "arxiv_api_server";
/// What a request may take beside its wait at arXiv or for an object: retried creates, a last look, the body.
const BESIDE_THE_WAIT: Duration = Duration::from_mins(1);

/// The process, from its settings (the environment and the command line) to its end.
pub async fn main() -> ExitCode {
    let settings = command_line::<Settings>();
    if logs::init("api-server", settings.logs).is_err() {
        return ExitCode::FAILURE;
    }
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("cannot go on: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    // Fails only where a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ending = signals::shutdown()?;
    let databases = Databases::read(&Environment::of_process(), &settings.serve)?;
    let metrics = Metrics::with_prefix(METRICS_PREFIX);
    let counts = Counts::register(&metrics);
    let mut app = App::build(&settings, &databases, &metrics, &counts, &ending).await?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("LISTEN: cannot listen at {}", settings.listen))?;
    service::notice!(
        "listening at {}, serving {}",
        listener.local_addr()?,
        settings.serve
    );

    let (liveness, readiness) = (Liveness::default(), Readiness::default());
    let heartbeat = liveness.watch("readiness", app::readiness::ROUND_PATIENCE);
    let mut tasks = JoinSet::new();
    let cluster = app.cluster.take();
    let reviewer = app.reviewer.take();
    let client = cluster.as_ref().map(|cluster| cluster.client.clone());
    tasks.spawn(app::readiness::observe(
        std::mem::take(&mut app.checks),
        client,
        reviewer.clone(),
        readiness.clone(),
        heartbeat,
    ));
    if let Some(cluster) = cluster {
        tasks.spawn(orphans::delete_all(cluster.api.clone(), cluster.orphans));
        tasks.spawn(watch::run(cluster.decoded, cluster.subscribers));
    }
    let upstream = app.fetches.as_ref().map(|fetches| fetches.upstream.clone());
    let longest = settings
        .arxiv_wait()
        .max(settings.upstream_patience() + settings.arxiv.timeout());
    let access_control = Arc::new(AccessControl::new(&settings.access, reviewer));
    let arxiv_interval = Duration::from_millis(settings.arxiv.min_interval_ms);
    let layers = Layers {
        counts: counts.clone(),
        request_timeout: longest + BESIDE_THE_WAIT,
        rate_limits: Arc::new(Fields::new(arxiv_interval)),
        root: settings.root_path.clone(),
        cors: access_control.origins.layer(),
    };
    let router = routes::router(
        app,
        &settings,
        &access_control,
        layers,
        liveness,
        readiness,
        metrics,
    );
    let drain = Duration::from_secs(settings.drain_seconds);
    let serving = http::server::serve(listener, router, ending.clone(), drain, counts.connections);
    tokio::select! {
        () = serving => {}
        // They run as long as the process: without one of them, requests would wait in vain.
        ended = tasks.join_next() => anyhow::bail!("a background task ended: {ended:?}"),
    }
    if let Some(upstream) = upstream {
        // The gate is given back only once the connection to arXiv is closed.
        let _ = tokio::time::timeout(settings.arxiv.timeout(), upstream.drained()).await;
    }
    service::notice!("ended");
    Ok(())
}
