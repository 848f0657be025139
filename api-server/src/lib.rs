//! `arxiv-api-server`: the REST API over arXiv searches that run as Kubernetes jobs.
//!
//! Ten endpoints keep the wire format of an existing FastAPI service (see the module `wire`). `GET /arxiv` makes an
//! `ArxivQuery` object and waits for its end; `/queries` and `/results` read from replicas. [`Process`] is all
//! of it except for the port.

mod app;
mod auth;
mod error;
mod http;
mod jobs;
mod limits;
mod openapi;
mod output;
mod pages;
mod routes;

#[doc(hidden)]
pub use routes::fuzz::{ErrorResponse, read};

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use ::http::HeaderMap;
use anyhow::Context;
use axum::Router;
use service::{
    health::{Checks, Liveness, Readiness},
    logs::{self, LevelControl},
    probe_server,
    settings::{Environment, command_line},
    signals,
    traces::Traces,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use crate::{app::settings::Settings, limits::client::ClientAddress};
use crate::{
    app::{
        App,
        readiness::{LONGEST_ROUND, PAUSE},
    },
    auth::{AccessControl, proxies::ClientAddresses},
    http::{middleware::Layers, tls::Tls},
    limits::headers::RateLimitHeaders,
};

/// What a request may take in addition to its wait at arXiv or for an object: retried creates, a last read, the body.
const BESIDES_THE_WAIT: Duration = Duration::from_mins(1);

/// The process, from its settings (the environment and the command line) to its end.
pub async fn main() -> ExitCode {
    let settings = command_line::<Settings>();
    // Fails only where a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let traces = Traces::start("arxiv-api-server", &Environment::of_process());
    let off = Traces::off();
    let Ok(levels) = logs::init(
        "api-server",
        settings.logs.clone(),
        traces.as_ref().unwrap_or(&off),
    ) else {
        return ExitCode::FAILURE;
    };
    let ended = match traces {
        Ok(traces) => {
            let ended = run(settings, levels).await;
            traces.end().await;
            ended
        }
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("cannot go on: {}", logs::with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings, levels: LevelControl) -> anyhow::Result<()> {
    let ending = signals::shutdown()?;
    let (address, served) = (settings.listen, settings.serve.clone());
    let metrics_address = settings.metrics_listen;
    let mut process = Process::build(settings, &Environment::of_process(), None, ending).await?;
    process.app.tasks.spawn(levels.follow());
    if let Some(address) = metrics_address {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("METRICS_LISTEN: cannot listen at {address}"))?;
        service::notice!("metrics at {}", listener.local_addr()?);
        let router = service::metrics::router(process.app.metrics.clone());
        process.app.tasks.spawn(probe_server::serve(listener, router));
    }
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("LISTEN: cannot listen at {address}"))?;
    let how = if process.app.settings.tls.is_set() {
        " over TLS"
    } else {
        ""
    };
    service::notice!("listening at {}{how}, serving {served}", listener.local_addr()?);
    process.serve(listener).await?;
    service::notice!("ended");
    Ok(())
}

/// A process without its port: in-process tests call its router.
pub struct Process {
    /// All routes within all middleware. It expects a [`ClientAddress`] in the extensions of each request.
    pub router: Router,
    app: App,
    addresses: ClientAddresses,
}

impl Process {
    /// Reads the addresses of the databases from `environment`, and starts the background tasks, which end when this is
    /// dropped. Takes `client` in place of a configured client of Kubernetes. When `ending` is cancelled, requests do not
    /// wait any longer.
    ///
    /// # Errors
    /// A setting is missing or cannot be used.
    pub async fn build(
        settings: Settings,
        environment: &Environment,
        client: Option<kube::Client>,
        ending: CancellationToken,
    ) -> anyhow::Result<Self> {
        let (liveness, readiness) = (Liveness::default(), Readiness::default());
        let mut checks = Checks::new(PAUSE, PAUSE);
        let mut app = App::build(settings, environment, client, ending, &mut checks).await?;
        readiness.register(&app.metrics);
        let heartbeat = liveness.watch("readiness", LONGEST_ROUND);
        app.tasks.spawn(checks.run(readiness.clone(), Some(heartbeat)));
        let settings = &app.settings;
        let longest_wait = settings
            .arxiv_wait()
            .max(settings.upstream_patience() + settings.arxiv.timeout());
        let access = Arc::new(AccessControl::new(
            &settings.access,
            app.reviewer.clone(),
            &app.limits.reviews,
            &app.caches,
        ));
        let arxiv_interval = Duration::from_millis(settings.arxiv.min_interval_ms);
        let layers = Layers {
            metrics: app.http_metrics.clone(),
            request_timeout: longest_wait + BESIDES_THE_WAIT,
            rate_limits: RateLimitHeaders::new(arxiv_interval),
            access_log: app.access_log(),
            root: settings.root_path.clone(),
            cors: access.origins.layer(),
        };
        let router = routes::router(&app, &access, layers, liveness, readiness);
        Ok(Self {
            router,
            app,
            addresses: access.addresses.clone(),
        })
    }

    /// The client of a request, as the server adds it to the request's extensions.
    pub fn client_address(&self, peer: SocketAddr, headers: &HeaderMap) -> ClientAddress {
        self.addresses.of(peer.ip(), headers)
    }

    /// Serves until the process is asked to end, and then until the requests in flight are answered.
    async fn serve(self, listener: TcpListener) -> anyhow::Result<()> {
        let Self {
            router,
            mut app,
            addresses,
        } = self;
        let drain = Duration::from_secs(app.settings.drain_seconds);
        let tls = Tls::open(&app.settings.tls)?;
        if let Some(tls) = tls.clone() {
            app.tasks.spawn(tls.follow(app.tls_metrics));
        }
        let parts = http::server::Parts {
            router,
            tls,
            addresses,
            connections: app.http_metrics.connections,
        };
        let serving = http::server::serve(listener, parts, app.ending, drain);
        tokio::select! {
            () = serving => {}
            // They run as long as the process: without one of them, requests would wait in vain.
            ended = app.tasks.join_next() => anyhow::bail!("a background task ended: {ended:?}"),
        }
        if let Some(upstream) = app.upstream {
            // The gate is released only once the connection to arXiv is closed.
            let _ = tokio::time::timeout(app.settings.arxiv.timeout(), upstream.drained()).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const NOWHERE: &str = "postgresql://u:p@127.0.0.1:1/d";

    #[tokio::test]
    async fn documentation_has_the_metrics_of_the_api_server() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let names = [
            "DATABASE_RO_URL",
            "DATABASE_RW_URL",
            "DATABASE_SEQUENCE_URL",
            "DATABASE_UPSTREAM_URL",
        ];
        let environment = Environment::given(names.map(|name| (name, NOWHERE)));
        let settings = Settings::try_parse_from(["arxiv-api-server", "--namespace=library"]).unwrap();
        let client =
            kube::Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let process = Process::build(settings, &environment, Some(client), CancellationToken::new());
        let process = process.await.unwrap();
        let (found, expected) = ::metrics::section("the API server", &process.app.metrics).unwrap();
        assert_eq!(
            found, expected,
            "docs/metrics.md has changed: run `METRICS_UPDATE=1 cargo test --workspace documentation_has_the_metrics`"
        );
    }
}
