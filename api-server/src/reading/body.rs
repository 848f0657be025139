//! Rows as the bytes of an answer, whatever their form: whole, or in chunks as they come.

use std::io;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use storage::StorageError;

/// A part of an answer is sent when it is so long, in bytes: this, not the answer's length, is held in memory.
const CHUNK: usize = 16 * 1024;

/// Writes one row.
type WriteRow<R> = Box<dyn Fn(&mut BytesMut, &R) -> io::Result<()> + Send + Sync>;

/// How rows are written.
pub(crate) struct Form<R> {
    /// Before all rows.
    pub(crate) head: &'static str,
    /// Between two rows.
    pub(crate) separator: &'static str,
    /// After all rows.
    pub(crate) tail: &'static str,
    /// One row.
    pub(crate) write: WriteRow<R>,
}

impl<R> Form<R> {
    /// A JSON array of what a row is shown as.
    pub(crate) fn json<S: Serialize>(show: impl Fn(&R) -> S + Send + Sync + 'static) -> Self {
        Self {
            head: "[",
            separator: ",",
            tail: "]",
            write: Box::new(move |buffer, row| Ok(serde_json::to_writer(buffer.writer(), &show(row))?)),
        }
    }

    /// A line of JSON for each row.
    pub(crate) fn ndjson<S: Serialize>(show: impl Fn(&R) -> S + Send + Sync + 'static) -> Self {
        Self {
            head: "",
            separator: "",
            tail: "",
            write: Box::new(move |buffer, row| {
                serde_json::to_writer(buffer.writer(), &show(row))?;
                buffer.put_u8(b'\n');
                Ok(())
            }),
        }
    }

    /// The whole answer.
    pub(crate) fn whole(&self, rows: &[R]) -> io::Result<Bytes> {
        let mut buffer = BytesMut::from(self.head);
        for (n, row) in rows.iter().enumerate() {
            if n > 0 {
                buffer.put_slice(self.separator.as_bytes());
            }
            (self.write)(&mut buffer, row)?;
        }
        buffer.put_slice(self.tail.as_bytes());
        Ok(buffer.freeze())
    }

    /// Sends rows as they come. An error before the first one is an answer of its own; a later one breaks the answer off.
    pub(crate) async fn streamed(
        self,
        rows: impl Stream<Item = Result<R, StorageError>> + Send + 'static,
    ) -> Result<Body, StorageError>
    where
        R: Send + Sync + 'static,
    {
        // Fused: it is asked once more after its end when there is no row at all.
        let mut rows = rows.fuse().boxed();
        let before = rows.next().await.transpose()?;
        let rows = stream::iter(before.map(Ok)).chain(rows);
        Ok(Body::from_stream(self.chunks(rows)))
    }

    /// The answer in chunks.
    fn chunks(
        self,
        rows: impl Stream<Item = Result<R, StorageError>> + Send + 'static,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send
    where
        R: Send + Sync + 'static,
    {
        struct Writing<S, R> {
            rows: S,
            form: Form<R>,
            buffer: BytesMut,
            any: bool,
        }
        let start = Writing {
            rows: Box::pin(rows),
            buffer: BytesMut::from(self.head),
            form: self,
            any: false,
        };
        stream::try_unfold(Some(start), |state| async move {
            let Some(mut state) = state else { return Ok(None) };
            loop {
                let Some(row) = state.rows.next().await else {
                    state.buffer.put_slice(state.form.tail.as_bytes());
                    return Ok(Some((state.buffer.freeze(), None)));
                };
                let row = row.inspect_err(|error| {
                    tracing::warn!(
                        error = error as &dyn std::error::Error,
                        "an answer is broken off between its rows"
                    );
                });
                let row = row.map_err(io::Error::other)?;
                if state.any {
                    state.buffer.put_slice(state.form.separator.as_bytes());
                }
                state.any = true;
                (state.form.write)(&mut state.buffer, &row)?;
                if state.buffer.len() >= CHUNK {
                    let chunk = state.buffer.split().freeze();
                    return Ok(Some((chunk, Some(state))));
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(rows: Vec<Result<u32, StorageError>>) -> Vec<io::Result<Bytes>> {
        let form = Form::json(|n: &u32| "x".repeat(*n as usize));
        form.chunks(stream::iter(rows)).collect().await
    }

    #[tokio::test]
    async fn rows_are_an_array() {
        for (rows, expected) in [
            (vec![], "[]"),
            (vec![Ok(1)], "[\"x\"]"),
            (vec![Ok(1), Ok(2), Ok(0)], "[\"x\",\"xx\",\"\"]"),
        ] {
            let whole: Vec<u32> = rows.iter().map(|row| *row.as_ref().unwrap()).collect();
            let form = Form::json(|n: &u32| "x".repeat(*n as usize));
            assert_eq!(form.whole(&whole).unwrap(), expected);
            let chunks: Vec<_> = written(rows).await.into_iter().map(Result::unwrap).collect();
            assert_eq!(chunks.concat(), expected.as_bytes());
        }
        let lines = Form::ndjson(|n: &u32| *n).whole(&[1, 2]).unwrap();
        assert_eq!(lines, "1\n2\n");
    }

    #[tokio::test]
    async fn long_answers_come_in_chunks_and_break_off_at_an_error() {
        let rows = (0..100).map(|_| Ok(1000)).collect();
        let chunks = written(rows).await;
        assert!(chunks.len() > 5);
        assert!(
            chunks
                .iter()
                .all(|chunk| chunk.as_ref().unwrap().len() < CHUNK + 2000)
        );
        let broken = written(vec![Ok(1), Err(StorageError::TimedOut), Ok(1)]).await;
        assert!(broken.len() == 1 && broken[0].is_err());
    }
}
