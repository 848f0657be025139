//! Pages of results: by number, behind a cursor, and all of them.
//!
//! Rows always come by id. TextQuery that many rows have are found soon by going through rows in that order; words that few have,
//! by their index. Which it is cannot be known for the place where a page begins, so a page takes what it finds in the next
//! few thousand rows, and what is missing then from the index. Both take bounded time, whatever the server knows of the words.

use sqlx::{Postgres, QueryBuilder, postgres::PgRow};

use super::{
    Reads, Retries,
    filter::{ResultFilter, push_settled},
};
use crate::{ResultRow, StorageError, connect::bounded, session::Session, time::micros};

/// Ids that are gone through before an index is asked.
const WINDOW: i64 = 2000;
/// What a row is read as.
const COLUMNS: &str =
    "id::bigint, query_id, timestamp, coalesce(author, '') as author, coalesce(title, '') as title,
    coalesce(journal, '') as journal, arxiv_id, categories";

/// A row of `results`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredResult {
    /// Rows come in its order.
    pub id: i64,
    /// The query's number.
    pub query_id: Option<i64>,
    /// The query's time in unix seconds.
    pub timestamp: Option<i64>,
    /// What every row has.
    pub row: ResultRow,
    /// arXiv's identifier with its version, where it was kept.
    pub arxiv_id: Option<String>,
    /// arXiv's categories with spaces between, where they were kept.
    pub categories: Option<String>,
}

impl StoredResult {
    /// The length of its texts.
    pub(super) fn text_len(&self) -> usize {
        let ResultRow {
            author,
            title,
            journal,
        } = &self.row;
        let further = [&self.arxiv_id, &self.categories];
        let further = further.into_iter().flatten().map(String::len);
        author.len() + title.len() + journal.len() + further.sum::<usize>()
    }
}

impl sqlx::FromRow<'_, PgRow> for StoredResult {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        use sqlx::Row;
        Ok(Self {
            id: row.try_get("id")?,
            query_id: row.try_get("query_id")?,
            timestamp: row.try_get("timestamp")?,
            row: ResultRow {
                author: row.try_get("author")?,
                title: row.try_get("title")?,
                journal: row.try_get("journal")?,
            },
            arxiv_id: row.try_get("arxiv_id")?,
            categories: row.try_get("categories")?,
        })
    }
}

/// How far somebody has read settled rows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    /// The epoch of the server that answered.
    pub epoch: i64,
    /// The last row that was read.
    pub id: i64,
}

impl Position {
    /// Nothing was read yet.
    pub const START: Self = Self {
        epoch: i64::MAX,
        id: i64::MIN,
    };
}

/// Where a page lies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// So many rows after the first.
    Offset(i64),
    /// After this id.
    After(i64),
    /// After this row, and no further than what is settled.
    Watermark(Position),
}

/// How far the results are settled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Watermark {
    /// Grows whenever settled rows may have changed.
    pub epoch: i64,
    /// Up to this id no row will be added any more.
    pub id: i64,
    /// The id after which the page begins: that of the position, or a lower one when the rows between may be others since then,
    /// because a server took over that had less.
    pub after: i64,
}

/// A page behind a cursor.
#[derive(Clone, Debug)]
pub struct SettledPage {
    /// How far the server that answered is.
    pub watermark: Watermark,
    /// Rows up to its bound.
    pub rows: Vec<StoredResult>,
}

impl Reads {
    /// One page of those results that are wanted; pages count from 0.
    pub async fn find(
        &self,
        filter: &ResultFilter,
        page: i64,
        items_per_page: i64,
    ) -> Result<Vec<StoredResult>, StorageError> {
        let offset = page.saturating_mul(items_per_page);
        self.rows(filter, Place::Offset(offset), items_per_page).await
    }

    /// The wanted results after an id, by id.
    pub(super) async fn after(
        &self,
        filter: &ResultFilter,
        id: i64,
        limit: i64,
    ) -> Result<Vec<StoredResult>, StorageError> {
        self.rows(filter, Place::After(id), limit).await
    }

    /// The wanted results after a position, of those that are settled: no row will ever come between them. None when this
    /// server does not know yet how far they are.
    pub async fn settled_after(
        &self,
        filter: &ResultFilter,
        position: Position,
        limit: i64,
    ) -> Result<Option<SettledPage>, StorageError> {
        let mut retries = Retries::default();
        loop {
            let read = bounded(async {
                let mut sql = self.page(filter, Place::Watermark(position), limit);
                let mut session = Session::indexed(&self.results).await?;
                let page = sql
                    .build()
                    .persistent(session.is_persistent())
                    .fetch_all(session.conn())
                    .await?;
                session.commit().await?;
                settled_page(&page).map_err(StorageError::from)
            });
            let read = read.await;
            if !retries.again(&read) {
                return read;
            }
        }
    }

    /// How far the server that answers is, for a page after a position; None when it does not know.
    pub async fn watermark(&self, position: Position) -> Result<Option<Watermark>, StorageError> {
        let page = self.settled_after(&ResultFilter::default(), position, 0).await?;
        Ok(page.map(|page| page.watermark))
    }

    async fn rows(
        &self,
        filter: &ResultFilter,
        place: Place,
        limit: i64,
    ) -> Result<Vec<StoredResult>, StorageError> {
        let mut retries = Retries::default();
        loop {
            let read = bounded(async {
                let mut sql = self.page(filter, place, limit);
                let mut session = Session::indexed(&self.results).await?;
                let page = sql
                    .build_query_as::<StoredResult>()
                    .persistent(session.is_persistent());
                let mut rows = page.fetch_all(session.conn()).await?;
                session.commit().await?;
                rows.sort_unstable_by_key(|row| row.id);
                Ok(rows)
            });
            let read = read.await;
            if !retries.again(&read) {
                return read;
            }
        }
    }

    /// The statement of a page.
    pub(super) fn page(&self, filter: &ResultFilter, place: Place, limit: i64) -> QueryBuilder<Postgres> {
        let settle = self.settle.map(micros);
        let offset = match place {
            Place::Offset(offset) => offset,
            Place::After(_) | Place::Watermark(_) => 0,
        };
        let is_settled = matches!(place, Place::Watermark(_));
        let mut sql = QueryBuilder::new("with ");
        if let Place::Watermark(position) = place {
            push_settlement(&mut sql, settle);
            push_start(&mut sql, position);
        }
        // Gaps before the first row are nothing to go through.
        sql.push("span as materialized (select greatest(");
        match place {
            Place::Offset(_) => sql.push_bind(i64::MIN),
            Place::After(id) => sql.push_bind(id),
            Place::Watermark(_) => sql.push("(select after from start)"),
        };
        sql.push("::bigint, (select min(id) - 1 from public.results)) as floor, ");
        sql.push(if is_settled {
            "(select bound from settlement)"
        } else {
            "(select max(id)::bigint from public.results)"
        });
        sql.push(" as roof) ");
        if filter.is_empty() {
            push_head(&mut sql, is_settled);
            sql.push("select ").push(COLUMNS);
            sql.push(
                " from public.results where id > (select floor from span) and id <= (select roof from span)",
            );
            push_settled(&mut sql, settle.filter(|_| !is_settled));
            sql.push(" order by results.id limit ")
                .push_bind(limit)
                .push(" offset ")
                .push_bind(offset);
        } else {
            sql.push(", matching as materialized (select id from public.results where true");
            filter.push(&mut sql);
            push_settled(&mut sql, settle.filter(|_| !is_settled));
            sql.push(") ");
            push_head(&mut sql, is_settled);
            let reach = limit.saturating_add(offset);
            sql.push("select * from ((select ").push(COLUMNS);
            sql.push(format!(
                " from public.results where id > (select floor from span)
                   and id <= least((select floor from span) + {WINDOW}, (select roof from span))"
            ));
            filter.push(&mut sql);
            push_settled(&mut sql, settle.filter(|_| !is_settled));
            sql.push(" order by results.id limit ")
                .push_bind(reach)
                .push(") union all (select ")
                .push(COLUMNS);
            sql.push(format!(
                " from public.results where id = any (array(select id from matching
                   where (select floor from span) + {WINDOW} < (select roof from span)
                     and id > (select floor from span) + {WINDOW} and id <= (select roof from span) order by id limit "
            ));
            sql.push_bind(reach).push(")) order by results.id)) found limit ");
            sql.push_bind(limit).push(" offset ").push_bind(offset);
        }
        if is_settled {
            sql.push(") page on true");
        }
        sql
    }
}

/// Epoch and bound as of the statement's snapshot. Where the tables are apart, the bound as of the settle horizon.
pub(super) fn push_settlement(sql: &mut QueryBuilder<Postgres>, settle: Option<i64>) {
    sql.push(
        "settlement as materialized (select epoch, (select max(id) from public.arxiv_results_settled where true",
    );
    if let Some(micros) = settle {
        sql.push(" and settled_at <= clock_timestamp() - ")
            .push_bind(micros);
        sql.push(" * interval '1 microsecond'");
    }
    sql.push(") as bound from public.arxiv_results_epoch), ");
}

/// The id after which a page behind a position begins.
fn push_start(sql: &mut QueryBuilder<Postgres>, position: Position) {
    sql.push("start as materialized (select least(")
        .push_bind(position.id);
    sql.push(", (select id from public.arxiv_results_timeline_forks where epoch > ")
        .push_bind(position.epoch);
    sql.push(" order by epoch limit 1)) as after), ");
}

/// The settlement comes with every row, and alone when there is none.
fn push_head(sql: &mut QueryBuilder<Postgres>, is_settled: bool) {
    if is_settled {
        sql.push(
            "select settlement.epoch, settlement.bound, start.after, page.*
               from settlement cross join start left join (",
        );
    }
}

fn settled_page(rows: &[PgRow]) -> Result<Option<SettledPage>, sqlx::Error> {
    use sqlx::{FromRow, Row};
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let (epoch, Some(bound)) = (first.try_get("epoch")?, first.try_get("bound")?) else {
        return Ok(None);
    };
    let after = first.try_get("after")?;
    let mut page = SettledPage {
        watermark: Watermark {
            epoch,
            id: bound,
            after,
        },
        rows: Vec::with_capacity(rows.len()),
    };
    for row in rows {
        if row.try_get::<Option<i64>, _>("id")?.is_some() {
            page.rows.push(StoredResult::from_row(row)?);
        }
    }
    page.rows.sort_unstable_by_key(|row| row.id);
    Ok(Some(page))
}
