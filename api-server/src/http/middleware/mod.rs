//! The middleware, in one ordered list for each place where it is applied. Each layer has a file of its own. The first one of a
//! list is the outermost: it sees a request first and a response last.
//!
//! 1. [`before_routing`]: what changes where a request is routed to.
//! 2. [`around_routes`]: what holds for every request.
//! 3. `routes::route::Route::select`: which operation of the table a request is for.
//! 4. `auth::AccessControl`: whether the request may have its effect, who sends it, whether they may, and how often.
//! 5. [`around_endpoint`]: what holds for all operations of a path, and for the 405 of the others.
//! 6. [`around_operation`]: what holds for one operation.

mod calls;
mod compress;
mod error_format;
mod limits;
mod metrics;
mod no_store;
mod normalize_errors;
mod normalize_path;
mod panic;
mod rate_limit;
mod refusals;
mod request_id;
pub(crate) mod root_path;
mod security_headers;
mod timeout;
mod unknown_params;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    error_handling::HandleErrorLayer,
    middleware::{from_fn, from_fn_with_state, map_request, map_response},
    response::Response,
    routing::MethodRouter,
};
use tower::{ServiceBuilder, timeout::TimeoutLayer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::CorsLayer,
    request_id::{PropagateRequestIdLayer, SetRequestIdLayer},
};

use wire::headers::vary::vary;

use self::root_path::RootPath;
use crate::{
    app::metrics::Counts,
    limits::headers::RateLimitHeaders,
    output::lag::{self, Lag},
};
pub(crate) use calls::{CallLog, CallSource};
pub(crate) use compress::compress;
pub(crate) use limits::{Overloaded, is_exempt};
pub(crate) use request_id::REQUEST_ID;
pub(crate) use unknown_params::AllowedParams;

/// Layers that change where a request is routed to.
///
/// 1. `root_path`: removes the prefix that a proxy puts before our paths, and adds it to paths in response headers.
///    Outside of `normalize_path`, as the prefix in `ROOT_PATH` has no encoded characters.
/// 2. `normalize_path`: removes needless percent-encoding, so that each path is spelt in one way only.
///
/// A layer around a router runs after the route was chosen. So the router is the fallback service of another one, whose
/// layers run before. (`Router::nest` for the prefix would add it to the endpoint label of the metrics.)
pub(crate) fn before_routing(router: Router, root: &RootPath) -> Router {
    let router = Router::new().fallback_service(router);
    let router = router.layer(map_request(normalize_path::normalize_path));
    if root.as_str().is_empty() {
        return router;
    }
    let strip = from_fn_with_state(root.clone(), root_path::strip);
    Router::new().fallback_service(router).layer(strip)
}

/// What the layers around all routes depend on.
pub(crate) struct Layers {
    pub(crate) counts: Counts,
    /// The longest that any request may take, whatever it waits for.
    pub(crate) request_timeout: Duration,
    /// How limits are described in headers.
    pub(crate) rate_limits: Arc<RateLimitHeaders>,
    /// The prefix of the paths in problem details.
    pub(crate) root: RootPath,
    pub(crate) cors: Option<CorsLayer>,
}

/// Layers around every route, and around the answer to a path that is none.
///
/// Metrics, the log, and headers are outside of everything that may answer in place of a handler, so that they cover
/// those answers too. What answers in place of a handler is outside of the timeout, as it takes no time.
pub(crate) fn around_routes(router: Router, layers: Layers) -> Router {
    router.layer(
        ServiceBuilder::new()
            // Takes the client's request id if it is harmless in a log, else makes one; outermost, as each line of the log
            // and each response has it.
            .map_request(request_id::remove_unusable)
            .layer(SetRequestIdLayer::new(REQUEST_ID, request_id::NewRequestId))
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            // Headers that restrict browsers, on every response.
            .map_response(security_headers::set_security_headers)
            // Counts and times the response as it is sent, whichever layer made it.
            .layer(from_fn_with_state(layers.counts, metrics::record))
            // The tracing span with the request id: around everything that writes to the log.
            .layer(from_fn(request_id::in_span))
            // Logs what is refused with a 4xx: such a request may have reached no handler and so left no other line.
            .layer(from_fn(refusals::log))
            // RateLimit fields; outside of all that may answer with a limit in the response's extensions.
            .map_response(rate_limit::add_headers(layers.rate_limits))
            // Rewrites an error as problem details for a client that prefers them; outside of all that makes errors.
            .layer(from_fn_with_state(layers.root, error_format::negotiate))
            // Refuses a request that is too long, or that comes when this process has too many.
            .layer(from_fn(limits::check))
            // Gives errors of the framework, which are plain text, the form of all others.
            .layer(from_fn(normalize_errors::normalize_errors))
            // Ends a request that takes too long.
            .layer(HandleErrorLayer::new(timeout::to_response))
            .layer(TimeoutLayer::new(layers.request_timeout))
            // Answers 500 for a handler that panics; inside the timeout, as its error is an error like others.
            .layer(CatchPanicLayer::custom(panic::to_response))
            // Answers preflights, and lets the pages of allowed origins read responses; inside the layers above, so that a
            // preflight is counted and limited as other requests are.
            .option_layer(layers.cors),
    )
}

/// What the layers around the operations of a path depend on.
pub(crate) struct EndpointLayers {
    pub(crate) calls: CallSource,
    /// Whether responses have `Cache-Control: no-store`.
    pub(crate) no_store: bool,
    /// Whether responses come in several formats, chosen by `Accept`.
    pub(crate) formats: bool,
}

/// Layers around the operations of a path, inside access control.
pub(crate) fn around_endpoint(methods: MethodRouter, layers: EndpointLayers) -> MethodRouter {
    // Logs the call that a handler reports, and the status that it is answered with.
    let methods = methods.layer(from_fn_with_state(layers.calls, calls::log_calls));
    // Headers for caches, on errors too: an error at such an address may be another one, or none, the next time.
    let methods = if layers.formats {
        methods.layer(map_response(vary_by_accept))
    } else {
        methods
    };
    if layers.no_store {
        methods.layer(map_response(async |response| no_store::no_store(response)))
    } else {
        methods
    }
}

/// What the layers around one operation depend on.
pub(crate) struct OperationLayers {
    pub(crate) params: AllowedParams,
    /// Whether responses are compressed for a client that accepts it.
    pub(crate) compress: bool,
    /// The lags of the replicas that it reads from.
    pub(crate) lags: Vec<Lag>,
}

/// Layers around one operation.
pub(crate) fn around_operation(methods: MethodRouter, layers: OperationLayers) -> MethodRouter {
    // Refuses unknown parameters for a client that prefers that; innermost, as it answers in place of the handler.
    let reject = from_fn_with_state(layers.params, unknown_params::reject_unknown_params);
    let methods = methods.layer(reject);
    // Compresses what the handler answers. Around one method and not around all of a path, so that the response to a HEAD
    // has the headers of that to a GET: its body is dropped outside of this layer.
    let methods = if layers.compress {
        methods.layer(from_fn(compress))
    } else {
        methods
    };
    // Adds how far the replicas are behind.
    let add = |methods: MethodRouter, lag| methods.layer(from_fn_with_state(lag, lag::add_header));
    layers.lags.into_iter().fold(methods, add)
}

async fn vary_by_accept(mut response: Response) -> Response {
    vary(response.headers_mut(), "accept");
    response
}
