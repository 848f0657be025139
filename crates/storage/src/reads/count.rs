//! How many rows there are, in bounded time.

use sqlx::{Postgres, QueryBuilder};

use super::{
    Reads, ResultFilter,
    filter::{push_counted, push_settled, push_watermark},
};
use crate::{
    StorageError,
    connection::{Kind, Pool, Session, micros},
};

/// A client that asks for the total does not wait longer.
const LIMIT: &str = "set local statement_timeout = '2s'";
/// The server cancelled the statement.
const CANCELLED: &str = "57014";

/// What this statement counts; None when that takes too long.
pub(super) async fn limited(
    pool: &Pool,
    count: impl Fn() -> QueryBuilder<Postgres>,
) -> Result<Option<i64>, StorageError> {
    let total = Session::read(pool, Kind::Transaction, async |session| {
        session.prefer_indexes().await?;
        session.query(LIMIT).execute(session.conn()).await?;
        session.fetch::<(i64,)>(count()).await
    });
    match total.await {
        Err(error) if error.sqlstate().as_deref() == Some(CANCELLED) => Ok(None),
        total => Ok(total?.first().map(|(count,)| *count)),
    }
}

impl Reads {
    /// How many results match; None when counting them takes too long.
    pub async fn total(&self, filter: &ResultFilter) -> Result<Option<i64>, StorageError> {
        limited(&self.results, || self.count(filter)).await
    }

    fn count(&self, filter: &ResultFilter) -> QueryBuilder<Postgres> {
        let settle = self.settle.map(micros);
        let mut sql = QueryBuilder::new("with ");
        if filter.is_empty() {
            // Most of them were counted before.
            push_watermark(&mut sql, settle);
            push_counted(&mut sql, i64::MAX);
            sql.push(
                "select coalesce((select position from counted), 0) + count(*) from public.results
                 where id > coalesce((select id from counted), -9223372036854775808)",
            );
            push_settled(&mut sql, settle);
        } else {
            sql.push("matching as materialized (select id from public.results where true");
            filter.push(&mut sql);
            push_settled(&mut sql, settle);
            sql.push(") select count(*) from matching");
        }
        sql
    }
}
