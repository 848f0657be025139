//! The routes of this process: a table of them, and their handlers.

pub(crate) mod arxiv;
pub(crate) mod arxiv_api;
pub(crate) mod context;
pub(crate) mod endpoints;
mod fallback;
pub(crate) mod fuzz;
pub(crate) mod queries;
pub(crate) mod results;
pub(crate) mod route;
pub(crate) mod sequence;
pub(crate) mod table;
pub(crate) mod writes;

use std::sync::Arc;

use axum::{Router, middleware::from_fn};
use http::Uri;
use service::{
    health::{self, Liveness, Readiness},
    metrics,
};

use self::{endpoints::Endpoint, fallback::fallback, table::ROUTES};
use crate::{
    app::App,
    auth::AccessControl,
    http::middleware::{Layers, around_routes, before_routing},
    openapi, pages,
};

/// Paths that are not in the table.
const OTHER_PATHS: [&str; 6] = [
    "/healthz",
    "/readyz",
    "/metrics",
    pages::DOCS_PATH,
    pages::REDOC_PATH,
    openapi::PATH,
];

/// The served routes of the table, the pages, health and metrics, with all their layers.
pub(crate) fn router(
    app: &App,
    access_control: &Arc<AccessControl>,
    layers: Layers,
    liveness: Liveness,
    readiness: Readiness,
) -> Router {
    let settings = &app.settings;
    let mut router = Router::new()
        .merge(health::router(liveness, readiness))
        .merge(metrics::router(app.metrics.clone()));
    let mut mounted = Vec::new();
    for route in ROUTES.iter().filter(|route| settings.serve.has(route.endpoint)) {
        if let Some(methods) = route.mount(app) {
            let endpoint = Router::new().route(route.path, methods);
            let endpoint = access_control.protect(route.target(), endpoint);
            let select = from_fn(|request, next| route.select(request, next));
            router = router.merge(endpoint.route_layer(select));
            mounted.push(route);
        }
    }
    let mut frontend = Endpoint::all()
        .into_iter()
        .filter(|endpoint| endpoint.is_frontend());
    let searchable = frontend.all(|endpoint| settings.serve.has(endpoint));
    let paths: Vec<_> = mounted
        .iter()
        .map(|route| route.path)
        .chain(OTHER_PATHS)
        .collect();
    let router = router
        .merge(openapi::routes(&settings.described(mounted)))
        .merge(pages::routes(&settings.root_path, searchable))
        .fallback(move |uri: Uri| async move { fallback(&paths, &uri) });
    before_routing(around_routes(router, layers), settings.root_path.clone())
}
