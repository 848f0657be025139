//! Filters as SQL. A statement holds only the conditions that are asked for, so that the server plans each by itself.

use sqlx::{Postgres, QueryBuilder};

use crate::text_search::{CATEGORIES, TextQuery, query_of, vector};

/// Which results match: those that meet every condition.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct ResultFilter {
    /// Words in the authors.
    pub author: Option<TextQuery>,
    /// Words in the title.
    pub title: Option<TextQuery>,
    /// Words in the journal reference.
    pub journal: Option<TextQuery>,
    /// One of arXiv's categories, in its case (`math.CO`).
    pub category: Option<String>,
    /// The id of the query that found it.
    pub query_id: Option<i64>,
    /// Unix seconds of the query, from.
    pub start: Option<i64>,
    /// Unix seconds of the query, up to and including.
    pub end: Option<i64>,
}

impl ResultFilter {
    /// Whether all rows match.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the conditions, each after an `and`.
    pub(super) fn push(&self, sql: &mut QueryBuilder<Postgres>) {
        for (column, text) in [
            ("author", &self.author),
            ("title", &self.title),
            ("journal", &self.journal),
        ] {
            if let Some(text) = text {
                push_text(sql, column, text);
            }
        }
        if let Some(category) = &self.category {
            sql.push(" and ").push(CATEGORIES).push(" @> array[");
            sql.push_bind(category.clone()).push("]::text[]");
        }
        if let Some(query_id) = self.query_id {
            sql.push(" and query_id = ").push_bind(query_id);
        }
        if let Some(start) = self.start {
            sql.push(" and timestamp >= ").push_bind(start);
        }
        if let Some(end) = self.end {
            sql.push(" and timestamp <= ").push_bind(end);
        }
    }
}

/// Which queries match: those that meet every condition.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct QueryFilter {
    /// The upstream's HTTP status.
    pub status: Option<i16>,
    /// Words in the query.
    pub text: Option<TextQuery>,
}

pub(super) fn push_text(sql: &mut QueryBuilder<Postgres>, column: &str, text: &TextQuery) {
    let query = query_of("\0");
    let (before, after) = query.split_once('\0').unwrap_or_default();
    sql.push(" and ").push(vector(column)).push(" @@ ").push(before);
    sql.push_bind(text.tsquery.clone()).push("::text").push(after);
}

/// The condition that rows have to meet where the tables are on different servers: a young row may be half of a record. All rows
/// are compared with one time, as all of a record have one.
pub(super) fn push_settled(sql: &mut QueryBuilder<Postgres>, settle: Option<i64>) {
    if let Some(micros) = settle {
        sql.push(" and (recorded_at is null or recorded_at <= statement_timestamp() - ");
        sql.push_bind(micros).push(" * interval '1 microsecond')");
    }
}

/// The subquery `watermark`: epoch and id as of the statement's snapshot. Where the tables are on different servers, the id as it
/// was `settle` microseconds ago.
pub(super) fn push_watermark(sql: &mut QueryBuilder<Postgres>, settle: Option<i64>) {
    sql.push(
        "watermark as materialized (select epoch, (select max(id) from public.arxiv_results_settled where true",
    );
    if let Some(micros) = settle {
        sql.push(" and settled_at <= clock_timestamp() - ")
            .push_bind(micros);
        sql.push(" * interval '1 microsecond'");
    }
    sql.push(") as id from public.arxiv_results_epoch), ");
}

/// The subquery `counted`, after `watermark`: the last row up to a position whose position was counted in the epoch of this very
/// snapshot.
pub(super) fn push_counted(sql: &mut QueryBuilder<Postgres>, position: i64) {
    sql.push(
        "counted as materialized (select position, id from public.arxiv_results_row_counts
           where epoch = (select epoch from watermark) and id <= (select id from watermark) and position <= ",
    );
    sql.push_bind(position).push(" order by position desc limit 1) ");
}
