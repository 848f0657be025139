//! The server of health and metrics: short answers, one for each connection, and no client can keep others out.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::{sleep, timeout},
};

/// How many there may be. One more, and the oldest is closed: its client is slow, as an answer takes no time.
const MAX_CONNECTIONS: usize = 64;
/// From a connection's start to its end.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// Heads of probes and scrapers are much shorter.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// After an `accept` that failed, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Listens, and gives the task that serves; it never ends.
pub(crate) async fn listen(
    address: SocketAddr,
    router: Router,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is another process there? LISTEN names another address")
    })?;
    service::notice!("health and metrics on {}", listener.local_addr()?);
    Ok(serve(listener, router))
}

async fn serve(listener: TcpListener, router: Router) {
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        connections.retain(|connection| !connection.is_finished());
        if connections.len() >= MAX_CONNECTIONS
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        let connection = tokio::spawn(timeout(CONNECTION_TIME, answer(stream, router.clone())));
        connections.push_back(connection.abort_handle());
    }
}

async fn answer(stream: TcpStream, router: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = connection.await {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a connection ended early"
        );
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn send(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn answer_to(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        let read = timeout(CONNECTION_TIME * 3, stream.read_to_string(&mut answer));
        read.await.expect("closed in time").unwrap_or_default();
        answer
    }

    #[tokio::test]
    async fn slow_clients_keep_nobody_out_and_have_an_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/healthz", get(async || "well"));
        tokio::spawn(serve(listener, router));
        let mut slow = Vec::new();
        for _ in 0..MAX_CONNECTIONS * 2 {
            slow.push(send(address, "GET /healthz HTTP/1.1\r\nHost:").await);
        }
        let asked = tokio::time::Instant::now();
        let answer = answer_to(send(address, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("well"),
            "{answer}"
        );
        // Before any of the slow ones had to end by itself.
        assert!(asked.elapsed() < CONNECTION_TIME, "{:?}", asked.elapsed());
        for stream in slow {
            assert_eq!(answer_to(stream).await, "");
        }
        let long = format!(
            "GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n",
            "x".repeat(MAX_HEAD_BYTES * 2)
        );
        let answer = answer_to(send(address, &long).await).await;
        assert!(!answer.contains("200"), "{answer}");
    }
}
