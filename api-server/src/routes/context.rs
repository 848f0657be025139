//! What extractors need besides the request: the settings that its meaning depends on, and the memory for its body.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Request};
use http::request::Parts;
use wire::{dates::Zone, declared::Param, query::QueryString};

use crate::{
    error::ApiError,
    limits::{
        ProcessLimits,
        client::Client,
        request_body::{BodyLimit, RequestBody, read_body},
        slots::Slots,
    },
    routes::arxiv::new_query::Limits,
    routes::results::PageDefaults,
    routes::route::Declared,
};

/// Part of the state of each handler whose request is read by a typed extractor.
#[derive(Clone)]
pub(crate) struct RequestContext {
    pub(crate) defaults: Defaults,
    bodies: Slots,
    pub(crate) long_bodies: Slots,
}

/// The settings that the meaning of a request depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub(crate) query: Limits,
    pub(crate) page: PageDefaults,
    /// Of dates without an offset.
    pub(crate) zone: Zone,
}

impl RequestContext {
    pub(crate) fn new(defaults: Defaults, limits: &ProcessLimits) -> Self {
        Self {
            defaults,
            bodies: limits.request_bodies.clone(),
            long_bodies: limits.long_bodies.clone(),
        }
    }

    /// Reads the body of a request within the limit, on the account of the request's client.
    pub(crate) async fn read_body(
        &self,
        request: Request,
        limit: BodyLimit,
    ) -> Result<(Parts, RequestBody), ApiError> {
        let (parts, body) = request.into_parts();
        let client = parts.extensions.get();
        let body = read_body(&self.bodies, client, &parts.headers, body, limit).await?;
        Ok((parts, body))
    }

    /// With the default settings, for tests and fuzz targets; `None` never happens.
    pub(crate) fn with_default_settings() -> Option<Self> {
        let defaults = Defaults {
            query: Limits {
                default_max_results: 8,
                max_priority: crd::fields::MAX_PRIORITY,
            },
            page: PageDefaults {
                page: 0,
                items_per_page: 10,
            },
            zone: Zone::new(2)?,
        };
        Some(Self::new(defaults, &ProcessLimits::default()))
    }
}

/// Nothing is read from the request's query or body.
#[derive(Debug)]
pub(crate) struct NoParams;

impl Declared for NoParams {
    const PARAMS: &'static [&'static [Param]] = &[];
}

impl<S: Sync> FromRequestParts<S> for NoParams {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

/// The query string of a request.
pub(crate) fn query_string(parts: &Parts) -> QueryString {
    QueryString::parse(parts.uri.query())
}

/// Who sends the request.
impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // Access control has set it on every request that it let pass.
        parts.extensions.get().cloned().ok_or_else(ApiError::internal)
    }
}
