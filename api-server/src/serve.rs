//! The HTTP/1.1 server: bounded connections, heads, times, and end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use http::Request;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{client::Peer, client_stream::ClientStream, kubernetes::objects::Counted};

/// Connections at once; further ones wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 1024;
/// From a connection's start, or the end of its last request, to the end of the next head: bounds slow senders and idle
/// connections alike.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// What is read of a head before it is refused. Above the limits that are answered with reasons, and above the longest
/// address that the HTTP library knows (64 KiB).
const MAX_HEAD_BYTES: usize = 128 * 1024;
const MAX_HEADERS: usize = 100;
/// After an `accept` that failed, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until the token is cancelled, and then until the requests in flight are answered, but no longer than `drain`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    ending: CancellationToken,
    drain: Duration,
    connections: Gauge,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            () = ending.cancelled() => break,
        };
        let Some((stream, peer, permit)) = accepted else {
            continue;
        };
        let service =
            TowerToHyperService::new(router.clone().map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                request
            }));
        let connection = http.serve_connection(TokioIo::new(ClientStream::new(stream)), service);
        let connection = graceful.watch(connection);
        let counted = Counted::new(&connections);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a connection ended early"
                );
            }
            drop((permit, counted));
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("ending with requests unanswered");
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are written whole; waiting to fill a packet only delays them.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, permit))
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a connection could not be accepted"
            );
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
