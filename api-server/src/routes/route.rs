//! What the table of routes is made of: a [`Route`] for each path, with an [`Operation`] for each thing that a client
//! can do there.

use std::{fmt, ptr, sync::Arc};

use axum::{
    extract::{FromRequest, Request},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{MethodRouter, any},
};
use futures::future::BoxFuture;
use http::{Method, Uri};
use tower::ServiceExt;
use wire::{declared::Param, query::QueryString};

use crate::{
    app::App,
    auth::{Effect, Target},
    http::method_not_allowed,
    http::middleware::{CallSource, EndpointLayers, OperationLayers, around_endpoint, around_operation},
    openapi,
    output::lag::Lag,
    routes::context::RequestContext,
    routes::endpoints::Endpoint,
};

/// One path.
#[derive(Debug)]
pub(crate) struct Route {
    /// With `{name}` for the name of a query.
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
    pub(crate) head: bool,
    /// Which requests it is for, where several operations have the same method: the first that accepts a query answers.
    pub(crate) accepts: fn(&QueryString) -> bool,
    pub(crate) effect: Effect,
    /// Whose lag the response reports.
    pub(crate) replicas: &'static [Replica],
    /// The query parameters, as the extractor declares them.
    pub(crate) params: &'static [&'static [Param]],
    /// The handler with its state; `None` where this process lacks what the operation needs.
    pub(crate) handler: fn(&App) -> Option<MethodRouter>,
    /// Its description; `None` where it is part of that of the operation before, which has the same method.
    pub(crate) describe: Option<Describe>,
    /// Reads a request as the handler would, for tests and fuzz targets.
    pub(crate) read: Read,
}

type Describe = fn(&mut openapi::Schemas) -> openapi::Operation;
type Read = fn(Request, RequestContext) -> BoxFuture<'static, Result<String, Response>>;

/// A read-only database whose lag is known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Replica {
    Queries,
    Results,
}

/// The query parameters that an extractor reads.
pub(crate) trait Declared {
    const PARAMS: &'static [&'static [Param]];
}

impl Operation {
    /// An operation whose handler reads the request by the extractor `R`. (`M` is inferred.)
    pub(crate) const fn new<R, M>(
        method: &'static str,
        handler: fn(&App) -> Option<MethodRouter>,
        describe: Option<Describe>,
    ) -> Self
    where
        R: Declared + fmt::Debug + FromRequest<RequestContext, M> + 'static,
        M: 'static,
    {
        Self {
            method,
            head: true,
            accepts: |_| true,
            effect: Effect::None,
            replicas: &[],
            params: R::PARAMS,
            handler,
            describe,
            read: read::<R, M>,
        }
    }

    /// It does more than to answer.
    pub(crate) const fn effect(self, effect: Effect) -> Self {
        Self { effect, ..self }
    }

    /// HEAD is not allowed: the operation has no use without a body.
    pub(crate) const fn no_head(self) -> Self {
        Self { head: false, ..self }
    }

    /// It is only for such requests.
    pub(crate) const fn only_if(self, accepts: fn(&QueryString) -> bool) -> Self {
        Self { accepts, ..self }
    }

    /// It reads from these.
    pub(crate) const fn reads_from(self, replicas: &'static [Replica]) -> Self {
        Self { replicas, ..self }
    }
}

fn read<R, M>(request: Request, context: RequestContext) -> BoxFuture<'static, Result<String, Response>>
where
    R: fmt::Debug + FromRequest<RequestContext, M> + 'static,
    M: 'static,
{
    Box::pin(async move {
        match R::from_request(request, &context).await {
            Ok(read) => Ok(format!("{read:?}")),
            Err(error) => Err(error.into_response()),
        }
    })
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("method", &self.method)
            .field("effect", &self.effect)
            .finish_non_exhaustive()
    }
}

/// The operation that a request is for, in its extensions.
#[derive(Clone, Copy)]
struct Selected(&'static Operation);

impl Route {
    /// Whether a path is one of this route.
    pub(crate) fn matches(&self, path: &str) -> bool {
        matches(self.path, path)
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

    /// The layer that marks a request with its operation, and with what the operation does.
    pub(crate) async fn select(&self, mut request: Request, next: Next) -> Response {
        if let Some(operation) = self.operation(request.method(), request.uri()) {
            request.extensions_mut().insert(Selected(operation));
            request.extensions_mut().insert(operation.effect);
        }
        next.run(request).await
    }

    /// What access control knows this route by.
    pub(crate) fn target(&self) -> Target {
        Target {
            path: self.endpoint.path(),
            is_backend: self.endpoint.is_backend(),
        }
    }

    /// The handlers with their layers; `None` where this process has none of them.
    pub(crate) fn mount(&self, app: &App) -> Option<MethodRouter> {
        let operations = self.operations.iter();
        let mounted: Arc<[_]> = operations
            .filter_map(|operation| Some((operation, self.layered(operation, app)?)))
            .collect();
        if mounted.is_empty() {
            return None;
        }
        let allow = self.allow;
        let methods = any(move |request: Request| dispatch(Arc::clone(&mounted), allow, request));
        let layers = EndpointLayers {
            calls: CallSource::new(self.endpoint.is_backend(), self.path),
            no_store: self.no_store,
            formats: self.formats,
        };
        Some(around_endpoint(methods, layers))
    }

    fn layered(&self, operation: &Operation, app: &App) -> Option<MethodRouter> {
        let methods = (operation.handler)(app)?;
        let replicas = operation.replicas.iter();
        let layers = OperationLayers {
            params: operation.params,
            compress: self.formats,
            lags: replicas.filter_map(|replica| replica.lag(app)).collect(),
        };
        Some(around_operation(methods, layers))
    }
}

/// Whether a path is one of a route, whose `{name}` stands for any one segment.
pub(crate) fn matches(route: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    route.split('/').all(|expected| {
        segments
            .next()
            .is_some_and(|segment| segment == expected || (expected == "{name}" && !segment.is_empty()))
    }) && segments.next().is_none()
}

/// Calls the handler of the operation that was selected; 405 if there is none.
async fn dispatch(
    operations: Arc<[(&'static Operation, MethodRouter)]>,
    allow: &'static str,
    request: Request,
) -> Response {
    let selected = request.extensions().get::<Selected>();
    let handler = selected.and_then(|Selected(selected)| {
        let mut operations = operations.iter();
        operations.find(|(operation, _)| ptr::eq(*operation, *selected))
    });
    match handler {
        Some((_, methods)) => {
            let Ok(response) = methods.clone().oneshot(request).await;
            response
        }
        None => method_not_allowed(allow),
    }
}

impl Replica {
    fn lag(self, app: &App) -> Option<Lag> {
        match self {
            Self::Queries => app.query_log().map(|log| log.lag),
            Self::Results => app.result_pages().map(|pages| pages.lag),
        }
    }
}
