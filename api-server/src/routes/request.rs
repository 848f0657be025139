//! What handlers read from requests: a [`ReadRequest`] says what, and [`Input`] is the extractor of it.

use std::{convert::Infallible, fmt, mem, sync::Arc};

use arxiv::MAX_PAGE;
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request},
};
use http::{HeaderMap, request::Parts};
use wire::{body, dates::Zone, declared::Param, json::Json, query::QueryString};

use crate::{
    app::settings::Settings,
    error::ApiError,
    http::events::last_seen,
    limits::{
        ProcessLimits,
        client::Client,
        rate::Charge,
        request_body::{BodyLimit, BodyLimits, RequestBody, read_body},
    },
};

/// The settings that the meaning of a request depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub(crate) max_results: u32,
    /// The highest `priority` that a user may ask for.
    pub(crate) max_priority: i32,
    pub(crate) page: i64,
    pub(crate) items_per_page: i64,
    /// Of dates without an offset.
    pub(crate) zone: Zone,
}

impl Defaults {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            max_results: settings.default_max_query_results,
            max_priority: settings.arxiv_max_priority,
            page: settings.results_default_page,
            items_per_page: settings.results_default_items_per_page,
            zone: settings.timezone_offset,
        }
    }

    /// These by the names of their parameters.
    pub(crate) fn of_params(&self) -> [(&'static str, i64); 3] {
        [
            ("max_results", self.max_results.into()),
            ("page", self.page),
            ("items_per_page", self.items_per_page),
        ]
    }
}

/// What reading a request needs besides the request; in the extensions of each one that is for an operation.
pub(crate) struct RequestContext {
    pub(crate) defaults: Defaults,
    pub(crate) limits: ProcessLimits,
}

impl RequestContext {
    /// With the default settings, for tests and fuzz targets; `None` never happens.
    pub(crate) fn with_default_settings() -> Option<Arc<Self>> {
        let defaults = Defaults {
            max_results: 8,
            max_priority: crd::fields::MAX_PRIORITY,
            page: 0,
            items_per_page: 10,
            zone: "2".parse().ok()?,
        };
        let limits = ProcessLimits::default();
        Some(Arc::new(Self { defaults, limits }))
    }
}

/// A request that is being read.
pub(crate) struct Incoming {
    pub(crate) parts: Parts,
    body: Body,
    pub(crate) context: Arc<RequestContext>,
}

impl Incoming {
    pub(crate) fn new(request: Request, context: Arc<RequestContext>) -> Self {
        let (parts, body) = request.into_parts();
        Self { parts, body, context }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    pub(crate) fn query(&self) -> QueryString {
        QueryString::parse(self.parts.uri.query())
    }

    pub(crate) fn defaults(&self) -> &Defaults {
        &self.context.defaults
    }

    /// The highest `priority` that the sender may ask for: an anonymous one must not come before others.
    pub(crate) fn max_priority(&self) -> i32 {
        let most = self.context.defaults.max_priority;
        let client = self.parts.extensions.get::<Client>();
        match client.and_then(Client::user_name) {
            Some(_) => most,
            None => most.min(0),
        }
    }

    /// The body as JSON.
    pub(crate) async fn json(&mut self, limit: BodyLimit) -> Result<Json, ApiError> {
        let body = self.body(limit).await?;
        Ok(body::read(self.headers(), &body.bytes)?)
    }

    /// Reads the body within the limit, on the account of the request's client.
    pub(crate) async fn body(&mut self, limit: BodyLimit) -> Result<RequestBody, ApiError> {
        let body = mem::take(&mut self.body);
        let limits = BodyLimits {
            memory: &self.context.limits.request_bodies,
            decodings: &self.context.limits.decodings,
        };
        let client = self.parts.extensions.get();
        read_body(limits, client, &self.parts.headers, body, limit).await
    }
}

/// What a handler reads from a request, checked.
pub(crate) trait ReadRequest: fmt::Debug + Send + Sized + 'static {
    /// The query parameters that are read.
    const PARAMS: &'static [&'static [Param]] = &[];

    fn read(request: Incoming) -> impl Future<Output = Result<Self, ApiError>> + Send;
}

/// Nothing.
impl ReadRequest for () {
    async fn read(_: Incoming) -> Result<Self, ApiError> {
        Ok(())
    }
}

/// The extractor of what a handler reads.
pub(crate) struct Input<R>(pub(crate) R);

/// What is read from a request for events.
#[derive(Debug)]
pub(crate) struct FollowRequest {
    /// The id of the event that the client saw last.
    pub(crate) last_event_id: Option<String>,
}

impl ReadRequest for FollowRequest {
    async fn read(request: Incoming) -> Result<Self, ApiError> {
        let last_event_id = last_seen(request.headers());
        Ok(Self { last_event_id })
    }
}

impl<R: ReadRequest, S: Sync> FromRequest<S> for Input<R> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        // The middleware has set it on every request for an operation.
        let context = request.extensions().get().cloned();
        let request = Incoming::new(request, context.ok_or_else(ApiError::internal)?);
        R::read(request).await.map(Self)
    }
}

/// Who sends the request.
impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // Access control has set it on every request that it let pass.
        parts.extensions.get().cloned().ok_or_else(ApiError::internal)
    }
}

/// What a search takes from the rate limit of its client.
pub(crate) struct SearchCharge(Option<Charge>);

impl SearchCharge {
    /// Takes what a search for so many results takes; 429 if that is more than is left.
    pub(crate) fn take(&self, max_results: i32) -> Result<(), ApiError> {
        let requests = u32::try_from(max_results).unwrap_or(0).div_ceil(MAX_PAGE);
        self.0
            .as_ref()
            .map_or(Ok(()), |charge| charge.take_rest(requests))
    }
}

impl<S: Sync> FromRequestParts<S> for SearchCharge {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // Access control sets it where there is a limit.
        Ok(Self(parts.extensions.get().cloned()))
    }
}
