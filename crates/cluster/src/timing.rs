//! How long requests to the API server take, until the head of its answer: a watch counts when it begins.

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Method, Request, Response};
use metrics::{Durations, Metrics};
use tower::{Layer, Service};

/// From a read out of the server's cache to the longest limit of a call, in seconds.
const BUCKETS: [f64; 9] = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

static REQUESTS: LazyLock<Durations<2>> = LazyLock::new(|| Durations::new(["method", "outcome"], &BUCKETS));

/// Adds the durations of this process's requests to its metrics.
pub(crate) fn register_metrics(metrics: &Metrics) {
    let help = "Requests to the API server of Kubernetes in seconds, until the head of its answer, by method and outcome: \
                2xx, 4xx, 5xx, other, or none for no answer";
    let labels = &["method", "outcome"];
    metrics.register("kubernetes_request_duration_seconds", labels, help, &*REQUESTS);
}

/// The layer that measures each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing;

/// A service whose requests are measured.
#[derive(Clone, Debug)]
pub(crate) struct Timed<S>(S);

impl<S> Layer<S> for Timing {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed(inner)
    }
}

impl<S, A, B> Service<Request<A>> for Timed<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let method = match *request.method() {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            _ => "other",
        };
        let started = Instant::now();
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let outcome = match answer.as_ref().map(Response::status) {
                Ok(status) if status.is_success() => "2xx",
                Ok(status) if status.is_client_error() => "4xx",
                Ok(status) if status.is_server_error() => "5xx",
                Ok(_) => "other",
                Err(_) => "none",
            };
            REQUESTS.observe([method, outcome], started.elapsed());
            answer
        })
    }
}
