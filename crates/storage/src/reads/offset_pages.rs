//! Pages of all results by number, without a filter: what is asked for most often, as fast as Postgres reads it.

use sqlx::{Postgres, QueryBuilder};

use super::{
    Reads,
    filter::{push_counted, push_settled, push_watermark},
};
use crate::{
    Paper, StorageError,
    connection::{Kind, Session, micros},
};

/// From so many rows on it pays to start at one that was counted before.
const DEEP: i64 = 1000;
/// Nulls are read as they are: `coalesce` would be computed for each row that is skipped, too.
const ALL: &str = "select author, title, journal from public.results where ";

type Texts = (Option<String>, Option<String>, Option<String>);

impl Reads {
    /// One page of results in the order of insertion; pages count from 0; empty past the end. Of each paper only what every row
    /// has; what is null in old rows is read as empty.
    pub async fn results(&self, page: i64, items_per_page: i64) -> Result<Vec<Paper>, StorageError> {
        let offset = page.saturating_mul(items_per_page);
        let rows = Session::read(&self.results, Kind::Statement, async |session| {
            session.fetch(self.offset_page(offset, items_per_page)).await
        });
        let paper = |(author, title, journal): Texts| Paper {
            author: author.unwrap_or_default(),
            title: title.unwrap_or_default(),
            journal: journal.unwrap_or_default(),
            ..Paper::default()
        };
        Ok(rows.await?.into_iter().map(paper).collect())
    }

    /// A deep page starts at the last row whose position was counted. Without one, rows are skipped: comparing each with a lowest
    /// id would cost a tenth more. Only one half of the statement is executed.
    fn offset_page(&self, offset: i64, limit: i64) -> QueryBuilder<Postgres> {
        let settle = self.settle.map(micros);
        let push_rest = |sql: &mut QueryBuilder<Postgres>| {
            push_settled(sql, settle);
            sql.push(" order by id limit ").push_bind(limit);
            sql.push(" offset ").push_bind(offset);
        };
        let mut sql = QueryBuilder::new("");
        if offset < DEEP {
            sql.push(ALL).push("true");
            push_rest(&mut sql);
            return sql;
        }
        sql.push("with ");
        push_watermark(&mut sql, settle);
        push_counted(&mut sql, offset);
        sql.push("(select * from (")
            .push(ALL)
            .push("id > (select id from counted)");
        push_rest(&mut sql);
        sql.push(" - (select position from counted)) after_counted where exists (select from counted)) union all (select * from (");
        sql.push(ALL).push("true");
        push_rest(&mut sql);
        sql.push(") skipped where not exists (select from counted))");
        sql
    }
}
