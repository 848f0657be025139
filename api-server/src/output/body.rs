//! Rows as the bytes of a response, in any format: as a whole, or in chunks while they are read.

use std::{io, sync::Arc};

use axum::body::Body;
use bytes::{BufMut, BytesMut};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use storage::StorageError;

use crate::{error::ApiError, limits::response_memory::Reservation};

/// Length in bytes at which a chunk of a response is sent: so much, not the whole response, is held in memory.
const CHUNK: usize = 16 * 1024;
/// The same for the first chunk. A shorter response is sent as a whole, and the rest of its reservation is released.
const FIRST_CHUNK: usize = 32 * 1024;

/// Writes one row.
type WriteRow<R> = Box<dyn Fn(&mut BytesMut, &R) -> io::Result<()> + Send + Sync>;

/// How rows are written in one format.
pub(crate) struct RowEncoder<R> {
    /// Text before all rows.
    pub(crate) head: &'static str,
    /// Text between two rows.
    pub(crate) separator: &'static str,
    /// Text after all rows.
    pub(crate) tail: &'static str,
    /// Writes one row.
    pub(crate) write: WriteRow<R>,
}

impl<R> RowEncoder<R> {
    /// A JSON array; `show` converts a row to its JSON form.
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

    /// The whole response.
    pub(crate) fn whole(&self, rows: &[R]) -> io::Result<BytesMut> {
        let mut buffer = BytesMut::from(self.head);
        for (n, row) in rows.iter().enumerate() {
            if n > 0 {
                buffer.put_slice(self.separator.as_bytes());
            }
            (self.write)(&mut buffer, row)?;
        }
        buffer.put_slice(self.tail.as_bytes());
        Ok(buffer)
    }

    /// Streams rows while they are read. An error before the first chunk becomes an error response; a later one breaks off the
    /// response.
    pub(crate) async fn streamed(
        self,
        rows: impl Stream<Item = Result<R, StorageError>> + Send + 'static,
        reservation: Reservation,
    ) -> Result<Body, ApiError>
    where
        R: Send + Sync + 'static,
    {
        let mut chunks = self.chunks(rows).boxed();
        let first = chunks.next().await.transpose().map_err(of_chunk)?;
        // Every answer has at least one.
        let Chunk { text, is_last } = first.ok_or_else(ApiError::internal)?;
        if is_last {
            return Ok(Body::from(reservation.into_bytes(text)?));
        }
        let reservation = Arc::new(reservation);
        let first = reservation.chunk(text.freeze());
        let rest = chunks.map(move |chunk| {
            let chunk = chunk.inspect_err(|error| {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "a response is broken off between its rows"
                );
            });
            chunk.map(|chunk| reservation.chunk(chunk.text.freeze()))
        });
        Ok(Body::from_stream(
            stream::iter([io::Result::Ok(first)]).chain(rest),
        ))
    }

    /// The response in chunks.
    fn chunks(
        self,
        rows: impl Stream<Item = Result<R, StorageError>> + Send + 'static,
    ) -> impl Stream<Item = io::Result<Chunk>> + Send
    where
        R: Send + Sync + 'static,
    {
        struct Writing<S, R> {
            rows: S,
            form: RowEncoder<R>,
            buffer: BytesMut,
            /// The length at which it is sent.
            full: usize,
            any: bool,
        }
        let start = Writing {
            rows: Box::pin(rows),
            buffer: BytesMut::from(self.head),
            form: self,
            full: FIRST_CHUNK,
            any: false,
        };
        stream::try_unfold(Some(start), |state| async move {
            let Some(mut state) = state else { return Ok(None) };
            loop {
                let Some(row) = state.rows.next().await else {
                    state.buffer.put_slice(state.form.tail.as_bytes());
                    let chunk = Chunk {
                        text: state.buffer,
                        is_last: true,
                    };
                    return Ok(Some((chunk, None)));
                };
                let row = row.map_err(io::Error::other)?;
                if state.any {
                    state.buffer.put_slice(state.form.separator.as_bytes());
                }
                state.any = true;
                (state.form.write)(&mut state.buffer, &row)?;
                if state.buffer.len() >= state.full {
                    state.full = CHUNK;
                    let chunk = Chunk {
                        text: state.buffer.split(),
                        is_last: false,
                    };
                    return Ok(Some((chunk, Some(state))));
                }
            }
        })
    }
}

/// A part of a response.
#[derive(Debug)]
struct Chunk {
    text: BytesMut,
    is_last: bool,
}

/// The error response for a chunk that failed.
fn of_chunk(error: io::Error) -> ApiError {
    match error.downcast::<StorageError>() {
        Ok(error) => error.into(),
        Err(error) => unwritten(&error),
    }
}

/// 500: a response that cannot be written.
pub(crate) fn unwritten(error: &(dyn std::error::Error + 'static)) -> ApiError {
    tracing::error!(error, "rows cannot be written");
    ApiError::internal()
}

/// A whole response in JSON.
pub(crate) fn json<S: Serialize + ?Sized>(shown: &S) -> Result<BytesMut, ApiError> {
    let mut buffer = BytesMut::with_capacity(1024);
    match serde_json::to_writer((&mut buffer).writer(), shown) {
        Ok(()) => Ok(buffer),
        Err(error) => Err(unwritten(&error)),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::HttpBody;
    use http_body_util::BodyExt;

    use super::*;
    use crate::{error::Code, limits::ProcessLimits, limits::client::Client};

    fn form() -> RowEncoder<u32> {
        RowEncoder::json(|n: &u32| "x".repeat(*n as usize))
    }

    async fn written(rows: Vec<Result<u32, StorageError>>) -> Vec<io::Result<Chunk>> {
        form().chunks(stream::iter(rows)).collect().await
    }

    async fn streamed(rows: Vec<Result<u32, StorageError>>) -> Result<Body, ApiError> {
        let reservation = ProcessLimits::default()
            .rows
            .reserve(&Client::at([192, 0, 2, 1].into()), 1000)
            .await
            .unwrap();
        form().streamed(stream::iter(rows), reservation).await
    }

    #[tokio::test]
    async fn json_rows_are_an_array_whole_or_streamed() {
        for (rows, expected) in [
            (vec![], "[]"),
            (vec![Ok(1)], "[\"x\"]"),
            (vec![Ok(1), Ok(2), Ok(0)], "[\"x\",\"xx\",\"\"]"),
        ] {
            let whole: Vec<u32> = rows.iter().map(|row| *row.as_ref().unwrap()).collect();
            assert_eq!(form().whole(&whole).unwrap(), expected);
            let body = streamed(rows).await.unwrap();
            assert_eq!(body.size_hint().exact(), Some(expected.len() as u64), "whole");
            assert_eq!(body.collect().await.unwrap().to_bytes(), expected);
        }
        let lines = RowEncoder::ndjson(|n: &u32| *n).whole(&[1, 2]).unwrap();
        assert_eq!(lines, "1\n2\n");
    }

    #[tokio::test]
    async fn long_response_comes_in_chunks_and_breaks_off_at_an_error() {
        let rows = || (0..100).map(|_| Ok(1000));
        let chunks = written(rows().collect()).await;
        let lengths: Vec<_> = chunks
            .iter()
            .map(|chunk| chunk.as_ref().unwrap().text.len())
            .collect();
        assert!(lengths.len() > 4, "{lengths:?}");
        assert!(lengths[0] < FIRST_CHUNK + 2000);
        assert!(
            lengths.iter().skip(1).all(|length| *length < CHUNK + 2000),
            "{lengths:?}"
        );
        let body = streamed(rows().collect()).await.unwrap();
        assert_eq!(body.size_hint().exact(), None);
        assert_eq!(
            body.collect().await.unwrap().to_bytes().len(),
            lengths.iter().sum::<usize>()
        );

        // Before anything is sent, the error is the response.
        let early = streamed(vec![Ok(1), Err(StorageError::TimedOut), Ok(1)]).await;
        assert!(early.unwrap_err().is(Code::DatabaseUnavailable));
        let late = rows().chain([Err(StorageError::TimedOut)]).collect();
        assert!(streamed(late).await.unwrap().collect().await.is_err());
    }
}
