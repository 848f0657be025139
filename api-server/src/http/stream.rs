//! What is written to a client: with a limit for clients that do not read, and with bodies for the refusals that the HTTP
//! library makes by itself.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::AsyncWrite,
    time::{Sleep, sleep},
};

use crate::http::middleware::REQUEST_ID;

/// How long a client may take to read more of its response.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

/// The writing half of a connection.
///
/// A head that is broken or too long never becomes a request: hyper refuses it with an empty 400, 414 or 431. Every
/// answer of ours carries a request id, so an answer without one is such a refusal, and gets the body that all our
/// errors have.
pub(crate) struct ClientStream<S> {
    stream: S,
    stalled: Option<Pin<Box<Sleep>>>,
    /// What is written in place of a refusal, and how much of it was.
    refusal: Option<(Vec<u8>, usize)>,
}

impl<S: AsyncWrite + Unpin> ClientStream<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            stalled: None,
            refusal: None,
        }
    }

    /// Fails when nothing could be written for too long.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        ready!(stalled.as_mut().poll(cx));
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

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_left() {
        let (near, _far) = duplex(2);
        let error = ClientStream::new(near).write_all(b"longer").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
