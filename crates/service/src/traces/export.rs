//! Sending spans to the collector.

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig};
use reqwest::Certificate;
use tokio::runtime::Handle;

/// What is read of an answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Why spans did not arrive.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("OTEL_EXPORTER_OTLP_CERTIFICATE cannot be used: {0}")]
    Certificates(#[source] io::Error),
    #[error("the collector did not answer: {0}")]
    Http(#[source] reqwest::Error),
    #[error("the collector did not answer in time")]
    TimedOut,
    #[error("the collector answered with status {0}")]
    Status(u16),
    #[error("the process ends")]
    Ending,
}

impl From<reqwest::Error> for ExportError {
    fn from(error: reqwest::Error) -> Self {
        // An address may hold credentials.
        Self::Http(error.without_url())
    }
}

/// The exporter for the endpoint of the environment.
pub(super) fn exporter(client: CollectorClient) -> Result<SpanExporter, ExporterBuildError> {
    SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .build()
}

/// The HTTP client of the exporter, whose thread is outside of the runtime. Logs that spans cannot be sent, and that they
/// can be sent again; not each failure.
#[derive(Debug)]
pub(super) struct CollectorClient {
    runtime: Handle,
    /// Made when it is first used, as the process chooses its cryptography after its log.
    http: OnceLock<reqwest::Client>,
    certificates: Option<PathBuf>,
    timeout: Duration,
    is_failing: AtomicBool,
}

impl CollectorClient {
    pub(super) fn new(runtime: Handle, certificates: Option<PathBuf>, timeout: Duration) -> Self {
        Self {
            runtime,
            http: OnceLock::new(),
            certificates,
            timeout,
            is_failing: AtomicBool::new(false),
        }
    }

    fn http(&self) -> Result<reqwest::Client, ExportError> {
        if let Some(http) = self.http.get() {
            return Ok(http.clone());
        }
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(self.timeout);
        if let Some(path) = &self.certificates {
            let pem = fs::read(path).map_err(ExportError::Certificates)?;
            let certificates = Certificate::from_pem_bundle(&pem);
            let certificates =
                certificates.map_err(|error| ExportError::Certificates(io::Error::other(error)))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder.build()?;
        Ok(self.http.get_or_init(|| http).clone())
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ExportError> {
        let http = self.http()?;
        let (timeout, request) = (self.timeout, reqwest::Request::try_from(request)?);
        let sent = async move {
            let mut response = http.execute(request).await?;
            let status = response.status();
            if !status.is_success() {
                return Err(ExportError::Status(status.as_u16()));
            }
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                body.extend_from_slice(&chunk);
                body.truncate(MAX_ANSWER_BYTES);
            }
            let mut answer = Response::new(Bytes::from(body));
            *answer.status_mut() = status;
            Ok(answer)
        };
        // The timer, too, is one of the runtime.
        let sent = self
            .runtime
            .spawn(async move { tokio::time::timeout(timeout, sent).await });
        let in_time = sent.await.map_err(|_| ExportError::Ending)?;
        in_time.map_err(|_| ExportError::TimedOut)?
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.send(request).await;
        let was_failing = self.is_failing.swap(sent.is_err(), Ordering::Relaxed);
        match &sent {
            Ok(_) if was_failing => crate::notice!("spans are sent to the collector again"),
            Err(error) if !was_failing => tracing::warn!(
                error = error as &dyn std::error::Error,
                "spans cannot be sent to the collector and are dropped, until this is logged to be over"
            ),
            _ => {}
        }
        Ok(sent?)
    }
}
