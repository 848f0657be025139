//! The HTTP/1.1 server: bounded connections, heads, times, and end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{
    Request,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::{
    http::middleware::{Overloaded, is_exempt},
    http::stream::ClientStream,
    jobs::client::Counted,
    limits::client::Peer,
    limits::connections::{Limits, Seat, Seats},
};

/// The clients that wait at /arxiv, and some room for others beside them.
const LIMITS: Limits = Limits {
    connections: 1024,
    requests: 960,
};
/// From a connection's start, or the end of its last request, to the end of the next head: bounds slow senders and idle
/// connections alike.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// What is read of a head before it is refused. Above the limits that are answered with reasons, and above the longest
/// address that the HTTP library knows (64 KiB).
const MAX_HEAD_BYTES: usize = 128 * 1024;
const MAX_HEADERS: usize = 100;
/// After an `accept` that failed, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long kept connections are left open at the end. Closed at once, those on which a request is just under way would lose it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves until the token is cancelled, and then until the requests in flight are answered, but no longer than `drain`. Whoever
/// asks on a kept connection meanwhile is answered, and told to ask on another one from then on.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    ending: CancellationToken,
    drain: Duration,
    connections: Gauge,
) {
    let seats = Seats::new(LIMITS);
    let graceful = GracefulShutdown::new();
    let open = TaskTracker::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    loop {
        let seated = tokio::select! {
            seated = seated(&listener, &seats) => seated,
            () = ending.cancelled() => break,
        };
        let Some((stream, peer, seat)) = seated else {
            continue;
        };
        let router = router.clone();
        let of_requests = Arc::clone(&seat);
        let last = ending.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            answer(router.clone(), Arc::clone(&of_requests), request, last.clone())
        });
        let connection = http.serve_connection(TokioIo::new(ClientStream::new(stream)), service);
        let connection = graceful.watch(connection);
        let counted = Counted::new(&connections);
        open.spawn(async move {
            let ended = tokio::select! {
                ended = connection => ended,
                () = seat.evicted() => Ok(()),
            };
            if let Err(error) = ended {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a connection ended early"
                );
            }
            drop((seat, counted));
        });
    }
    drop(listener);
    open.close();
    let farewell = FAREWELL.min(drain);
    if tokio::time::timeout(farewell, open.wait()).await.is_ok() {
        return;
    }
    let drain = drain.saturating_sub(farewell);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("ending with requests unanswered");
    }
}

async fn answer(
    router: Router,
    seat: Arc<Seat>,
    request: Request<Incoming>,
    ending: CancellationToken,
) -> Result<hyper::Response<Body>, std::convert::Infallible> {
    let mut request = request.map(Body::new);
    let Some(held) = seat.request(is_exempt(request.uri())) else {
        request.extensions_mut().insert(Overloaded);
        return router.oneshot(request).await;
    };
    let mut response = router.oneshot(request).await?;
    if ending.is_cancelled() {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| held.until_the_end_of(body)))
}

/// A connection is taken before there is room for it: it is for somebody who is there that another one has to go.
async fn seated(listener: &TcpListener, seats: &Arc<Seats>) -> Option<(TcpStream, SocketAddr, Arc<Seat>)> {
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are written whole; waiting to fill a packet only delays them.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, seats.take().await))
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a connection could not be accepted"
            );
            seats.make_room();
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_request_on_a_kept_connection_is_answered_as_the_server_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ending = CancellationToken::new();
        let router = Router::new().route("/", axum::routing::get(async || "here"));
        let drain = Duration::from_secs(20);
        let served = tokio::spawn(serve(listener, router, ending.clone(), drain, Gauge::default()));

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
