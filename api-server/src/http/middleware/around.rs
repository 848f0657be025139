//! Middleware that does not wait: one step before the service inside, and one after it.
//!
//! `axum::middleware::from_fn` is for those that wait. It copies all services inside for each request and puts its future
//! into a box, which takes longer than most endpoints need.

use std::{
    ops::ControlFlow,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{extract::Request, response::Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// What is done before and after the service inside.
pub(crate) trait Middleware: Clone {
    /// What [`after`](Middleware::after) has to know of the request.
    type Kept;

    /// Reads or changes the request. `Break` has the response, which is then sent as it is; the service inside is not
    /// called.
    fn before(&self, request: &mut Request) -> ControlFlow<Response, Self::Kept>;

    /// Reads or changes the response of the service inside.
    fn after(&self, _kept: Self::Kept, response: Response) -> Response {
        response
    }
}

/// The layer that runs a middleware.
pub(crate) fn around<M>(middleware: M) -> AroundLayer<M> {
    AroundLayer(middleware)
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct AroundLayer<M>(M);

impl<M: Clone, S> Layer<S> for AroundLayer<M> {
    type Service = Around<M, S>;

    fn layer(&self, inner: S) -> Self::Service {
        let middleware = self.0.clone();
        Around { middleware, inner }
    }
}

/// A service with a middleware around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around<M, S> {
    middleware: M,
    inner: S,
}

impl<M: Middleware, S: Service<Request, Response = Response>> Service<Request> for Around<M, S> {
    type Response = Response;
    type Error = S::Error;
    type Future = AroundFuture<M, M::Kept, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match self.middleware.before(&mut request) {
            ControlFlow::Continue(kept) => AroundFuture::Called {
                inner: self.inner.call(request),
                after: Some((self.middleware.clone(), kept)),
            },
            ControlFlow::Break(response) => AroundFuture::Answered {
                response: Some(response),
            },
        }
    }
}

pin_project! {
    /// The response, once the service inside has answered.
    #[project = Progress]
    pub(crate) enum AroundFuture<M, K, F> {
        Called { #[pin] inner: F, after: Option<(M, K)> },
        Answered { response: Option<Response> },
    }
}

impl<M, F, E> Future for AroundFuture<M, M::Kept, F>
where
    M: Middleware,
    F: Future<Output = Result<Response, E>>,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Progress::Called { inner, after } => {
                let response = ready!(inner.poll(context))?;
                Poll::Ready(Ok(match after.take() {
                    Some((middleware, kept)) => middleware.after(kept, response),
                    None => response,
                }))
            }
            Progress::Answered { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                // As other futures do that were ready before.
                None => Poll::Pending,
            },
        }
    }
}
