//! The layer in front of an endpoint that admits requests, or answers them.
//!
//! In this order:
//! 1. Reject requests that a browser sends to the name of another site, and cross-site requests with side effects.
//! 2. Authenticate and authorize the client.
//! 3. Limit the client's rate of searches and removals.
//!
//! Where no token is required, it does not wait. `axum::middleware::from_fn`, which always may, copies all services inside
//! for each request and puts its future into a box.

use std::{
    convert::Infallible,
    mem,
    ops::ControlFlow,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use futures::{FutureExt, future::BoxFuture};
use http::request::Parts;
use k8s_openapi::api::authentication::v1::UserInfo;
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use wire::headers::vary::vary;

use super::{AccessControl, Effect, Target, caller::Caller, correlation::Correlation, origins::Own};
use crate::{
    error::{ApiError, Code},
    limits::client::{ClientAddress, OverTls, SentTo},
    limits::rate::Charge,
};

const CROSS_SITE: &str = "This request was sent by a page of another site, which must not change anything here. If it is a page of \
                          this service, behind a proxy that changes the host name, ask the operator of this service to add \
                          the page's origin to PUBLIC_ORIGINS; to allow another site, to CORS_ALLOWED_ORIGINS. Or open the \
                          address directly";

/// 403, with the beginning of the name.
fn foreign_host(host: &str) -> ApiError {
    let host: String = host.chars().take(100).collect();
    let text = format!(
        "A browser has sent this request to the host name {host:?}, which is not known here: ask the operator of this service \
         to add the name to ALLOWED_HOSTS"
    );
    ApiError::new(Code::ForeignHost, text)
}

/// The layer.
#[derive(Clone)]
pub(super) struct AdmissionLayer {
    pub(super) control: Arc<AccessControl>,
    pub(super) target: Target,
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Admission<S> {
        let layer = self.clone();
        Admission { layer, inner }
    }
}

#[derive(Clone)]
pub(super) struct Admission<S> {
    layer: AdmissionLayer,
    inner: S,
}

impl<S> Service<Request> for Admission<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = AdmissionFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let effect = match self.layer.check(&head) {
            Ok(effect) => effect,
            Err(error) => return AdmissionFuture::answered(error.into_response()),
        };
        if !self.layer.is_protected() {
            return match self.layer.admit(&mut head, effect, None) {
                ControlFlow::Continue(charge) => AdmissionFuture::Called {
                    inner: self.inner.call(Request::from_parts(head, body)),
                    charge,
                },
                ControlFlow::Break(response) => AdmissionFuture::answered(response),
            };
        }
        let another = self.inner.clone();
        // The one that is ready.
        let mut inner = mem::replace(&mut self.inner, another);
        let layer = self.layer.clone();
        let answer = async move {
            let admitted = match layer.authorize(&head).await {
                Ok(user) => layer.admit(&mut head, effect, Some(user)),
                Err(error) => ControlFlow::Break(error.into_response()),
            };
            let mut response = match admitted {
                ControlFlow::Continue(charge) => {
                    let Ok(response) = inner.call(Request::from_parts(head, body)).await;
                    charged(response, charge)
                }
                ControlFlow::Break(response) => response,
            };
            // A response that depends on the caller must not be cached for other callers.
            vary(response.headers_mut(), "authorization");
            response
        };
        AdmissionFuture::Authorized {
            answer: answer.boxed(),
        }
    }
}

impl AdmissionLayer {
    fn is_protected(&self) -> bool {
        self.control.protected.has(self.target.is_backend)
    }

    /// What the request does, if it may be sent at all, whoever sends it.
    fn check(&self, head: &Parts) -> Result<Effect, ApiError> {
        let nowhere = SentTo::default();
        let address = head.extensions.get();
        let sent_to = address.map_or(&nowhere, |ClientAddress(_, sent_to)| sent_to);
        if let Some(host) = self.control.hosts.foreign(&head.uri, &head.headers, sent_to) {
            return Err(foreign_host(&host));
        }
        // A request without an operation is answered 405, and has no effect.
        let effect = head.extensions.get().copied().unwrap_or(Effect::None);
        let own = Own {
            origins: &self.control.public_origins,
            sent_to,
            over_tls: head.extensions.get::<OverTls>().is_some(),
        };
        if effect != Effect::None && self.control.origins.is_cross_site(&head.headers, own) {
            return Err(ApiError::new(Code::CrossSite, CROSS_SITE));
        }
        Ok(effect)
    }

    /// The user of the request's token, if a role lets it call this endpoint.
    async fn authorize(&self, head: &Parts) -> Result<Arc<UserInfo>, ApiError> {
        let address = address(head)?;
        let kubernetes = self.control.kubernetes.as_ref().ok_or_else(ApiError::internal)?;
        kubernetes
            .authorize(&address.0, &head.headers, &head.method, self.target.path)
            .await
    }

    /// Notes who sends the request, and takes what it takes from the rate limit; the answer if that is too much.
    fn admit(
        &self,
        head: &mut Parts,
        effect: Effect,
        user: Option<Arc<UserInfo>>,
    ) -> ControlFlow<Response, Option<Charge>> {
        let address = match address(head) {
            Ok(ClientAddress(address, _)) => address.clone(),
            Err(error) => return ControlFlow::Break(error.into_response()),
        };
        let kubernetes = self.control.kubernetes.clone();
        let caller = Caller::new(kubernetes, address, head, self.target.path, user);
        let client = caller.client();
        if let Some(correlation) = head.extensions.get::<Correlation>() {
            correlation.note_client(&client);
        }
        let limiter = self.control.rate_limiter.as_ref();
        let limiter = limiter.filter(|_| effect == Effect::Counted);
        let taken = limiter.map(|limiter| Charge::new(limiter, client.key()));
        head.extensions.insert(client);
        head.extensions.insert(caller);
        let Some((charge, taken)) = taken else {
            return ControlFlow::Continue(None);
        };
        if let Err(error) = taken {
            return ControlFlow::Break(charged(error.into_response(), Some(charge)));
        }
        head.extensions.insert(charge.clone());
        ControlFlow::Continue(Some(charge))
    }
}

/// The server sets it on every request.
fn address(head: &Parts) -> Result<&ClientAddress, ApiError> {
    head.extensions.get().ok_or_else(ApiError::internal)
}

/// The response with what is left of the rate limit.
fn charged(mut response: Response, charge: Option<Charge>) -> Response {
    if let Some(charge) = charge {
        charge.add_headers(response.headers_mut());
    }
    response
}

pin_project! {
    /// The response, of the endpoint or of this layer.
    #[project = Progress]
    pub(super) enum AdmissionFuture<F> {
        Called { #[pin] inner: F, charge: Option<Charge> },
        Answered { response: Option<Response> },
        Authorized { answer: BoxFuture<'static, Response> },
    }
}

impl<F> AdmissionFuture<F> {
    fn answered(response: Response) -> Self {
        Self::Answered {
            response: Some(response),
        }
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for AdmissionFuture<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match self.project() {
            Progress::Called { inner, charge } => charged(ready!(inner.poll(context))?, charge.take()),
            Progress::Answered { response } => match response.take() {
                Some(response) => response,
                // As other futures do that were ready before.
                None => return Poll::Pending,
            },
            Progress::Authorized { answer } => ready!(answer.as_mut().poll(context)),
        };
        Poll::Ready(Ok(response))
    }
}
