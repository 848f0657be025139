//! /arxiv: searches become `ArxivQuery` objects; the queries are listed, read, followed and removed.

pub(crate) mod create;
pub(crate) mod events;
pub(crate) mod list;
pub(crate) mod new_query;
pub(crate) mod query;
pub(crate) mod query_results;
mod responses;
pub(crate) mod search;
pub(crate) mod search_params;

use std::sync::Arc;

use storage::Reads;

use crate::{
    app::App,
    jobs::{lookups::Lookups, submit::QuerySubmitter},
    limits::{ProcessLimits, streams::StreamLimiter},
    output::lag::Lag,
};

/// What the handlers of /arxiv need.
pub(crate) struct Arxiv {
    searches: QuerySubmitter,
    lookups: Arc<Lookups>,
    streams: StreamLimiter,
    namespace: String,
    /// Without a database for reading there is no /arxiv/NAME/results, and no state of queries whose object is gone.
    pub(crate) reads: Option<Reads>,
    /// How far that database is behind.
    lag: Lag,
    limits: ProcessLimits,
}

impl Arxiv {
    pub(crate) fn of(app: &App) -> Option<Arc<Self>> {
        let (namespace, settings) = (app.namespace.as_ref()?, &app.settings);
        let searches = QuerySubmitter {
            objects: Arc::clone(&namespace.objects),
            waiters: Arc::clone(&namespace.waiters),
            backlog: Arc::clone(&namespace.backlog),
            client_key: Arc::clone(&namespace.client_key),
            wait: settings.arxiv_wait(),
            ttl_seconds: settings.arxiv_ttl_seconds,
            fail_fast: settings.arxiv_fail_fast,
            root: settings.root_path.clone(),
            ending: app.ending.clone(),
        };
        Some(Arc::new(Self {
            searches,
            lookups: Arc::clone(&namespace.lookups),
            streams: namespace.streams.clone(),
            namespace: namespace.name.clone(),
            reads: app.stores.reads.clone(),
            lag: app.stores.queries_lag.clone(),
            limits: app.limits.clone(),
        }))
    }
}
