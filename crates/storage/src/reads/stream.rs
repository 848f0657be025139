//! Reading a whole table a batch at a time: neither memory nor a connection is held for all of it.

use futures::stream::{self, BoxStream, StreamExt};

use super::{Reads, ResultFilter, results::PageStart};
use crate::{ResultRow, StorageError};

/// Rows of one batch, of which no more are held than [`BATCH_BYTES`]: a paper of a large collaboration has an author list of many
/// kilobytes.
pub(super) const BATCH: i64 = 1000;
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// The same for rows that have to match words: so many that the next few thousand rows usually hold them.
pub(super) const MATCHING_BATCH: i64 = 250;

impl Reads {
    /// All matching results by id, in batches. Each is read by itself, and read again when a replica's recovery cancels it. Ends
    /// after an error.
    pub fn all(&self, filter: ResultFilter) -> BoxStream<'static, Result<Vec<ResultRow>, StorageError>> {
        let limit = if filter.is_empty() { BATCH } else { MATCHING_BATCH };
        let start = (self.clone(), filter, Some(i64::MIN));
        stream::try_unfold(start, move |(reads, filter, after)| async move {
            let Some(after) = after else {
                return Ok(None);
            };
            let mut rows = reads.rows(&filter, PageStart::After(after), limit).await?;
            let has_more = truncate(&mut rows, limit, |row| row.paper.text_len());
            let last = rows.last().map(|row| row.id).filter(|_| has_more);
            Ok(Some((rows, (reads, filter, last))))
        })
        .boxed()
    }
}

/// Removes the last rows of a batch that needs too much memory, except the first row. Whether more rows may follow: it was
/// truncated, or it is as long as was asked for.
pub(super) fn truncate<T>(batch: &mut Vec<T>, limit: i64, length: impl Fn(&T) -> usize) -> bool {
    let is_full = i64::try_from(batch.len()).is_ok_and(|rows| rows == limit);
    let mut bytes = 0;
    let fitting = batch.iter().take_while(|row| {
        bytes += size_of::<T>() + length(row);
        bytes <= BATCH_BYTES
    });
    let fitting = fitting.count().max(1);
    let is_truncated = fitting < batch.len();
    if is_truncated {
        batch.truncate(fitting);
        batch.shrink_to_fit();
    }
    is_full || is_truncated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_is_truncated_when_it_needs_too_much_memory() {
        let cases: [(&[usize], usize); 5] = [
            (&[], 0),
            (&[10, 10], 2),
            (&[BATCH_BYTES / 2, BATCH_BYTES / 4, 10], 3),
            (&[BATCH_BYTES / 2, BATCH_BYTES / 2, 10], 1),
            (&[2 * BATCH_BYTES, 10], 1),
        ];
        for (lengths, kept) in cases {
            let mut batch = lengths.to_vec();
            assert_eq!(
                truncate(&mut batch, BATCH, |length| *length),
                kept < lengths.len(),
                "{lengths:?}"
            );
            assert_eq!(batch, lengths[..kept]);
        }
    }
}
