//! What is written to a client: with a limit for clients that do not read or read too slowly, and with bodies for the
//! refusals that the HTTP library makes by itself.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::AsyncWrite,
    time::{Instant, Sleep, sleep},
};

use crate::auth::correlation::REQUEST_ID;

/// How long a client may block the connection in all; reading gives back a part of it, see [`MIN_RATE`].
const MAX_BLOCKED: Duration = Duration::from_mins(1);
/// A client that reads so many bytes in a second, or more, is never too slow: that of a slow mobile connection.
const MIN_RATE: u32 = 4 * 1024;

/// The writing half of a connection.
///
/// A head that is broken or too long never becomes a request: hyper refuses it with an empty 400, 414 or 431. Every
/// answer of ours carries a request id, so an answer without one is such a refusal, and gets the body that all our
/// errors have.
pub(crate) struct ClientStream<S> {
    stream: S,
    /// How long the client may still block the connection.
    left: Duration,
    /// Since when it does, and until when it may.
    blocked: Option<(Instant, Pin<Box<Sleep>>)>,
    /// What is written in place of a refusal, and how much of it was.
    refusal: Option<(Vec<u8>, usize)>,
}

impl<S: AsyncWrite + Unpin> ClientStream<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            left: MAX_BLOCKED,
            blocked: None,
            refusal: None,
        }
    }

    /// Fails when the client has blocked the connection for too long.
    fn in_time<T: Written>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(result) = &written {
            if let Some((since, _)) = self.blocked.take() {
                self.left = self.left.saturating_sub(since.elapsed());
            }
            let bytes = result.as_ref().map_or(0, Written::bytes);
            let earned = Duration::from_secs(bytes as u64) / MIN_RATE;
            self.left = self.left.saturating_add(earned).min(MAX_BLOCKED);
            return written;
        }
        let left = self.left;
        let (_, end) = self
            .blocked
            .get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        ready!(end.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn write_refusal(&mut self, cx: &mut Context<'_>, replaced: usize) -> Poll<io::Result<usize>> {
        while let Some((text, done)) = &mut self.refusal {
            let Some(rest) = text.get(*done..).filter(|rest| !rest.is_empty()) else {
                self.refusal = None;
                break;
            };
            let written = Pin::new(&mut self.stream).poll_write(cx, rest);
            if let Poll::Ready(Ok(count)) = written {
                *done += count;
            }
            ready!(self.in_time(cx, written))?;
        }
        Poll::Ready(Ok(replaced))
    }

    /// Whether this text is written in another form, now or since an earlier call.
    fn is_refusal(&mut self, text: &[u8]) -> bool {
        if self.refusal.is_none() {
            self.refusal = refusal(text).map(|text| (text, 0));
        }
        self.refusal.is_some()
    }
}

/// The result of an operation on the stream.
trait Written {
    /// How many bytes it has written.
    fn bytes(&self) -> usize;
}

impl Written for usize {
    fn bytes(&self) -> usize {
        *self
    }
}

impl Written for () {
    fn bytes(&self) -> usize {
        0
    }
}

/// The refusal with a body, if this is one without.
fn refusal(text: &[u8]) -> Option<Vec<u8>> {
    if !text.starts_with(b"HTTP/1.1 4") {
        return None;
    }
    let head = std::str::from_utf8(text).ok()?.strip_suffix("\r\n\r\n")?;
    let (status, fields) = head.split_once("\r\n").unwrap_or((head, ""));
    let field = |name: &str| {
        let mut fields = fields.split("\r\n");
        fields.find(|field| field.to_ascii_lowercase().starts_with(name))
    };
    if field(REQUEST_ID.as_str()).is_some() {
        return None;
    }
    let reason = status.splitn(3, ' ').nth(2)?;
    let body = json!({ "detail": reason }).to_string();
    let date = field("date:").unwrap_or("vary: *");
    let length = body.len();
    let head = format!(
        "{status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close"
    );
    Some(format!("{head}\r\n{date}\r\n\r\n{body}").into_bytes())
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_refusal(buf) {
            return self.write_refusal(cx, buf.len());
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(first) = bufs.first()
            && self.is_refusal(first)
        {
            return self.write_refusal(cx, first.len());
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.in_time(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.in_time(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_refusal_gets_a_body() {
        // A buffer of two bytes: written in many steps.
        let (near, mut far) = duplex(2);
        let writer = tokio::spawn(async move {
            let mut stream = ClientStream::new(near);
            let head =
                b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
            stream.write_all(head).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 404 Not Found\r\nx-request-id: 1\r\n\r\n")
                .await
                .unwrap();
        });
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        writer.await.unwrap();
        let expected = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n\
            content-length: 44\r\nconnection: close\r\ndate: now\r\n\r\n\
            {\"detail\":\"Request Header Fields Too Large\"}HTTP/1.1 404 Not Found\r\nx-request-id: 1\r\n\r\n";
        assert_eq!(text, expected);
    }

    /// Writes 200 KiB to a client that reads this much at once, with pauses. Whether it is left, and after how long.
    async fn read_slowly(bytes: usize, pause: Duration) -> (bool, Duration) {
        let began = Instant::now();
        let (near, mut far) = duplex(1024);
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; bytes];
            while far.read_exact(&mut buffer).await.is_ok() {
                sleep(pause).await;
            }
        });
        let written = ClientStream::new(near).write_all(&vec![b' '; 200 * 1024]).await;
        let took = began.elapsed();
        drop(reader);
        (written.is_err(), took)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_too_slowly_is_left() {
        let second = Duration::from_secs(1);
        let (left, took) = read_slowly(5 * 1024, second).await;
        assert!(!left && took >= second * 35, "{took:?}");
        // Each of these reads something again and again.
        for (bytes, pause) in [(1, second), (1024, second), (1024, second * 20)] {
            let (left, took) = read_slowly(bytes, pause).await;
            assert!(left && took < second * 100, "{bytes} {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_left() {
        let (near, _far) = duplex(2);
        let error = ClientStream::new(near).write_all(b"longer").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
