//! Rows as the bytes of a response, in any format: as a whole, or in chunks while they are read.

use std::{io, sync::Arc};

use axum::body::Body;
use bytes::{BufMut, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt, future::ready, stream};
use serde::Serialize;
use storage::StorageError;

use crate::{error::ApiError, limits::response_memory::Reservation, output::csv::BYTE_ORDER_MARK};

/// Length in bytes at which a chunk of a response is sent: so much, not the whole response, is held in memory.
const CHUNK: usize = 16 * 1024;
/// The same for the first chunk. A shorter response is sent as a whole, and the rest of its reservation is released.
const FIRST_CHUNK: usize = 32 * 1024;

/// The texts before all rows, between two rows, and after all rows.
type Frame = [&'static str; 3];
/// A JSON array.
pub(crate) const JSON_ARRAY: Frame = ["[", ",", "]"];
/// One row after the other.
pub(crate) const LINES: Frame = ["", "", ""];

/// The entries of a feed, whose [head](RowEncoder::after_head) is its own.
pub(crate) const ENTRIES: Frame = ["", "", atom::TAIL];

/// Writes one row.
type WriteRow<R> = Box<dyn Fn(&mut BytesMut, &R) -> io::Result<()> + Send + Sync>;

/// Writes rows in one format.
pub(crate) struct RowEncoder<R> {
    /// What comes before the frame.
    before: String,
    frame: Frame,
    write: WriteRow<R>,
}

impl<R> RowEncoder<R> {
    pub(crate) fn new(
        frame: Frame,
        write: impl Fn(&mut BytesMut, &R) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let write = Box::new(write);
        Self {
            before: String::new(),
            frame,
            write,
        }
    }

    /// The same after a byte order mark, if `with_mark`.
    pub(crate) fn after_mark(mut self, with_mark: bool) -> Self {
        if with_mark {
            self.before.insert_str(0, BYTE_ORDER_MARK);
        }
        self
    }

    /// The same after a first line, or the head of a feed.
    pub(crate) fn after_head(mut self, head: String) -> Self {
        self.before = head;
        self
    }

    fn begun(&self) -> BytesMut {
        let [head, ..] = self.frame;
        let mut buffer = BytesMut::from(self.before.as_str());
        buffer.put_slice(head.as_bytes());
        buffer
    }

    /// The whole response.
    pub(crate) fn whole<'r>(&self, rows: impl IntoIterator<Item = &'r R>) -> Result<BytesMut, ApiError>
    where
        R: 'r,
    {
        let [_, _, tail] = self.frame;
        let mut buffer = self.begun();
        for (n, row) in rows.into_iter().enumerate() {
            self.push(&mut buffer, row, n == 0).map_err(of_chunk)?;
        }
        buffer.put_slice(tail.as_bytes());
        Ok(buffer)
    }

    fn push(&self, buffer: &mut BytesMut, row: &R, is_first: bool) -> io::Result<()> {
        if !is_first {
            let [_, separator, _] = self.frame;
            buffer.put_slice(separator.as_bytes());
        }
        (self.write)(buffer, row)
    }

    /// Streams rows while they are read. An error before the first chunk becomes an error response; a later one breaks
    /// off the response.
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
        let [_, _, tail] = self.frame;
        let mut buffer = self.begun();
        let mut full = FIRST_CHUNK;
        let mut is_first = true;
        // After the last row comes the end.
        let rows = rows.map_ok(Some).chain(stream::iter([Ok(None)]));
        let chunks = rows.map(move |row| {
            let row = row.map_err(io::Error::other)?;
            let is_last = row.is_none();
            if let Some(row) = row {
                self.push(&mut buffer, &row, is_first)?;
                is_first = false;
            } else {
                buffer.put_slice(tail.as_bytes());
            }
            if !is_last && buffer.len() < full {
                return Ok(None);
            }
            full = CHUNK;
            let text = buffer.split();
            Ok(Some(Chunk { text, is_last }))
        });
        chunks.filter_map(|chunk| ready(chunk.transpose()))
    }
}

/// A part of a response.
#[derive(Debug)]
struct Chunk {
    text: BytesMut,
    is_last: bool,
}

/// The error response for a chunk that failed.
pub(crate) fn of_chunk(error: io::Error) -> ApiError {
    error.downcast::<StorageError>().map_or_else(
        |error| {
            tracing::error!(error = &error as &dyn std::error::Error, "rows cannot be written");
            ApiError::internal()
        },
        ApiError::from,
    )
}

/// A whole response in JSON.
pub(crate) fn json(shown: &(impl Serialize + ?Sized)) -> Result<BytesMut, ApiError> {
    let mut buffer = BytesMut::with_capacity(1024);
    write_json(&mut buffer, shown).map_err(of_chunk)?;
    Ok(buffer)
}

pub(crate) fn write_json(buffer: &mut BytesMut, shown: &(impl Serialize + ?Sized)) -> io::Result<()> {
    Ok(serde_json::to_writer(buffer.writer(), shown)?)
}

pub(crate) fn write_json_line(buffer: &mut BytesMut, shown: &impl Serialize) -> io::Result<()> {
    write_json(buffer, shown)?;
    buffer.put_u8(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::body::HttpBody;
    use http_body_util::BodyExt;

    use super::*;
    use crate::{error::Code, limits::ProcessLimits, limits::client::Client};

    fn form() -> RowEncoder<u32> {
        RowEncoder::new(JSON_ARRAY, |buffer, n: &u32| {
            write_json(buffer, &"x".repeat(*n as usize))
        })
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
        let lines = RowEncoder::new(LINES, |buffer, n: &u32| write_json_line(buffer, n))
            .whole(&[1, 2])
            .unwrap();
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
