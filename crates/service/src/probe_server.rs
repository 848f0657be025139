//! The server of health and metrics: one short response per connection, and no client can keep others out.

use std::{collections::VecDeque, time::Duration};

use axum::Router;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::timeout,
};

use crate::server::{accept, http1, log_end};

/// How many connections there may be. For one more, the oldest is closed: its client is slow, as a response
/// takes no time.
const MAX_CONNECTIONS: usize = 64;
/// From a connection's start to its end.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// Heads of probes and scrapers are much shorter.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Serves; never ends.
pub async fn serve(listener: TcpListener, router: Router) {
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let (stream, _) = accept(&listener, || ()).await;
        connections.retain(|connection| !connection.is_finished());
        if connections.len() >= MAX_CONNECTIONS
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        let connection = tokio::spawn(timeout(CONNECTION_TIME, respond(stream, router.clone())));
        connections.push_back(connection.abort_handle());
    }
}

async fn respond(stream: TcpStream, router: Router) {
    let mut http = http1(MAX_HEAD_BYTES);
    http.keep_alive(false);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    log_end(connection.await);
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

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
    async fn slow_clients_are_closed_and_keep_nobody_out() {
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
