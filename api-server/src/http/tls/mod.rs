//! TLS: the handshake of each connection, with the certificate that is in its files at that time.

mod certificate;

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use prometheus_client::metrics::gauge::Gauge;
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use service::metrics::Metrics;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use self::certificate::Certificate;

/// From a connection's start to the end of its handshake. Until then it counts as idle: another client's may take its place.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the files are read.
const POLL: Duration = Duration::from_secs(2);

/// Where the certificate is.
#[derive(clap::Args)]
pub(crate) struct TlsArgs {
    /// A PEM file with the certificate of this server and those between it and its authority; the API is then served over TLS
    /// (HTTP/1.1, as without). It is read again when it changes.
    #[arg(long, env = "TLS_CERT_FILE", requires = "tls_key_file")]
    tls_cert_file: Option<PathBuf>,
    /// The PEM file with the key of that certificate.
    #[arg(long, env = "TLS_KEY_FILE", requires = "tls_cert_file")]
    tls_key_file: Option<PathBuf>,
}

impl TlsArgs {
    /// Whether the API is served over TLS.
    pub(crate) fn is_set(&self) -> bool {
        self.tls_cert_file.is_some()
    }
}

/// What the metrics tell of the certificate.
#[derive(Clone)]
pub(crate) struct TlsMetrics {
    not_after: Gauge,
    refused: Gauge,
}

impl TlsMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let help = "When the certificate that is served expires, in seconds since 1970; 0 without TLS";
        let not_after = metrics.add("tls_certificate_not_after_timestamp_seconds", &[], help);
        let help = "1 while the files of the certificate cannot be used and an earlier one is served";
        let refused = metrics.add("tls_certificate_refused", &[], help);
        Self { not_after, refused }
    }
}

/// Makes the handshakes.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

impl Tls {
    /// Reads the certificate, if there are files of one; fails if they cannot be used.
    pub(crate) fn open(args: &TlsArgs) -> anyhow::Result<Option<Self>> {
        let (Some(certificate), Some(key)) = (&args.tls_cert_file, &args.tls_key_file) else {
            return Ok(None);
        };
        let certificate = Certificate::open(certificate.clone(), key.clone());
        let certificate = Arc::new(certificate.context("TLS_CERT_FILE and TLS_KEY_FILE")?);
        let resolver = Arc::new(Served(Arc::clone(&certificate)));
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        // As without TLS.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Some(Self {
            acceptor,
            certificate,
        }))
    }

    /// The handshake, in bounded time.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.acceptor.accept(stream));
        handshake
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads the files again and again, and uses what they become. A pair that cannot be used is reported once; until it can,
    /// the one before is served.
    pub(crate) async fn follow(self, metrics: TlsMetrics) {
        loop {
            metrics.not_after.set(self.certificate.not_after());
            tokio::time::sleep(POLL).await;
            let certificate = Arc::clone(&self.certificate);
            // A task of its own, as files are read by blocking calls.
            let Ok(reloaded) = tokio::task::spawn_blocking(move || certificate.reload()).await else {
                continue;
            };
            match reloaded {
                Ok(false) => {}
                Ok(true) => {
                    metrics.refused.set(0);
                    service::notice!("the certificate of the API was read again");
                }
                Err(error) => {
                    metrics.refused.set(1);
                    tracing::error!(
                        "the new certificate cannot be used, the earlier one is served: {error:#}"
                    );
                }
            }
        }
    }
}

/// Gives each handshake the certificate of its time.
struct Served(Arc<Certificate>);

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Served")
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.served())
    }
}
