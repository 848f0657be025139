//! Limits of a body: how many bytes are read, in total and for one piece of markup.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

/// The body is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more bytes than allowed")]
pub(crate) struct Oversize;

impl Oversize {
    /// Whether a read failed for this reason.
    pub(crate) fn caused(error: &io::Error) -> bool {
        error
            .get_ref()
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>)
    }
}

/// A reader that fails with [`Oversize`] where it would go past one of its limits.
pub(crate) struct Limited<R> {
    inner: R,
    body_left: usize,
    piece: usize,
    piece_left: usize,
}

impl<R> Limited<R> {
    /// At most `body` bytes in total and `piece` bytes from one [`Self::begin_piece`] to the next.
    pub(crate) fn new(inner: R, body: usize, piece: usize) -> Self {
        Self {
            inner,
            body_left: body,
            piece,
            piece_left: piece,
        }
    }

    pub(crate) fn begin_piece(&mut self) {
        self.piece_left = self.piece;
    }
}

impl<R: AsyncBufRead + Unpin> AsyncBufRead for Limited<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        let left = this.body_left.min(this.piece_left);
        let buffered = ready!(Pin::new(&mut this.inner).poll_fill_buf(cx))?;
        if left == 0 && !buffered.is_empty() {
            return Poll::Ready(Err(io::Error::other(Oversize)));
        }
        Poll::Ready(Ok(&buffered[..buffered.len().min(left)]))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.get_mut();
        this.body_left = this.body_left.saturating_sub(amount);
        this.piece_left = this.piece_left.saturating_sub(amount);
        Pin::new(&mut this.inner).consume(amount);
    }
}

impl<R: AsyncBufRead + Unpin> AsyncRead for Limited<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = ready!(self.as_mut().poll_fill_buf(cx))?;
        let amount = bytes.len().min(buffer.remaining());
        buffer.put_slice(&bytes[..amount]);
        self.consume(amount);
        Poll::Ready(Ok(()))
    }
}
