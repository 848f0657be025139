//! Kubernetes, as far as the served endpoints need it.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use kube::{Api, Client};
use service::health::{Checks, Required};

use crate::{
    app::{App, endpoints::Endpoint, readiness, settings::Settings},
    jobs::{
        backlog::{Backlog, Quotas},
        client::{Objects, delete_orphans},
        client_key::ClientKey,
        lookups::Lookups,
        waiters::Waiters,
        watch::{self, Subscribers},
    },
    limits::streams::StreamLimiter,
};

/// A watch is renewed every minute, so a connection to Kubernetes that is silent for longer is dead.
const READ_TIMEOUT: Duration = Duration::from_secs(75);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A client of Kubernetes if a served endpoint needs one.
pub(crate) async fn client(settings: &Settings) -> anyhow::Result<Option<Client>> {
    let purpose = if settings.serve.has(Endpoint::Arxiv) {
        "/arxiv"
    } else if settings.asks_for_tokens() {
        "ACCESS"
    } else {
        return Ok(None);
    };
    let client = cluster::client(|config| {
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        // Refused requests are reported to the caller, and a lost create is repeated under its own name.
        config.default_retry = false;
    });
    let client = client
        .await
        .with_context(|| format!("{purpose} needs Kubernetes"))?;
    Ok(Some(client))
}

/// The ArxivQuery objects of one namespace, and what this process knows of them.
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) objects: Arc<Objects>,
    pub(crate) lookups: Arc<Lookups>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) client_key: Arc<ClientKey>,
    pub(crate) streams: StreamLimiter,
}

impl Namespace {
    /// Connects to nothing yet; starts the background tasks in `app`.
    pub(crate) fn start(client: &Client, app: &mut App, checks: &mut Checks) -> Self {
        let settings = &app.settings;
        let name = settings.namespace.as_deref();
        let name = name.unwrap_or_else(|| client.default_namespace());
        let api = Api::namespaced(client.clone(), name);
        let quotas = Quotas {
            total: count(settings.arxiv_max_pending),
            per_client: count(settings.arxiv_max_pending_per_client),
        };
        let interval = Duration::from_millis(settings.arxiv.min_interval_ms);
        let ceiling = settings.priority_ceilings.limit(name, i32::MAX);
        let limits = &app.limits;
        let (objects, orphans) = Objects::new(
            Api::namespaced(client.clone(), name),
            settings.class_name.clone(),
            limits.kubernetes_requests.clone(),
        );
        let objects = Arc::new(objects);
        let secret = settings.access.client_key_secret.clone();
        let secret = secret.map(|secret| (Api::namespaced(client.clone(), name), secret));
        let namespace = Self {
            name: name.to_owned(),
            lookups: Lookups::new(
                Arc::clone(&objects),
                settings.access.client_lookups_per_minute,
                app.caches.of("queries"),
            ),
            objects,
            waiters: Waiters::new(limits.waiters.clone()),
            backlog: Backlog::new(quotas, interval, ceiling, app.unfinished_queries.clone()),
            client_key: Arc::new(ClientKey::new(secret)),
            streams: StreamLimiter::new(limits.streams.clone(), app.ending.clone()),
        };
        let subscribers = Subscribers {
            lookups: Arc::clone(&namespace.lookups),
            waiters: Arc::clone(&namespace.waiters),
            backlog: Arc::clone(&namespace.backlog),
        };
        let watched = Api::namespaced(client.clone(), name);
        app.tasks.spawn(delete_orphans(api, orphans));
        let client_key = Arc::clone(&namespace.client_key);
        app.tasks.spawn(async move {
            client_key.prepare().await;
            std::future::pending::<()>().await;
        });
        app.tasks
            .spawn(watch::run(watched, settings.class_name.clone(), subscribers));
        let client = client.clone();
        checks.add("kubernetes", Required::AtStart, move || {
            readiness::kubernetes(client.clone())
        });
        namespace
    }
}

fn count(setting: u32) -> usize {
    usize::try_from(setting).unwrap_or(usize::MAX)
}
