//! The routes of this process: a table of them, and their handlers.

pub(crate) mod arxiv;
pub(crate) mod arxiv_api;
mod feeds;
pub(crate) mod fuzz;
pub(crate) mod papers;
pub(crate) mod queries;
pub(crate) mod request;
pub(crate) mod results;
pub(crate) mod route;
pub(crate) mod table;
pub(crate) mod writes;

use std::sync::Arc;

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::any_service,
};
use http::{HeaderValue, StatusCode, Uri, header};
use service::{
    health::{self, Liveness, Readiness},
    metrics,
};

use self::{
    arxiv::search_params::FIELDS,
    request::{Defaults, RequestContext},
    route::{Route, SelectOperation, matches},
    table::ROUTES,
};
use crate::{
    app::{App, endpoints::Endpoint},
    auth::{AccessControl, Target},
    error::ApiError,
    http::middleware::{Layers, around, around_routes, before_routing},
    openapi::{self, Described},
    pages,
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

/// The served routes of the table, the pages and health, with all their layers; and metrics, where they have no address of
/// their own.
pub(crate) fn router(
    app: &App,
    access_control: &Arc<AccessControl>,
    layers: Layers,
    liveness: Liveness,
    readiness: Readiness,
) -> Router {
    let settings = &app.settings;
    let context = Arc::new(RequestContext {
        defaults: Defaults::of(settings),
        limits: app.limits.clone(),
    });
    let mut router = Router::new().merge(health::router(liveness, readiness));
    if settings.metrics_listen.is_none() {
        router = router.merge(metrics::router(app.metrics.clone()));
    }
    let mut mounted = Vec::new();
    for route in ROUTES.iter().filter(|route| settings.serve.has(route.endpoint)) {
        if let Some(operations) = route.mount(app) {
            let target = Target {
                path: route.endpoint.path(),
                is_backend: route.endpoint.is_backend(),
            };
            let endpoint =
                access_control.protect(target, Router::new().route(route.path, any_service(operations)));
            let select = SelectOperation::new(route, &context);
            router = router.merge(endpoint.route_layer(around(select)));
            mounted.push(route);
        }
    }
    let mut paths: Vec<_> = mounted.iter().map(|route| route.path).collect();
    app.http_metrics.begin(&paths);
    paths.extend(OTHER_PATHS);
    let document = openapi::Document {
        operations: described(&mounted),
        root: settings.root_path.clone(),
        defaults: context.defaults.of_params(),
    };
    let mut frontend = Endpoint::FRONTEND.into_iter();
    let is_searchable = frontend.all(|endpoint| settings.serve.has(endpoint));
    let router = router
        .merge(openapi::routes(&document))
        .merge(pages::routes(
            &settings.root_path,
            is_searchable.then_some(&FIELDS),
        ))
        .fallback(move |uri: Uri| async move { fallback(&paths, &uri) });
    before_routing(around_routes(router, layers), settings.root_path.clone())
}

/// The operations of these routes, as the document has them.
pub(crate) fn described(routes: &[&'static Route]) -> Vec<Described> {
    let operations = routes.iter().flat_map(|route| {
        route.operations.iter().filter_map(|operation| {
            let others = route.operations.iter();
            let others = others.filter(|other| other.describe.is_none() && other.method == operation.method);
            let others = others.flat_map(|other| other.params);
            Some(Described {
                path: route.path,
                method: operation.method,
                params: operation.params.iter().chain(others).copied().collect(),
                describe: operation.describe?,
            })
        })
    });
    operations.collect()
}

/// A redirect for a path with slashes at its end, if the one without is a route; else 404.
pub(crate) fn fallback(paths: &[&'static str], uri: &Uri) -> Response {
    let path = uri.path();
    let bare = path.trim_end_matches('/');
    let is_route = bare != path && paths.iter().any(|route| matches(route, bare));
    let target = match uri.query() {
        Some(query) => format!("{bare}?{query}"),
        None => bare.to_owned(),
    };
    match HeaderValue::from_str(&target) {
        Ok(target) if is_route => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target)]).into_response()
        }
        _ => ApiError::not_found().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_with_slash_at_its_end_redirects_to_the_route() {
        let paths = ["/results", "/arxiv", "/arxiv/{name}", "/arxiv/{name}/results"];
        let cases = [
            ("/results/", Some("/results")),
            ("/results/?page=1", Some("/results?page=1")),
            ("/results//", Some("/results")),
            ("/arxiv/", Some("/arxiv")),
            ("/arxiv/x/", Some("/arxiv/x")),
            ("/arxiv/x/results/", Some("/arxiv/x/results")),
            ("/", None),
            ("/nope/", None),
            ("/results", None),
            ("//results", None),
            ("//evil.example/", None),
            ("/arxiv/x/y/", None),
        ];
        for (uri, expected) in cases {
            let response = fallback(&paths, &uri.parse().unwrap());
            let location = response
                .headers()
                .get(header::LOCATION)
                .map(|value| value.to_str().unwrap());
            assert_eq!(location, expected, "{uri}");
            let status = if expected.is_some() { 307 } else { 404 };
            assert_eq!(response.status(), status, "{uri}");
        }
    }
}
