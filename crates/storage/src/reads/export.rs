//! All results that are wanted, a batch at a time: neither memory nor a connection is held for the whole.

use futures::stream::{self, BoxStream, StreamExt};

use super::{BATCH, Reads, ResultFilter, StoredResult, cut};
use crate::StorageError;

/// Of rows that have to be found, so many that the next few thousand rows usually hold them.
const FOUND_BATCH: i64 = 250;

impl Reads {
    /// All wanted results by id, in batches. Each is read by itself, and read again when a replica's recovery cancels it. Ends after
    /// an error.
    pub fn all(&self, filter: ResultFilter) -> BoxStream<'static, Result<Vec<StoredResult>, StorageError>> {
        let limit = if filter.is_empty() { BATCH } else { FOUND_BATCH };
        let start = Some((self.clone(), filter, i64::MIN));
        stream::unfold(start, move |state| async move {
            let (reads, filter, after) = state?;
            match reads.after(&filter, after, limit).await {
                Ok(mut rows) => {
                    let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows == limit);
                    let is_full = cut(&mut rows, StoredResult::text_len) || is_full;
                    let last = rows.last().map(|row| row.id).filter(|_| is_full);
                    Some((Ok(rows), last.map(|last| (reads, filter, last))))
                }
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}
