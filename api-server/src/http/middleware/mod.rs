//! The middleware, in one ordered list for each place where it is applied. The first layer of a list is the outermost: it
//! sees a request first and a response last.
//!
//! 1. [`before_routing`]: what changes where a request is routed to.
//! 2. [`around_routes`]: what holds for every request.
//! 3. `routes::route::Route::select`: which operation of the table a request is for.
//! 4. `auth::AccessControl`: whether the request may have its effect, who sends it, whether they may, and how often.
//! 5. [`around_endpoint`]: what holds for all operations of a path, and for the 405 of the others.
//! 6. [`around_operation`]: what holds for one operation.

mod access_log;
mod around;
mod compress;
mod correlate;
mod errors;
mod headers;
mod limits;
mod log;
mod metrics;
mod paths;
mod unknown_params;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{Router, error_handling::HandleErrorLayer, extract::Request, response::Response};
use http::HeaderMap;
use tower::{
    Service, ServiceBuilder,
    timeout::TimeoutLayer,
    util::{BoxCloneSyncService, MapRequestLayer, MapResponseLayer},
};
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};
use wire::{headers::vary::vary, root_path::RootPath};

pub(crate) use self::{
    access_log::{AccessLog, ShownAddress},
    around::{Middleware, around},
    compress::Compress,
    limits::{Overloaded, is_exempt},
    log::CallLog,
    metrics::HttpMetrics,
    unknown_params::AllowedParams,
};
use crate::{
    limits::headers::RateLimitHeaders,
    output::lag::{self, Lag},
};

/// Layers that change where a request is routed to.
///
/// A layer around a router runs after the route was chosen. So the router is the fallback service of another one, whose
/// layers run before. (`Router::nest` for the prefix would add it to the endpoint label of the metrics.)
pub(crate) fn before_routing(router: Router, root: RootPath) -> Router {
    let strip = (!root.as_str().is_empty()).then(|| around(paths::StripRoot(root)));
    let layers = ServiceBuilder::new()
        // Outside of the next one, as the prefix in `ROOT_PATH` has no encoded characters.
        .option_layer(strip)
        .layer(MapRequestLayer::new(paths::normalize));
    // The states make the layers once; without them, they would be made again for each request.
    let router = router.with_state(());
    Router::new()
        .fallback_service(router)
        .layer(layers)
        .with_state(())
}

/// What the layers around all routes depend on.
pub(crate) struct Layers {
    pub(crate) metrics: HttpMetrics,
    pub(crate) access_log: AccessLog,
    /// The longest that any request may take, whatever it waits for.
    pub(crate) request_timeout: Duration,
    /// How limits are described in headers.
    pub(crate) rate_limits: RateLimitHeaders,
    /// The prefix of the paths in problem details.
    pub(crate) root: RootPath,
    pub(crate) cors: Option<CorsLayer>,
}

/// Layers around every route, and around the answer to a path that is none.
///
/// Metrics, the log, and headers are outside of everything that may answer in place of a handler, so that they cover
/// those answers too. What answers in place of a handler is outside of the timeout, as it takes no time.
pub(crate) fn around_routes(router: Router, layers: Layers) -> Router {
    let rate_limits = layers.rate_limits;
    router.layer(
        ServiceBuilder::new()
            // Outermost, as each line of the log and each response has the request's id, and as the request's own line reports
            // how it ended.
            .layer(correlate::Correlate(layers.access_log))
            .layer(map_headers(headers::set_security_headers))
            // Counts and times the response as it is sent, whichever layer made it.
            .layer(around(layers.metrics))
            // Outside of all that may answer with a limit in the response's extensions.
            .map_response(move |response| rate_limits.add_to(response))
            // Outside of all that makes errors.
            .layer(around(errors::NegotiateErrors(layers.root)))
            // Refuses a request that is too long, or that comes when this process has too many.
            .layer(around(limits::CheckLimits))
            .layer(around(errors::NormalizeErrors))
            .layer(HandleErrorLayer::new(errors::of_timeout))
            .layer(TimeoutLayer::new(layers.request_timeout))
            // Inside the timeout, as its error is an error like others.
            .layer(CatchPanicLayer::custom(errors::of_panic))
            // Answers preflights, and lets the pages of allowed origins read responses; inside the layers above, so that a
            // preflight is counted and limited as other requests are.
            .option_layer(layers.cors),
    )
}

/// What answers requests, with layers or without.
pub(crate) type HandlerService = BoxCloneSyncService<Request, Response, Infallible>;

/// What the layers around the operations of a path depend on.
pub(crate) struct EndpointLayers {
    pub(crate) calls: CallLog,
    /// Whether responses have `Cache-Control: no-store`.
    pub(crate) no_store: bool,
    /// Whether responses come in several formats, chosen by `Accept`.
    pub(crate) formats: bool,
}

/// Layers around the operations of a path, inside access control.
pub(crate) fn around_endpoint<S>(operations: S, layers: EndpointLayers) -> HandlerService
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let no_store = layers.no_store.then(|| map_headers(headers::set_no_store));
    let vary_by_accept = |headers: &mut HeaderMap| vary(headers, "accept");
    let layers = ServiceBuilder::new()
        // Headers for caches, on errors too: an error at such an address may be another one, or none, the next time.
        .option_layer(no_store)
        .option_layer(layers.formats.then(|| map_headers(vary_by_accept)))
        .layer(around(log::LogCalls(layers.calls)));
    BoxCloneSyncService::new(layers.service(operations))
}

/// What the layers around one operation depend on.
pub(crate) struct OperationLayers {
    pub(crate) params: AllowedParams,
    /// Whether other parameters are an error.
    pub(crate) refuses_unknown_params: bool,
    /// Whether responses are compressed for a client that accepts it.
    pub(crate) compress: bool,
    /// The lags of the replicas that it reads from.
    pub(crate) lags: Vec<Lag>,
}

/// Layers around one operation.
pub(crate) fn around_operation(handler: HandlerService, layers: OperationLayers) -> HandlerService {
    let lags: Arc<[_]> = layers.lags.into();
    let report_lags = move |headers: &mut HeaderMap| lag::add_header(&lags, headers);
    let layers = ServiceBuilder::new()
        // Adds how far the replicas are behind.
        .layer(map_headers(report_lags))
        .option_layer(layers.compress.then(|| around(Compress)))
        // Innermost, as it answers in place of the handler.
        .layer(around(unknown_params::UnknownParams {
            allowed: layers.params,
            refused: layers.refuses_unknown_params,
        }));
    BoxCloneSyncService::new(layers.service(handler))
}

/// A layer that changes the headers of each response.
fn map_headers<F: FnOnce(&mut HeaderMap) + Clone>(
    change: F,
) -> MapResponseLayer<impl FnOnce(Response) -> Response + Clone> {
    MapResponseLayer::new(move |mut response: Response| {
        change(response.headers_mut());
        response
    })
}
