//! The outermost middleware: the id and the trace of a request, the span around each line of the log that it causes, and
//! its own line when it has ended.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, HttpBody},
    extract::{MatchedPath, Request},
    response::Response,
};
use http::{HeaderValue, StatusCode};
use hyper::body::{Bytes, Frame, SizeHint};
use pin_project_lite::pin_project;
use service::traces;
use tower::{Layer, Service};
use tracing::{
    Span,
    field::{Empty, display},
};

use super::{
    access_log::{AccessLog, Entry},
    limits::is_exempt,
    metrics::method_name,
};
use crate::auth::correlation::{Correlation, REQUEST_ID};

/// The layer.
#[derive(Clone)]
pub(super) struct Correlate(pub(super) AccessLog);

impl<S> Layer<S> for Correlate {
    type Service = Correlated<S>;

    fn layer(&self, inner: S) -> Correlated<S> {
        let log = self.0.clone();
        Correlated { log, inner }
    }
}

#[derive(Clone)]
pub(super) struct Correlated<S> {
    log: AccessLog,
    inner: S,
}

impl<S: Service<Request, Response = Response>> Service<Request> for Correlated<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = CorrelatedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let mut correlation = Correlation::of(request.headers());
        let span = span(&mut correlation, &request);
        let entry = self.log.begin(&request, &correlation, &span);
        let id = Some(correlation.header().clone());
        request.extensions_mut().insert(correlation);
        let inner = span.in_scope(|| self.inner.call(request));
        CorrelatedFuture {
            inner,
            span,
            id,
            entry,
        }
    }
}

/// The span around the lines of the log.
fn span(correlation: &mut Correlation, request: &Request) -> Span {
    // At the most urgent level, so that no line of any level lacks the ids.
    if !traces::are_on() || is_exempt(request.uri()) {
        return tracing::error_span!(
            "probe",
            request_id = correlation.request_id(),
            trace_id = %correlation.trace().shown_trace_id()
        );
    }
    let span = tracing::error_span!(
        "request",
        otel.kind = "server",
        otel.name = Empty,
        request_id = correlation.request_id(),
        trace_id = Empty
    );
    let (method, route) = (
        method_name(request.method()),
        request.extensions().get::<MatchedPath>(),
    );
    let route = route.map_or("other", MatchedPath::as_str);
    span.record("otel.name", format!("{method} {route}"));
    correlation.join(&span);
    span.record("trace_id", display(correlation.trace().shown_trace_id()));
    traces::set(&span, "http.request.method", method);
    traces::set(&span, "http.route", route.to_owned());
    span
}

/// What is known of a response, for the trace.
fn record_status(span: &Span, status: StatusCode) {
    traces::set(span, "http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        traces::failed(span, status.canonical_reason().unwrap_or("failed"));
    }
}

pin_project! {
    /// The response, with the id of its request.
    pub(super) struct CorrelatedFuture<F> {
        #[pin]
        inner: F,
        span: Span,
        id: Option<HeaderValue>,
        // Written when it is dropped, so also if the client leaves before it is answered.
        entry: Option<Entry>,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for CorrelatedFuture<F> {
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = {
            let _entered = this.span.enter();
            ready!(this.inner.poll(context))?
        };
        record_status(this.span, response.status());
        if let Some(id) = this.id.take() {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        let mut entry = this.entry.take();
        if let Some(entry) = &mut entry {
            entry.answered(&response);
        }
        // Nothing happens any more while a body is sent that is there as a whole.
        if entry.is_none() && response.body().size_hint().exact().is_some() {
            return Poll::Ready(Ok(response));
        }
        let span = std::mem::replace(this.span, Span::none());
        Poll::Ready(Ok(
            response.map(|body| Body::new(CorrelatedBody { body, span, entry }))
        ))
    }
}

pin_project! {
    /// A response's body, whose end ends the request.
    struct CorrelatedBody {
        #[pin]
        body: Body,
        span: Span,
        entry: Option<Entry>,
    }
}

impl HttpBody for CorrelatedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut this = self.project();
        let _entered = this.span.enter();
        let frame = ready!(this.body.as_mut().poll_frame(context));
        if let Some(entry) = this.entry {
            match &frame {
                Some(Ok(frame)) => {
                    entry.sent(frame.data_ref().map_or(0, Bytes::len));
                    entry.set_complete(this.body.is_end_stream());
                }
                Some(Err(_)) => entry.set_broken_off(),
                None => entry.set_complete(true),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
