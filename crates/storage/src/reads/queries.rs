//! Queries by time.

use futures::stream::{self, BoxStream, StreamExt};
use sqlx::{FromRow, Postgres, QueryBuilder, Row as _, postgres::PgRow};

use super::{
    Reads,
    filter::{QueryFilter, push_settled, push_text},
    stream::{BATCH, MATCHING_BATCH, truncate},
};
use crate::{
    StorageError,
    connection::{Kind, Session, micros},
};

/// Rows that are read in their order before the index is used.
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

struct Row {
    id: i64,
    entry: QueryLogEntry,
}

/// What a row is read as.
const COLUMNS: &str = "id::bigint, query, timestamp, status, num_results";

/// By the places of [`COLUMNS`]: looking up five names for each row takes longer than reading them.
impl FromRow<'_, PgRow> for Row {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            entry: QueryLogEntry {
                query: row.try_get(1)?,
                timestamp: row.try_get(2)?,
                status: row.try_get(3)?,
                num_results: row.try_get(4)?,
            },
        })
    }
}

/// A timestamp, and the last id that was read of those that share it.
type BatchStart = (i64, Option<i64>);

impl Reads {
    /// Queries from `start` to `end` (unix seconds, both inclusive; open without an end) that match, ascending by timestamp,
    /// then by insertion. Read in batches: neither memory nor a connection is held for the whole. Ends after an error.
    pub fn queries(
        &self,
        start: i64,
        end: Option<i64>,
        filter: QueryFilter,
    ) -> BoxStream<'static, Result<Vec<QueryLogEntry>, StorageError>> {
        let limit = if filter.text.is_some() {
            MATCHING_BATCH
        } else {
            BATCH
        };
        let end = end.unwrap_or(i64::MAX);
        let first = (self.clone(), filter, Some((start, None)));
        stream::try_unfold(first, move |(reads, filter, start)| async move {
            let Some(start) = start else {
                return Ok::<_, StorageError>(None);
            };
            let rows = Session::read(&reads.queries, Kind::Indexed, async |session| {
                session.fetch(reads.query_batch(&filter, start, end, limit)).await
            });
            let mut rows: Vec<Row> = rows.await?;
            rows.sort_unstable_by_key(|row| (row.entry.timestamp, row.id));
            let text_len = |row: &Row| row.entry.query.as_ref().map_or(0, String::len);
            let has_more = truncate(&mut rows, limit, text_len);
            let last = rows.last().filter(|_| has_more);
            let next = last.map(|row| (row.entry.timestamp, Some(row.id)));
            let entries = rows.into_iter().map(|row| row.entry).collect();
            Ok(Some((entries, (reads, filter, next))))
        })
        .boxed()
    }

    /// The statement of a batch. With words it is as for results: what the next rows hold, then the index.
    fn query_batch(
        &self,
        filter: &QueryFilter,
        (start, after): BatchStart,
        end: i64,
        limit: i64,
    ) -> QueryBuilder<Postgres> {
        let settle = self.settle.map(micros);
        let mut sql = QueryBuilder::new("");
        let push_range = |sql: &mut QueryBuilder<Postgres>| {
            sql.push("timestamp >= ").push_bind(start);
            if let Some(after) = after {
                sql.push(" and (timestamp, id) > (").push_bind(start).push(", ");
                sql.push_bind(after).push(")");
            }
            sql.push(" and timestamp <= ").push_bind(end);
        };
        let push_status = |sql: &mut QueryBuilder<Postgres>| {
            if let Some(status) = filter.status {
                sql.push(" and status = ").push_bind(status);
            }
            push_settled(sql, settle);
        };
        let columns = format!("select {COLUMNS} from ");
        let Some(text) = &filter.text else {
            sql.push(&columns).push("public.queries where ");
            push_range(&mut sql);
            push_status(&mut sql);
            sql.push(" order by timestamp, queries.id limit ")
                .push_bind(limit);
            return sql;
        };
        sql.push("with near as materialized (select id, query, timestamp, status, num_results, recorded_at from public.queries where ");
        push_range(&mut sql);
        sql.push(format!(" order by timestamp, id limit {WINDOW}"));
        sql.push("), edge as materialized (select timestamp, id from near order by timestamp desc, id desc limit 1)");
        sql.push(", matching as materialized (select id, timestamp from public.queries where true");
        push_text(&mut sql, "query", text);
        sql.push(") select * from ((").push(&columns);
        sql.push("near where true");
        push_text(&mut sql, "query", text);
        push_status(&mut sql);
        sql.push(" order by timestamp, near.id limit ").push_bind(limit);
        sql.push(") union all (").push(&columns);
        sql.push(format!(
            "public.queries where id = any (array(select id from matching
               where {WINDOW} = (select count(*) from near)
                 and (timestamp, id) > ((select timestamp from edge), (select id from edge)) and timestamp <= "
        ));
        sql.push_bind(end).push("))");
        push_status(&mut sql);
        sql.push(" order by timestamp, queries.id limit ")
            .push_bind(limit)
            .push(")) found limit ");
        sql.push_bind(limit);
        sql
    }
}
