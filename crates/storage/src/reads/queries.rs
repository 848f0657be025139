//! Queries by time.

use std::collections::VecDeque;

use futures::stream::{self, BoxStream, StreamExt};
use sqlx::{Postgres, QueryBuilder};

use super::{
    BATCH, Reads, Retries, cut,
    filter::{QueryFilter, push_settled, push_words},
};
use crate::{StorageError, connect::bounded, session::Session, time::micros};

/// Of rows whose words have to be found, so many that the next few thousand rows usually hold them.
const FOUND_BATCH: i64 = 250;
/// Rows that are gone through before an index is asked.
const WINDOW: i64 = 2000;

/// A row of `queries` as clients read it. Rows without a timestamp are never read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueryLogEntry {
    /// The query as arXiv understood it.
    pub query: Option<String>,
    /// Unix seconds.
    pub timestamp: i64,
    /// The upstream's HTTP status.
    pub status: Option<i16>,
    /// Papers found in all.
    pub num_results: Option<i32>,
}

/// A timestamp, and the last id that was read of those that share it.
pub(super) type Place = (i64, Option<i64>);
/// id, query, timestamp, status, `num_results`.
type Row = (i64, Option<String>, i64, Option<i16>, Option<i32>);

impl Reads {
    /// Queries from `start` to `end` (unix seconds, both inclusive; open without an end) that are wanted, ascending by timestamp,
    /// then by insertion. Read in batches: neither memory nor a connection is held for the whole. Ends after an error.
    pub fn queries(
        &self,
        start: i64,
        end: Option<i64>,
        filter: QueryFilter,
    ) -> BoxStream<'static, Result<QueryLogEntry, StorageError>> {
        let batches = Batches {
            reads: self.clone(),
            end: end.unwrap_or(i64::MAX),
            limit: if filter.text.is_some() { FOUND_BATCH } else { BATCH },
            filter,
            next: Some((start, None)),
            batch: VecDeque::new(),
        };
        stream::unfold(batches, Batches::step).boxed()
    }

    async fn batch(&self, batches: &Batches, from: Place) -> Result<Vec<Row>, StorageError> {
        let mut retries = Retries::default();
        loop {
            let read = bounded(async {
                let mut sql = self.query_batch(&batches.filter, from, batches.end, batches.limit);
                let mut session = Session::indexed(&self.queries).await?;
                let batch = sql.build_query_as::<Row>().persistent(session.is_persistent());
                let mut rows = batch.fetch_all(session.conn()).await?;
                session.commit().await?;
                rows.sort_unstable_by_key(|(id, _, timestamp, ..)| (*timestamp, *id));
                Ok(rows)
            });
            let read = read.await;
            if !retries.again(&read) {
                return read;
            }
        }
    }

    /// The statement of a batch. With words it is as for results: what the next rows hold, then the index.
    pub(super) fn query_batch(
        &self,
        filter: &QueryFilter,
        (start, after): Place,
        end: i64,
        limit: i64,
    ) -> QueryBuilder<Postgres> {
        let settle = self.settle.map(micros);
        let mut sql = QueryBuilder::new("");
        let ahead = |sql: &mut QueryBuilder<Postgres>| {
            sql.push("timestamp >= ").push_bind(start);
            if let Some(after) = after {
                sql.push(" and (timestamp, id) > (").push_bind(start).push(", ");
                sql.push_bind(after).push(")");
            }
            sql.push(" and timestamp <= ").push_bind(end);
        };
        let status = |sql: &mut QueryBuilder<Postgres>| {
            if let Some(status) = filter.status {
                sql.push(" and status = ").push_bind(status);
            }
            push_settled(sql, settle);
        };
        let columns = "select id::bigint, query, timestamp, status, num_results from ";
        let Some(words) = &filter.text else {
            sql.push(columns).push("public.queries where ");
            ahead(&mut sql);
            status(&mut sql);
            sql.push(" order by timestamp, queries.id limit ")
                .push_bind(limit);
            return sql;
        };
        sql.push("with near as materialized (select id, query, timestamp, status, num_results, recorded_at from public.queries where ");
        ahead(&mut sql);
        sql.push(format!(" order by timestamp, id limit {WINDOW}"));
        sql.push("), edge as materialized (select timestamp, id from near order by timestamp desc, id desc limit 1)");
        sql.push(", matching as materialized (select id, timestamp from public.queries where true");
        push_words(&mut sql, "query", words);
        sql.push(") select * from ((").push(columns);
        sql.push("near where true");
        push_words(&mut sql, "query", words);
        status(&mut sql);
        sql.push(" order by timestamp, near.id limit ").push_bind(limit);
        sql.push(") union all (").push(columns);
        sql.push(format!(
            "public.queries where id = any (array(select id from matching
               where {WINDOW} = (select count(*) from near)
                 and (timestamp, id) > ((select timestamp from edge), (select id from edge)) and timestamp <= "
        ));
        sql.push_bind(end).push("))");
        status(&mut sql);
        sql.push(" order by timestamp, queries.id limit ")
            .push_bind(limit)
            .push(")) found limit ");
        sql.push_bind(limit);
        sql
    }
}

/// A read of `queries` on its way.
struct Batches {
    reads: Reads,
    end: i64,
    filter: QueryFilter,
    limit: i64,
    /// Where the next batch begins; none once the last is read.
    next: Option<Place>,
    batch: VecDeque<QueryLogEntry>,
}

impl Batches {
    async fn step(mut self) -> Option<(Result<QueryLogEntry, StorageError>, Self)> {
        if self.batch.is_empty() {
            let from = self.next?;
            let mut rows = match self.reads.batch(&self, from).await {
                Ok(rows) => rows,
                Err(error) => {
                    self.next = None;
                    return Some((Err(error), self));
                }
            };
            let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows == self.limit);
            let is_full = cut(&mut rows, |(_, query, ..)| query.as_ref().map_or(0, String::len)) || is_full;
            self.next = rows
                .last()
                .filter(|_| is_full)
                .map(|(id, _, timestamp, ..)| (*timestamp, Some(*id)));
            self.batch = rows
                .into_iter()
                .map(|(_, query, timestamp, status, num_results)| QueryLogEntry {
                    query,
                    timestamp,
                    status,
                    num_results,
                })
                .collect();
        }
        let row = self.batch.pop_front()?;
        Some((Ok(row), self))
    }
}
