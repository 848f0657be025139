//! The middleware, in one ordered list for each place where it is applied: [`before_routing`] and [`around_routes`]. Each layer
//! has a file of its own. The first one of a list is the outermost: it sees a request first and a response last.

pub(crate) mod calls;
pub(crate) mod compress;
mod error_format;
mod limits;
pub(crate) mod methods;
mod metrics;
mod normalize_errors;
mod normalize_path;
mod panic;
mod rate_limit;
mod refusals;
mod request_id;
pub(crate) mod root_path;
mod security_headers;
mod timeout;
pub(crate) mod unknown_params;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    error_handling::HandleErrorLayer,
    middleware::{from_fn, from_fn_with_state, map_request},
};
use tower::{ServiceBuilder, timeout::TimeoutLayer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::CorsLayer,
    request_id::{PropagateRequestIdLayer, SetRequestIdLayer},
};

use self::root_path::RootPath;
use crate::{app::metrics::Counts, limits::headers::RateLimitHeaders};
pub(crate) use limits::{Overloaded, is_exempt};
pub(crate) use request_id::REQUEST_ID;

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
            .option_layer(layers.cors)
            // Logs each call of an endpoint: that it was made, and what it is answered.
            .layer(from_fn(calls::log_calls)),
    )
}
