//! A small receiver of alerts: what Prometheus needs of an Alertmanager (`POST /api/v2/alerts`).

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::Value;
use tokio::task::AbortHandle;

/// The receiver. Ends when dropped.
#[derive(Debug)]
pub(super) struct AlertReceiver {
    port: u16,
    alerts: Alerts,
    task: AbortHandle,
}

#[derive(Clone, Debug, Default)]
struct Alerts(Arc<Mutex<Received>>);

#[derive(Debug, Default)]
struct Received {
    /// By labels: the name, and when it ends unless it is sent again.
    current: BTreeMap<String, (String, Timestamp)>,
    since_asked: BTreeSet<String>,
}

impl AlertReceiver {
    /// Starts one on a free port. To be called within a tokio runtime.
    pub(super) fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let alerts = Alerts::default();
        let receiving = alerts.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let alerts = receiving.clone();
                let service = service_fn(move |request| receive(request, alerts.clone()));
                // A connection that breaks is opened again by Prometheus.
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self {
            port,
            alerts,
            task: task.abort_handle(),
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The names of alerts that have not ended.
    pub(super) fn firing(&self) -> Vec<String> {
        let now = Timestamp::now();
        let received = self.alerts.lock();
        let current = received.current.values().filter(|(_, end)| *end > now);
        let names: BTreeSet<_> = current.map(|(name, _)| name.clone()).collect();
        names.into_iter().collect()
    }

    /// The names of alerts that were firing in a message since this was called last.
    pub(super) fn received(&self) -> Vec<String> {
        std::mem::take(&mut self.alerts.lock().since_asked)
            .into_iter()
            .collect()
    }
}

impl Drop for AlertReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Alerts {
    fn lock(&self) -> MutexGuard<'_, Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, alerts: &[Value]) {
        let now = Timestamp::now();
        let mut received = self.lock();
        for alert in alerts {
            let name = alert["labels"]["alertname"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let end = alert["endsAt"].as_str().and_then(|end| end.parse().ok());
            let end: Timestamp = end.unwrap_or(Timestamp::MAX);
            if end > now {
                received.since_asked.insert(name.clone());
            }
            received.current.insert(alert["labels"].to_string(), (name, end));
        }
    }
}

async fn receive(
    request: hyper::Request<Incoming>,
    alerts: Alerts,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_alerts = request.uri().path() == "/api/v2/alerts";
    let body = request
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let parsed: Option<Vec<Value>> = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
    let mut response = Response::default();
    match parsed.filter(|_| is_alerts) {
        Some(list) => alerts.add(&list),
        None => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    Ok(response)
}
