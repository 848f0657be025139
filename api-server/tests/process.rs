//! The process without its port: requests go to its router, and Kubernetes is stubbed at its HTTP client.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use arxiv_api_server::{Peer, Process, Settings};
use axum::{
    body::Body,
    http::{Method, Request, Response},
};
use clap::Parser;
use http_body_util::BodyExt;
use kube::client::Body as KubernetesBody;
use serde_json::{Value, json};
use service::settings::Environment;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// An API server of Kubernetes without objects; it records the requests that it gets.
fn kubernetes(requests: Arc<Mutex<Vec<(Method, String)>>>) -> kube::Client {
    let respond = tower::service_fn(move |request: Request<KubernetesBody>| {
        let seen = (request.method().clone(), request.uri().path().to_owned());
        requests.lock().unwrap().push(seen);
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "not found", "reason": "NotFound", "code": 404});
        let response = Response::builder().status(404);
        let response = response.body(Body::from(status.to_string()));
        async { Ok::<_, tower::BoxError>(response?) }
    });
    kube::Client::new(respond, "default")
}

async fn get(process: &Process, path: &str) -> (u16, Value) {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer(([127, 0, 0, 1], 1).into()));
    let response = process.router.clone().oneshot(request).await.unwrap();
    assert!(response.headers().contains_key("x-request-id"), "{path}");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn router_of_a_process_without_port_serves_requests() {
    let requests = Arc::default();
    let settings = ["arxiv-api-server", "--serve", "arxiv", "--namespace", "library"];
    let environment = Environment::given([("X", "none")]);
    let process = Process::build(
        Settings::try_parse_from(settings).unwrap(),
        &environment,
        Some(kubernetes(Arc::clone(&requests))),
        CancellationToken::new(),
    );
    let process = process.await.unwrap();

    assert_eq!(get(&process, "/healthz").await.0, 200);
    let (status, body) = get(&process, "/arxiv/none").await;
    assert_eq!(status, 404, "{body}");
    let asked = "/apis/arxiv-operator.dev/v1alpha1/namespaces/library/arxivqueries/none";
    let requests = requests.lock().unwrap().clone();
    assert!(
        requests.contains(&(Method::GET, asked.to_owned())),
        "{requests:?}"
    );
    assert_eq!(get(&process, "/results").await.0, 404, "it is not served");
}
