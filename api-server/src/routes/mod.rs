//! The routes of this process.

pub(crate) mod arxiv;
pub(crate) mod arxiv_api;
pub(crate) mod endpoints;
pub(crate) mod queries;
pub(crate) mod results;
pub(crate) mod sequence;
pub(crate) mod writes;

use std::sync::Arc;

use axum::Router;
use http::Uri;
use service::{
    health::{self, Liveness, Readiness},
    metrics,
};

use crate::{
    app::App,
    auth::AccessControl,
    http::middleware::methods::fallback,
    http::middleware::{Layers, around_routes, before_routing},
    openapi, pages,
    routes::endpoints::{Endpoint, FRONTEND},
};

/// Every served endpoint with health and metrics, surrounded by what holds for all.
pub(crate) fn router(
    app: &App,
    access_control: &Arc<AccessControl>,
    layers: Layers,
    liveness: Liveness,
    readiness: Readiness,
) -> Router {
    let settings = &app.settings;
    let states = app.object_states();
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
        .merge(metrics::router(app.metrics.clone()));
    for endpoint in settings.serve.iter() {
        paths.push(endpoint.path());
        let of_endpoint = match endpoint {
            Endpoint::Arxiv => app.arxiv().map(arxiv::routes),
            Endpoint::Queries => app.query_log().map(queries::frontend),
            Endpoint::Results => app.result_pages().map(results::frontend),
            Endpoint::ArxivApi => app.fetches.clone().map(arxiv_api::routes),
            Endpoint::GetSequence => app.sequence().map(sequence::routes),
            Endpoint::ReadQueries => app.query_log().map(queries::backend),
            Endpoint::ReadResults => app.result_pages().map(results::backend),
            Endpoint::WriteQueries => app.recording().map(writes::queries),
            Endpoint::WriteResults => app.recording().map(writes::results),
        };
        if let Some(routes) = of_endpoint {
            router = router.merge(access_control.protect(endpoint, routes));
        }
    }
    if let Some(states) = states {
        paths.extend(["/arxiv/{name}", "/arxiv/{name}/events", "/arxiv/{name}/results"]);
        router = router.merge(access_control.protect(Endpoint::Arxiv, arxiv::query::routes(states)));
    }
    router = router.fallback(move |uri: Uri| async move { fallback(&paths, &uri) });
    before_routing(around_routes(router, layers), &settings.root_path)
}
