//! What the HTTP/1.1 servers of both processes share. Each of them bounds its connections in its own way.

use std::{net::SocketAddr, time::Duration};

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};

/// The pause after an `accept` that failed, usually because no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The next connection. After each failure, `free` frees what it can of file descriptors.
pub async fn accept(listener: &TcpListener, free: impl Fn()) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Responses are written as a whole: waiting until a packet is full would only delay them.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a connection could not be accepted"
                );
                free();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A builder for connections whose heads take so many bytes at most, with the timer that its time limits need.
pub fn http1(max_head_bytes: usize) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).max_buf_size(max_head_bytes);
    http
}

/// Logs a connection that ended with an error, which is usually the client's doing.
pub fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a connection ended early"
        );
    }
}
