//! Pages of results that match a filter: by number, and after an id.
//!
//! Rows always come by id. Words that many rows have are found soon by reading rows in that order; words that few rows have, by
//! their index. Which it is cannot be known for the place where a page starts, so a page takes what it finds in the next few
//! thousand rows, and the rest from the index. Both take bounded time, whatever the server knows of the words.

use sqlx::{Postgres, QueryBuilder};

use super::{
    Reads,
    filter::{ResultFilter, push_settled, push_watermark},
    settled::Position,
};
use crate::{
    ResultRow, StorageError,
    connection::{Kind, Session, micros},
};

/// Ids that are read in their order before the index is used.
const WINDOW: i64 = 2000;
/// What a row is read as.
const COLUMNS: &str =
    "id::bigint, query_id, timestamp, coalesce(author, '') as author, coalesce(title, '') as title,
    coalesce(journal, '') as journal, arxiv_id, categories";

/// Where a page starts.
#[derive(Clone, Copy, Debug)]
pub(super) enum PageStart {
    /// So many rows after the first.
    Offset(i64),
    /// After this id.
    After(i64),
    /// After this row, and up to the settled watermark.
    Settled(Position),
}

impl Reads {
    /// One page of the results that match; pages count from 0.
    pub async fn find(
        &self,
        filter: &ResultFilter,
        page: i64,
        items_per_page: i64,
    ) -> Result<Vec<ResultRow>, StorageError> {
        let offset = page.saturating_mul(items_per_page);
        self.rows(filter, PageStart::Offset(offset), items_per_page).await
    }

    /// At most `limit` results that match, by id.
    pub(super) async fn rows(
        &self,
        filter: &ResultFilter,
        start: PageStart,
        limit: i64,
    ) -> Result<Vec<ResultRow>, StorageError> {
        let rows = Session::read(&self.results, Kind::Indexed, async |session| {
            session.fetch(self.page(filter, start, limit)).await
        });
        let mut rows: Vec<ResultRow> = rows.await?;
        rows.sort_unstable_by_key(|row| row.id);
        Ok(rows)
    }

    /// The statement of a page. That of a page that starts at a position has the watermark in every row (its columns come before
    /// `id`), and has one row without a result where there is none.
    pub(super) fn page(&self, filter: &ResultFilter, start: PageStart, limit: i64) -> QueryBuilder<Postgres> {
        let settle = self.settle.map(micros);
        let is_settled = matches!(start, PageStart::Settled(_));
        let settle_rows = settle.filter(|_| !is_settled);
        let offset = match start {
            PageStart::Offset(offset) => offset,
            PageStart::After(_) | PageStart::Settled(_) => 0,
        };
        let mut sql = QueryBuilder::new("with ");
        if let PageStart::Settled(position) = start {
            push_watermark(&mut sql, settle);
            sql.push("start as materialized (select least(")
                .push_bind(position.id);
            sql.push(", (select id from public.arxiv_results_timeline_forks where epoch > ");
            sql.push_bind(position.epoch)
                .push(" order by epoch limit 1)) as after), ");
        }
        push_span(&mut sql, start);
        if !filter.is_empty() {
            sql.push(", matching as materialized (select id from public.results where true");
            filter.push(&mut sql);
            push_settled(&mut sql, settle_rows);
            sql.push(") ");
        }
        if is_settled {
            sql.push(
                "select watermark.epoch, watermark.id as watermark, start.after, page.*
                   from watermark cross join start left join (",
            );
        }
        if filter.is_empty() {
            sql.push("select ").push(COLUMNS).push(
                " from public.results where id > (select lower from span) and id <= (select upper from span)",
            );
            push_settled(&mut sql, settle_rows);
            sql.push(" order by results.id limit ").push_bind(limit);
        } else {
            let reach = limit.saturating_add(offset);
            sql.push("select * from ((select ").push(COLUMNS).push(format!(
                " from public.results where id > (select lower from span)
                   and id <= least((select lower from span) + {WINDOW}, (select upper from span))"
            ));
            filter.push(&mut sql);
            push_settled(&mut sql, settle_rows);
            sql.push(" order by results.id limit ").push_bind(reach);
            sql.push(") union all (select ").push(COLUMNS).push(format!(
                " from public.results where id = any (array(select id from matching
                   where (select lower from span) + {WINDOW} < (select upper from span)
                     and id > (select lower from span) + {WINDOW} and id <= (select upper from span) order by id limit "
            ));
            sql.push_bind(reach)
                .push(")) order by results.id)) found limit ")
                .push_bind(limit);
        }
        sql.push(" offset ").push_bind(offset);
        if is_settled {
            sql.push(") page on true");
        }
        sql
    }
}

/// Between which ids the rows of a page are. Ids that are missing before the first row need not be read.
fn push_span(sql: &mut QueryBuilder<Postgres>, start: PageStart) {
    sql.push("span as materialized (select greatest(");
    match start {
        PageStart::Offset(_) => sql.push_bind(i64::MIN),
        PageStart::After(id) => sql.push_bind(id),
        PageStart::Settled(_) => sql.push("(select after from start)"),
    };
    sql.push("::bigint, (select min(id) - 1 from public.results)) as lower, ");
    sql.push(match start {
        PageStart::Settled(_) => "(select id from watermark)",
        PageStart::Offset(_) | PageStart::After(_) => "(select max(id)::bigint from public.results)",
    });
    sql.push(" as upper) ");
}
