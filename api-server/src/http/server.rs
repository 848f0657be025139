//! The HTTP/1.1 server: bounded connections, handshakes, heads, times, and end.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{
    Request,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::{
    rt::TokioIo,
    server::graceful::{GracefulShutdown, Watcher},
};
use prometheus_client::metrics::gauge::Gauge;
use service::{
    metrics::GaugeGuard,
    server::{self, accept, log_end},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::{
    auth::proxies::ClientAddresses,
    http::middleware::{Overloaded, is_exempt},
    http::stream::ClientStream,
    http::tls::Tls,
    limits::client::OverTls,
    limits::connections::{ConnectionLimiter, RequestPermit},
};

/// From a connection's start, or the end of its last request, to the end of the next head: bounds slow senders and idle
/// connections alike.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// What is read of a head before it is refused. Above the limits that are answered with reasons, and above the longest
/// address that the HTTP library knows (64 KiB).
const MAX_HEAD_BYTES: usize = 128 * 1024;
const MAX_HEADERS: usize = 100;
/// How long idle connections are left open at the end: if they were closed at once, a request that is already on its
/// way on one of them would be lost.
const IDLE_CLOSE_DELAY: Duration = Duration::from_secs(1);

/// What a server is made of besides its port.
pub(crate) struct Parts {
    pub(crate) router: Router,
    /// With which connections begin, if it is served over TLS.
    pub(crate) tls: Option<Tls>,
    pub(crate) addresses: ClientAddresses,
    /// Of open connections.
    pub(crate) connections: Gauge,
}

/// Serves until the token is cancelled, and then until the requests in flight are answered, but no longer than `drain`.
/// A request that comes meanwhile on a kept connection is answered with `Connection: close`.
pub(crate) async fn serve(listener: TcpListener, parts: Parts, ending: CancellationToken, drain: Duration) {
    let Parts {
        router,
        tls,
        addresses,
        connections,
    } = parts;
    let limiter = ConnectionLimiter::of_process();
    let graceful = GracefulShutdown::new();
    let open = TaskTracker::new();
    let mut http = server::http1(MAX_HEAD_BYTES);
    http.header_read_timeout(HEAD_TIMEOUT).max_headers(MAX_HEADERS);
    // A connection is accepted before there is a slot for it: another one is closed only for a client that is there.
    let next = async || {
        let (stream, peer) = accept(&listener, || limiter.evict_idle()).await;
        (
            stream,
            peer,
            limiter.accept(addresses.limited_peer(peer.ip())).await,
        )
    };
    loop {
        let (stream, peer, slot) = tokio::select! {
            next = next() => next,
            () = ending.cancelled() => break,
        };
        let Some(slot) = slot else { continue };
        let router = router.clone();
        let of_requests = Arc::clone(&slot);
        let last = ending.clone();
        let addresses = addresses.clone();
        let over_tls = tls.as_ref().map(|_| OverTls);
        // Made once: it is the same for all requests of the connection.
        let peer_itself = addresses.of_peer(peer.ip());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let client = peer_itself
                .clone()
                .unwrap_or_else(|| addresses.of(peer.ip(), request.headers()));
            let permit = of_requests.request((!is_exempt(request.uri())).then_some(&client.0));
            request.extensions_mut().insert(client);
            if let Some(over_tls) = over_tls {
                request.extensions_mut().insert(over_tls);
            }
            answer(router.clone(), permit, request, last.clone())
        });
        let counted = GaugeGuard::new(&connections);
        let (http, watcher, tls) = (http.clone(), graceful.watcher(), tls.clone());
        open.spawn(async move {
            let connection = async {
                let Some(tls) = tls else {
                    let (read, write) = stream.into_split();
                    return log_end(serve_connection(http, watcher, read, write, service).await);
                };
                match tls.accept(stream).await {
                    Ok(stream) => {
                        let (read, write) = tokio::io::split(stream);
                        log_end(serve_connection(http, watcher, read, write, service).await);
                    }
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::debug!(error, "a handshake failed");
                    }
                }
            };
            tokio::select! {
                () = connection => {}
                () = slot.evicted() => {}
            }
            drop((slot, counted));
        });
    }
    drop(listener);
    open.close();
    let idle = IDLE_CLOSE_DELAY.min(drain);
    if tokio::time::timeout(idle, open.wait()).await.is_ok() {
        return;
    }
    let drain = drain.saturating_sub(idle);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("ending with requests unanswered");
    }
}

/// Serves one connection, until its end or that of the server.
async fn serve_connection<R, W, S>(
    http: http1::Builder,
    watcher: Watcher,
    read: R,
    write: W,
    service: S,
) -> hyper::Result<()>
where
    R: AsyncRead + Unpin + 'static,
    W: AsyncWrite + Unpin + 'static,
    S: HttpService<Incoming, ResBody = Body, Error = Infallible> + 'static,
{
    let stream = tokio::io::join(read, ClientStream::new(write));
    watcher
        .watch(http.serve_connection(TokioIo::new(stream), service))
        .await
}

async fn answer(
    router: Router,
    permit: Option<RequestPermit>,
    request: Request<Incoming>,
    ending: CancellationToken,
) -> Result<hyper::Response<Body>, Infallible> {
    let mut request = request.map(Body::new);
    let Some(permit) = permit else {
        request.extensions_mut().insert(Overloaded);
        return router.oneshot(request).await;
    };
    let mut response = router.oneshot(request).await?;
    if ending.is_cancelled() {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| permit.hold_for_body(body)))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    #[tokio::test]
    async fn request_on_kept_connection_is_answered_while_the_server_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ending = CancellationToken::new();
        let router = Router::new().route("/", axum::routing::get(async || "here"));
        let drain = Duration::from_secs(20);
        let parts = Parts {
            router,
            tls: None,
            addresses: ClientAddresses::default(),
            connections: Gauge::default(),
        };
        let served = tokio::spawn(serve(listener, parts, ending.clone(), drain));

        let mut kept = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";
        kept.write_all(request).await.unwrap();
        let mut first = Vec::new();
        while !first.ends_with(b"here") {
            assert_ne!(kept.read_buf(&mut first).await.unwrap(), 0);
        }
        assert!(!String::from_utf8_lossy(&first).contains("connection: close"));

        ending.cancel();
        // No new connection is taken any more: the server knows that it ends.
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        kept.write_all(request).await.unwrap();
        let mut last = Vec::new();
        kept.read_to_end(&mut last).await.unwrap();
        let last = String::from_utf8(last).unwrap();
        assert!(
            last.starts_with("HTTP/1.1 200") && last.ends_with("here"),
            "{last}"
        );
        assert!(last.contains("connection: close"), "{last}");
        served.await.unwrap();
    }
}
