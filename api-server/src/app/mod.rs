//! The parts of this process, in groups.

pub(crate) mod endpoints;
pub(crate) mod metrics;
mod namespace;
pub(crate) mod readiness;
pub(crate) mod settings;
pub(crate) mod stores;

use std::sync::Arc;

use kube::Client;
use prometheus_client::metrics::gauge::Gauge;
use service::{
    health::{Checks, Required},
    metrics::{Caches, Metrics},
    settings::Environment,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use upstream::Upstream;

use crate::{
    app::endpoints::Endpoint,
    app::namespace::Namespace,
    app::settings::Settings,
    app::stores::{APPLICATION_NAME, Addresses, Stores},
    http::{
        middleware::{AccessLog, HttpMetrics},
        tls::TlsMetrics,
    },
    jobs::client_key::ClientKey,
    limits::ProcessLimits,
};

/// Before every metric's name.
const METRICS_PREFIX: &str = "arxiv_api_server";

/// What the endpoints share. A process has only what its endpoints need.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    pub(crate) http_metrics: HttpMetrics,
    pub(crate) caches: Caches,
    pub(crate) tls_metrics: TlsMetrics,
    pub(crate) unfinished_queries: Gauge,
    pub(crate) stores: Stores,
    pub(crate) limits: ProcessLimits,
    pub(crate) namespace: Option<Namespace>,
    /// For the searches of /arxiv-api.
    pub(crate) upstream: Option<Upstream>,
    /// Asks Kubernetes for the rights of callers, where that is needed.
    pub(crate) reviewer: Option<Client>,
    pub(crate) ending: CancellationToken,
    /// The tasks besides requests; they end with this.
    pub(crate) tasks: JoinSet<()>,
}

impl App {
    /// Connects to nothing yet: what is unavailable at the start is waited for. `client` takes the place of the one that
    /// is configured. What the process needs is added to `checks`.
    pub(crate) async fn build(
        settings: Settings,
        environment: &Environment,
        client: Option<Client>,
        ending: CancellationToken,
        checks: &mut Checks,
    ) -> anyhow::Result<Self> {
        let metrics = Metrics::with_prefix(METRICS_PREFIX);
        let http_metrics = HttpMetrics::register(&metrics);
        let caches = Caches::register(&metrics);
        let tls_metrics = TlsMetrics::register(&metrics);
        let help = "Queries of the namespace that have not ended, as this process sees them";
        let unfinished_queries = metrics.add("unfinished_queries", &[], help);
        storage::register_metrics(&metrics);
        cluster::register_metrics(&metrics);
        upstream::register_metrics(&metrics);
        let addresses = Addresses::read(environment, &settings.serve)?;
        let stores = Stores::open(&settings, &addresses, checks, &metrics)?;
        let limits = ProcessLimits::default();
        metrics::register_limits(&metrics, &limits);
        let client = match client {
            Some(client) => Some(client),
            None => namespace::client(&settings).await?,
        };
        let upstream = match (&addresses.upstream, &stores.pages) {
            (Some(url), Some(pages)) => {
                let arxiv = &settings.arxiv;
                Some(arxiv.upstream(databases::address(url), APPLICATION_NAME, pages.clone())?)
            }
            _ => None,
        };
        let mut app = Self {
            metrics,
            http_metrics,
            caches,
            tls_metrics,
            unfinished_queries,
            stores,
            limits,
            namespace: None,
            upstream,
            reviewer: client.clone().filter(|_| settings.asks_for_tokens()),
            ending,
            tasks: JoinSet::new(),
            settings,
        };
        if let Some(client) = client.filter(|_| app.settings.serve.has(Endpoint::Arxiv)) {
            app.namespace = Some(Namespace::start(&client, &mut app, checks));
        }
        if let Some(client) = app.reviewer.clone() {
            checks.add("access", Required::AtStart, move || {
                readiness::reviews(client.clone())
            });
        }
        Ok(app)
    }

    /// The access log. Only the processes that make objects share the key of their hash.
    pub(crate) fn access_log(&self) -> AccessLog {
        let namespace = self.namespace.as_ref();
        let key = namespace.map(|namespace| Arc::clone(&namespace.client_key));
        let key = key.unwrap_or_else(|| Arc::new(ClientKey::new(None)));
        AccessLog::new(self.settings.access_log_client, key)
    }
}
