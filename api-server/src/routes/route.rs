//! What the table of routes is made of: a [`Route`] for each path, with an [`Operation`] for each thing that a client
//! can do there.

use std::{convert::Infallible, ops::ControlFlow, ptr, sync::Arc};

use axum::{extract::Request, handler::Handler, response::Response};
use futures::future::BoxFuture;
use http::{Method, Uri};
use tower::{ServiceExt, service_fn, util::BoxCloneSyncService};
use wire::{declared::Param, query::QueryString};

use crate::{
    app::{App, endpoints::Endpoint, stores::Stores},
    auth::Effect,
    error::ApiError,
    http::method_not_allowed,
    http::middleware::{
        CallLog, EndpointLayers, HandlerService, Middleware, OperationLayers, around_endpoint,
        around_operation,
    },
    openapi,
    output::lag::Lag,
    routes::request::{Incoming, ReadRequest, RequestContext},
};

/// The end of a path that is an identifier.
const REST: &str = "{*id}";

/// One path.
pub(crate) struct Route {
    /// With `{name}` for the name of a query, and `{*id}` for an identifier of arXiv's, which may have slashes.
    pub(crate) path: &'static str,
    /// The endpoint that it belongs to: `SERVE` chooses endpoints, and Kubernetes' roles name their paths.
    pub(crate) endpoint: Endpoint,
    /// `Allow` of a 405, as the existing service has it.
    pub(crate) allow: &'static str,
    /// Whether responses have `Cache-Control: no-store`; else a handler says how long its response may be kept.
    pub(crate) no_store: bool,
    /// Whether responses come in several formats, chosen by `Accept` and compressed by `Accept-Encoding`.
    pub(crate) formats: bool,
    pub(crate) operations: &'static [Operation],
}

/// What a client can do at a path with one method.
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    /// Whether HEAD is answered as this GET is.
    head: bool,
    /// Which requests it is for, where several operations have the same method: the first that accepts a query answers.
    accepts: fn(&QueryString) -> bool,
    pub(crate) effect: Effect,
    /// The lags that the response reports.
    lags: &'static [LagOf],
    /// The query parameters, as the extractor declares them.
    pub(crate) params: &'static [&'static [Param]],
    /// Whether other query parameters are an error, as the existing service does not have this operation.
    is_new: bool,
    /// The handler with its state; `None` where this process lacks what the operation needs.
    handler: fn(&App) -> Option<HandlerService>,
    /// Its description; `None` where it is part of that of the next operation, which has the same method.
    pub(crate) describe: Option<openapi::Describe>,
    /// Reads a request as the handler would, for tests and fuzz targets.
    pub(crate) read: fn(Incoming) -> BoxFuture<'static, Result<String, ApiError>>,
}

/// A handler with its state.
pub(crate) fn service<H: Handler<T, S>, T: 'static, S: Clone + Send + Sync + 'static>(
    handler: H,
    state: S,
) -> HandlerService {
    BoxCloneSyncService::new(handler.with_state(state))
}

/// The lag of a read-only database.
pub(crate) type LagOf = fn(&Stores) -> &Lag;

impl Operation {
    /// An operation whose handler reads an `R` from the request.
    pub(crate) const fn new<R: ReadRequest>(
        method: &'static str,
        describe: Option<openapi::Describe>,
        handler: fn(&App) -> Option<HandlerService>,
    ) -> Self {
        Self {
            method,
            head: true,
            accepts: |_| true,
            effect: Effect::None,
            lags: &[],
            params: R::PARAMS,
            is_new: false,
            handler,
            describe,
            read: |request| Box::pin(async { Ok(format!("{:?}", R::read(request).await?)) }),
        }
    }

    pub(crate) const fn effect(self, effect: Effect) -> Self {
        Self { effect, ..self }
    }

    /// HEAD is not allowed: the operation has no use without a body.
    pub(crate) const fn no_head(self) -> Self {
        Self { head: false, ..self }
    }

    /// The existing service does not have it: unknown query parameters are an error.
    pub(crate) const fn new_here(self) -> Self {
        Self { is_new: true, ..self }
    }

    /// It is only for such requests.
    pub(crate) const fn only_if(self, accepts: fn(&QueryString) -> bool) -> Self {
        Self { accepts, ..self }
    }

    pub(crate) const fn reads_from(self, lags: &'static [LagOf]) -> Self {
        Self { lags, ..self }
    }

    fn mount(&self, app: &App, compress: bool) -> Option<HandlerService> {
        let layers = OperationLayers {
            params: self.params,
            refuses_unknown_params: self.is_new,
            compress,
            lags: self.lags.iter().map(|lag| lag(&app.stores).clone()).collect(),
        };
        Some(around_operation((self.handler)(app)?, layers))
    }
}

/// The operation that a request is for, in its extensions.
#[derive(Clone, Copy)]
struct Selected(&'static Operation);

impl Route {
    /// A route at an endpoint's own path, without operations; the other members as most routes have them.
    pub(crate) const fn of(endpoint: Endpoint) -> Self {
        Self {
            path: endpoint.path(),
            endpoint,
            allow: "GET",
            no_store: false,
            formats: false,
            operations: &[],
        }
    }

    /// The operation that a request is for. The only place where that is decided.
    pub(crate) fn operation(&self, method: &Method, uri: &Uri) -> Option<&'static Operation> {
        let allowed = |operation: &&Operation| {
            method == operation.method
                || (method == Method::HEAD && operation.method == "GET" && operation.head)
        };
        let mut allowed = self.operations.iter().filter(allowed);
        let first = allowed.next()?;
        // Nearly always there is just one, and the query need not be read for it.
        if allowed.next().is_none() {
            return Some(first);
        }
        let query = QueryString::parse(uri.query());
        let mut operations = self.operations.iter();
        operations.find(|operation| method == operation.method && (operation.accepts)(&query))
    }

    /// The handlers with their layers; `None` where this process has none of them.
    pub(crate) fn mount(&self, app: &App) -> Option<HandlerService> {
        let operations = self.operations.iter();
        let mounted: Arc<[_]> = operations
            .filter_map(|operation| Some((operation, operation.mount(app, self.formats)?)))
            .collect();
        if mounted.is_empty() {
            return None;
        }
        let allow = self.allow;
        let operations = service_fn(move |request| dispatch(Arc::clone(&mounted), allow, request));
        let layers = EndpointLayers {
            calls: CallLog::new(self.endpoint.is_backend(), self.path),
            no_store: self.no_store,
            formats: self.formats,
        };
        Some(around_endpoint(operations, layers))
    }
}

/// The middleware that marks a request with its operation, with what the operation does, and with what it is read by.
#[derive(Clone)]
pub(crate) struct SelectOperation {
    route: &'static Route,
    context: Arc<RequestContext>,
}

impl SelectOperation {
    pub(crate) fn new(route: &'static Route, context: &Arc<RequestContext>) -> Self {
        let context = Arc::clone(context);
        Self { route, context }
    }
}

impl Middleware for SelectOperation {
    type Kept = ();

    fn before(&self, request: &mut Request) -> ControlFlow<Response> {
        let operation = self.route.operation(request.method(), request.uri());
        let extensions = request.extensions_mut();
        if let Some(operation) = operation {
            extensions.insert(Selected(operation));
            extensions.insert(operation.effect);
        }
        extensions.insert(Arc::clone(&self.context));
        ControlFlow::Continue(())
    }
}

/// Whether a path is one of a route, whose `{name}` is any one segment and whose `{*id}` is all that follows.
pub(crate) fn matches(route: &str, path: &str) -> bool {
    if let Some(before) = route.strip_suffix(REST) {
        return path.strip_prefix(before).is_some_and(|rest| !rest.is_empty());
    }
    let is_same =
        |(expected, segment)| expected == segment || (expected == "{name}" && !str::is_empty(segment));
    route.split('/').count() == path.split('/').count() && route.split('/').zip(path.split('/')).all(is_same)
}

/// Calls the handler of the operation that was selected; 405 if there is none.
async fn dispatch(
    operations: Arc<[(&'static Operation, HandlerService)]>,
    allow: &'static str,
    request: Request,
) -> Result<Response, Infallible> {
    let selected = request.extensions().get::<Selected>();
    let handler = selected.and_then(|Selected(selected)| {
        let mut operations = operations.iter();
        operations.find(|(operation, _)| ptr::eq(*operation, *selected))
    });
    match handler {
        Some((_, handler)) => handler.clone().oneshot(request).await,
        None => Ok(method_not_allowed(allow)),
    }
}
