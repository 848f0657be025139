//! How many rows there are, in bounded time.

use sqlx::{Postgres, QueryBuilder};

use super::{Reads, ResultFilter, Retries, filter::push_settled, find::push_settlement};
use crate::{StorageError, connect::bounded, session::Session, time::micros};

/// Who wants to know it does not wait longer.
const LIMIT: &str = "set local statement_timeout = '2s'";
/// The server ended the statement.
const CANCELLED: &str = "57014";

impl Reads {
    /// How many results are wanted; None when counting them takes too long.
    pub async fn total(&self, filter: &ResultFilter) -> Result<Option<i64>, StorageError> {
        let mut retries = Retries::default();
        loop {
            let read = bounded(async {
                let mut session = Session::transaction(&self.results).await?;
                session.prefer_indexes().await?;
                session.query(LIMIT).execute(session.conn()).await?;
                let mut sql = self.count(filter);
                let count = sql
                    .build_query_scalar::<i64>()
                    .persistent(session.is_persistent());
                let total = count.fetch_one(session.conn()).await?;
                session.commit().await?;
                Ok(Some(total))
            });
            let read = match read.await {
                Err(error) if error.sqlstate().as_deref() == Some(CANCELLED) => Ok(None),
                read => read,
            };
            if !retries.again(&read) {
                return read;
            }
        }
    }

    pub(super) fn count(&self, filter: &ResultFilter) -> QueryBuilder<Postgres> {
        let settle = self.settle.map(micros);
        let mut sql = QueryBuilder::new("with ");
        if filter.is_empty() {
            // Of most it is known already how many they are.
            push_settlement(&mut sql, settle);
            sql.push(
                "place as materialized (select position, id from public.arxiv_results_row_counts
                   where epoch = (select epoch from settlement) and id <= (select bound from settlement)
                   order by position desc limit 1)
                 select coalesce((select position from place), 0) + count(*) from public.results
                 where id > coalesce((select id from place), -9223372036854775808)",
            );
        } else {
            sql.push("matching as materialized (select id from public.results where true");
            filter.push(&mut sql);
            push_settled(&mut sql, settle);
            sql.push(") select count(*) from matching");
            return sql;
        }
        push_settled(&mut sql, settle);
        sql
    }
}
