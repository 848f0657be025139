//! The parts of this process, in groups, and what each endpoint takes of them.

pub(crate) mod metrics;
mod namespace;
pub(crate) mod readiness;
pub(crate) mod settings;
mod stores;

use std::sync::Arc;

use kube::Client;
use prometheus_client::metrics::gauge::Gauge;
use service::{
    health::{Checks, Required},
    metrics::Metrics,
    settings::Environment,
};
use storage::Sequence;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    app::namespace::Namespace,
    app::settings::Settings,
    app::stores::{APPLICATION_NAME, Addresses, Stores},
    http::middleware::HttpMetrics,
    jobs::submit::QuerySubmitter,
    limits::ProcessLimits,
    routes::arxiv::Arxiv,
    routes::arxiv::list::Lists,
    routes::arxiv::query::QueryEndpoints,
    routes::arxiv_api::Fetches,
    routes::context::RequestContext,
    routes::endpoints::Endpoint,
    routes::queries::QueryLog,
    routes::results::ResultPages,
    routes::writes::WriteEndpoints,
};

/// Before every metric's name.
const METRICS_PREFIX: &str = "arxiv_api_server";

/// What the endpoints share. A process has only what its endpoints need.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    pub(crate) http_metrics: HttpMetrics,
    pub(crate) unfinished_queries: Gauge,
    stores: Stores,
    pub(crate) limits: ProcessLimits,
    /// What the extractors of all endpoints share.
    context: RequestContext,
    namespace: Option<Namespace>,
    /// The searches of /arxiv-api.
    pub(crate) fetches: Option<Arc<Fetches>>,
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
        let unfinished_queries = Gauge::default();
        let help = "Queries of the namespace that have not ended, as this process sees them";
        metrics
            .register(|registry| registry.register("unfinished_queries", help, unfinished_queries.clone()));
        let addresses = Addresses::read(environment, &settings.serve)?;
        let stores = Stores::open(&settings, &addresses, checks, &metrics)?;
        let limits = ProcessLimits::default();
        metrics::register_limits(&metrics, &limits);
        let client = match client {
            Some(client) => Some(client),
            None => namespace::client(&settings).await?,
        };
        let mut app = Self {
            metrics,
            http_metrics,
            unfinished_queries,
            stores,
            context: RequestContext::new(settings.request_defaults(), &limits),
            limits,
            namespace: None,
            fetches: None,
            reviewer: client.clone().filter(|_| settings.asks_for_tokens()),
            ending,
            tasks: JoinSet::new(),
            settings,
        };
        app.fetches = app.open_fetches(&addresses)?;
        if let Some(client) = client.filter(|_| app.settings.serve.any(&[Endpoint::Arxiv])) {
            app.namespace = Some(Namespace::start(&client, &mut app, checks));
        }
        if let Some(client) = app.reviewer.clone() {
            checks.add("access", Required::AtStart, move || {
                readiness::reviews(client.clone())
            });
        }
        Ok(app)
    }

    fn open_fetches(&self, addresses: &Addresses) -> anyhow::Result<Option<Arc<Fetches>>> {
        let (Some(url), Some(pages)) = (&addresses.upstream, &self.stores.pages) else {
            return Ok(None);
        };
        let arxiv = &self.settings.arxiv;
        Ok(Some(Arc::new(Fetches {
            upstream: arxiv.upstream(url.as_str(), APPLICATION_NAME, pages.clone())?,
            pages: pages.clone(),
            wait_timeout: self.settings.upstream_patience(),
            context: self.context.clone(),
            papers: self.limits.papers.clone(),
        })))
    }

    /// For `/queries` and `/read-queries`.
    pub(crate) fn query_log(&self) -> Option<QueryLog> {
        Some(QueryLog {
            reads: self.stores.reads.clone()?,
            context: self.context.clone(),
            lag: self.stores.queries_lag.clone(),
            responses: self.limits.rows.clone(),
        })
    }

    /// For `/results` and `/read-results`.
    pub(crate) fn result_pages(&self) -> Option<ResultPages> {
        Some(ResultPages {
            reads: self.stores.reads.clone()?,
            context: self.context.clone(),
            lag: self.stores.results_lag.clone(),
            responses: self.limits.rows.clone(),
        })
    }

    /// For `/write-queries` and `/write-results`.
    pub(crate) fn writes(&self) -> Option<WriteEndpoints> {
        Some(WriteEndpoints {
            writes: self.stores.writes.clone()?,
            context: self.context.clone(),
        })
    }

    /// For `/get-sequence`.
    pub(crate) fn sequence(&self) -> Option<Sequence> {
        self.stores.sequence.clone()
    }

    /// For `/arxiv`.
    pub(crate) fn arxiv(&self) -> Option<Arxiv> {
        let (namespace, settings) = (self.namespace.as_ref()?, &self.settings);
        let searches = QuerySubmitter {
            objects: Arc::clone(&namespace.objects),
            waiters: Arc::clone(&namespace.waiters),
            backlog: Arc::clone(&namespace.backlog),
            wait: settings.arxiv_wait(),
            ttl_seconds: settings.arxiv_ttl_seconds,
            fail_fast: settings.arxiv_fail_fast,
            root: settings.root_path.clone(),
            ending: self.ending.clone(),
        };
        let lists = Lists::new(
            Arc::clone(&namespace.objects),
            Arc::clone(&namespace.backlog),
            namespace.streams.clone(),
            self.limits.clone(),
        );
        Some(Arxiv {
            searches: Arc::new(searches),
            lists: Arc::new(lists),
            context: self.context.clone(),
        })
    }

    /// For `/arxiv/NAME`.
    pub(crate) fn query_endpoints(&self) -> Option<Arc<QueryEndpoints>> {
        let namespace = self.namespace.as_ref()?;
        Some(Arc::new(QueryEndpoints {
            objects: Arc::clone(&namespace.objects),
            waiters: Arc::clone(&namespace.waiters),
            backlog: Arc::clone(&namespace.backlog),
            streams: namespace.streams.clone(),
            reads: self.stores.reads.clone(),
            lag: self.stores.queries_lag.clone(),
            namespace: namespace.name.clone(),
            context: self.context.clone(),
            responses: self.limits.rows.clone(),
        }))
    }
}
