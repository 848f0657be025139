//! Rows as the bytes of a response, in any format: as a whole, or in chunks while they are read.

use std::{io, sync::Arc, vec};

use axum::body::Body;
use bytes::{BufMut, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::Serialize;
use storage::StorageError;

use crate::{error::ApiError, limits::response_memory::Reservation, output::csv::BYTE_ORDER_MARK};

/// Length in bytes at which a chunk of a response is sent: so much, not the whole response, is held in memory.
const CHUNK: usize = 16 * 1024;
/// The same for the first chunk. A shorter response is sent as a whole, and the rest of its reservation is released.
const FIRST_CHUNK: usize = 32 * 1024;

/// What is allocated for the first rows: some ten.
const FIRST_ROWS: usize = 2 * 1024;

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
        let mut buffer = BytesMut::with_capacity(FIRST_ROWS);
        buffer.put_slice(self.before.as_bytes());
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

    /// Streams batches of rows while they are read. An error before the first chunk becomes an error response; a later one breaks
    /// off the response.
    pub(crate) async fn streamed(
        self,
        batches: impl Stream<Item = Result<Vec<R>, StorageError>> + Send + 'static,
        reservation: Reservation,
    ) -> Result<Body, ApiError>
    where
        R: Send + Sync + 'static,
    {
        let mut chunks = self.chunks(batches).boxed();
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

    /// The response in chunks. It ends after an error.
    fn chunks(
        self,
        batches: impl Stream<Item = Result<Vec<R>, StorageError>> + Send + 'static,
    ) -> impl Stream<Item = io::Result<Chunk>> + Send
    where
        R: Send + Sync + 'static,
    {
        let writing = Writing {
            buffer: self.begun(),
            encoder: self,
            full: FIRST_CHUNK,
            is_first: true,
            rows: Vec::new().into_iter(),
        };
        // Boxed, as it has to stay where it is while it is read from.
        let start = Some((batches.boxed(), writing));
        stream::try_unfold(start, async |state| {
            let Some((mut batches, mut writing)) = state else {
                return Ok(None);
            };
            loop {
                if let Some(text) = writing.write()? {
                    let chunk = Chunk { text, is_last: false };
                    return Ok(Some((chunk, Some((batches, writing)))));
                }
                match batches.try_next().await.map_err(io::Error::other)? {
                    Some(batch) => writing.rows = batch.into_iter(),
                    None => return Ok(Some((writing.end(), None))),
                }
            }
        })
    }
}

/// A response between two of its rows.
struct Writing<R> {
    encoder: RowEncoder<R>,
    buffer: BytesMut,
    /// At which length it is a chunk.
    full: usize,
    is_first: bool,
    /// What is left of a batch.
    rows: vec::IntoIter<R>,
}

impl<R> Writing<R> {
    /// Writes rows of the batch up to the end of the next chunk; `None` at the end of the batch.
    fn write(&mut self) -> io::Result<Option<BytesMut>> {
        for row in self.rows.by_ref() {
            self.encoder.push(&mut self.buffer, &row, self.is_first)?;
            self.is_first = false;
            if self.buffer.len() >= self.full {
                self.full = CHUNK;
                return Ok(Some(self.buffer.split()));
            }
        }
        Ok(None)
    }

    /// The end after the last row.
    fn end(mut self) -> Chunk {
        let [_, _, tail] = self.encoder.frame;
        self.buffer.put_slice(tail.as_bytes());
        Chunk {
            text: self.buffer,
            is_last: true,
        }
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
    Ok(serde_json::to_writer(Appended(buffer), shown)?)
}

/// Written texts come to the end of the buffer; `BytesMut`'s own writer does more for each of many short ones.
struct Appended<'b>(&'b mut BytesMut);

impl io::Write for Appended<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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

    /// Batches of two.
    fn batches(rows: Vec<Result<u32, StorageError>>) -> impl Stream<Item = Result<Vec<u32>, StorageError>> {
        stream::iter(rows).try_chunks(2).map_err(|error| error.1)
    }

    async fn written(rows: Vec<Result<u32, StorageError>>) -> Vec<io::Result<Chunk>> {
        form().chunks(batches(rows)).collect().await
    }

    async fn streamed(rows: Vec<Result<u32, StorageError>>) -> Result<Body, ApiError> {
        let reservation = ProcessLimits::default()
            .rows
            .reserve(&Client::at([192, 0, 2, 1].into()), 1000)
            .await
            .unwrap();
        form().streamed(batches(rows), reservation).await
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
