//! The routes of this process.

pub(crate) mod arxiv;
pub(crate) mod arxiv_api;
pub(crate) mod endpoints;
pub(crate) mod queries;
pub(crate) mod results;
pub(crate) mod sequence;
pub(crate) mod writes;

use std::sync::Arc;

use axum::{
    Router,
    middleware::{from_fn_with_state, map_request},
};
use http::Uri;
use service::{
    health::{self, Liveness, Readiness},
    metrics::{self, Metrics},
};

use crate::{
    app::App,
    app::settings::Settings,
    auth::Guards,
    http::middleware::methods::{fallback, plainly_written},
    http::middleware::{Edge, root_path, surround},
    openapi, pages,
    routes::endpoints::{Endpoint, FRONTEND},
};

/// Every served endpoint with health and metrics, surrounded by what holds for all.
pub(crate) fn router(
    app: App,
    settings: &Settings,
    guards: &Arc<Guards>,
    edge: Arc<Edge>,
    liveness: Liveness,
    readiness: Readiness,
    metrics: Metrics,
) -> Router {
    let App {
        arxiv,
        states,
        query_log,
        result_pages,
        recording,
        sequence,
        fetches,
        ..
    } = app;
    let mut paths = vec![
        "/healthz",
        "/readyz",
        "/metrics",
        "/docs",
        "/redoc",
        openapi::PATH,
    ];
    let reads = states.as_ref().is_some_and(|states| states.reads.is_some());
    let searchable = FRONTEND.iter().all(|endpoint| settings.serve.any(&[*endpoint]));
    let mut router = Router::new()
        .merge(openapi::routes(&settings.described(reads)))
        .merge(pages::routes(&settings.root_path, searchable))
        .merge(health::router(liveness, readiness))
        .merge(metrics::router(metrics));
    for endpoint in settings.serve.iter() {
        paths.push(endpoint.path());
        let of_endpoint = match endpoint {
            Endpoint::Arxiv => arxiv.clone().map(arxiv::routes),
            Endpoint::Queries => query_log.clone().map(queries::frontend),
            Endpoint::Results => result_pages.clone().map(results::frontend),
            Endpoint::ArxivApi => fetches.clone().map(arxiv_api::routes),
            Endpoint::GetSequence => sequence.clone().map(sequence::routes),
            Endpoint::ReadQueries => query_log.clone().map(queries::backend),
            Endpoint::ReadResults => result_pages.clone().map(results::backend),
            Endpoint::WriteQueries => recording.clone().map(writes::queries),
            Endpoint::WriteResults => recording.clone().map(writes::results),
        };
        if let Some(routes) = of_endpoint {
            router = router.merge(guards.before(endpoint, routes));
        }
    }
    if let Some(states) = states {
        paths.extend(["/arxiv/{name}", "/arxiv/{name}/events", "/arxiv/{name}/results"]);
        router = router.merge(guards.before(Endpoint::Arxiv, arxiv::query::routes(states)));
    }
    router = router.fallback(move |uri: Uri| async move { fallback(&paths, &uri) });
    if let Some(cors) = guards.origins.layer() {
        router = router.layer(cors);
    }
    let router = router.layer(from_fn_with_state(edge, surround));
    // Around the whole, so that paths are without the prefix, and plainly written, before a route is looked for.
    let router = Router::new()
        .fallback_service(router)
        .layer(map_request(plainly_written));
    if settings.root_path.as_str().is_empty() {
        return router;
    }
    Router::new()
        .fallback_service(router)
        .layer(from_fn_with_state(settings.root_path.clone(), root_path::behind))
}
