//! What clients read.

mod ended;
mod export;
mod filter;
mod find;
mod lag;
mod of_query;
mod pages;
mod queries;
mod total;

use std::time::Duration;

use sqlx::PgPool;

pub use self::{
    ended::EndedQuery,
    filter::{QueryFilter, ResultFilter},
    find::{Position, SettledPage, StoredResult, Watermark},
    lag::ReplicaState,
    queries::QueryLogEntry,
};
use crate::StorageError;

/// A replica cancels a read that stands in the way of its recovery, and a connection may have broken while it rested; the next
/// try usually meets neither.
const RETRIES: u32 = 2;
/// Rows of one batch of a stream, of which no more are held than [`BATCH_BYTES`]: a paper of a large collaboration has an author
/// list of many kilobytes.
const BATCH: i64 = 1000;
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// Reads for the user `arxiv_ro`, from replicas.
#[derive(Clone, Debug)]
pub struct Reads {
    queries: PgPool,
    results: PgPool,
    settle: Option<Duration>,
}

impl Reads {
    /// The most rows that a stream holds at once, in 2 KiB for each.
    pub const BATCH: i64 = BATCH;

    /// `settle`: leave out rows recorded less than this ago (where the two tables are in different systems).
    pub fn new(queries: PgPool, results: PgPool, settle: Option<Duration>) -> Self {
        Self {
            queries,
            results,
            settle,
        }
    }
}

/// Leaves out the last rows of a batch that is too long to be held; whether there were any. One row stays in any case.
fn cut<T>(batch: &mut Vec<T>, length: impl Fn(&T) -> usize) -> bool {
    let mut bytes = 0;
    let fitting = batch.iter().take_while(|row| {
        bytes += size_of::<T>() + length(row);
        bytes <= BATCH_BYTES
    });
    let fitting = fitting.count().max(1);
    let is_cut = fitting < batch.len();
    if is_cut {
        batch.truncate(fitting);
        batch.shrink_to_fit();
    }
    is_cut
}

/// Counts the repeats of a read that a replica's recovery cancelled (SQLSTATE 40001), or whose connection broke or was closed
/// by an administrator (57P01).
#[derive(Default)]
struct Retries(u32);

impl Retries {
    fn again<T>(&mut self, read: &Result<T, StorageError>) -> bool {
        let passing = read.as_ref().err().is_some_and(|error| {
            error.is_broken_connection()
                || error
                    .sqlstate()
                    .is_some_and(|state| matches!(state.as_str(), "40001" | "57P01"))
        });
        self.0 += u32::from(passing);
        passing && self.0 <= RETRIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_cut_where_they_are_too_long() {
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
                cut(&mut batch, |length| *length),
                kept < lengths.len(),
                "{lengths:?}"
            );
            assert_eq!(batch, lengths[..kept]);
        }
    }
}
