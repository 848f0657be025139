//! Which rows are wanted, as SQL. Only what is asked for stands in the statement, so that each has the plan for itself.

use sqlx::{Postgres, QueryBuilder};

use crate::words::{CATEGORIES, TextQuery, query_of, vector};

/// Which results are wanted: those that meet all that is given.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct ResultFilter {
    /// Words in the authors.
    pub author: Option<TextQuery>,
    /// Words in the title.
    pub title: Option<TextQuery>,
    /// Words in the journal reference.
    pub journal: Option<TextQuery>,
    /// One of arXiv's categories, as it spells it (`math.CO`).
    pub category: Option<String>,
    /// The query's number.
    pub query_id: Option<i64>,
    /// Unix seconds of the query, from.
    pub start: Option<i64>,
    /// Unix seconds of the query, up to and with.
    pub end: Option<i64>,
}

impl ResultFilter {
    /// Whether all rows are wanted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the conditions, each after an `and`.
    pub(super) fn push(&self, sql: &mut QueryBuilder<Postgres>) {
        for (column, words) in [
            ("author", &self.author),
            ("title", &self.title),
            ("journal", &self.journal),
        ] {
            if let Some(words) = words {
                push_words(sql, column, words);
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

/// Which queries are wanted: those that meet all that is given.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct QueryFilter {
    /// The upstream's HTTP status.
    pub status: Option<i16>,
    /// Words in the query.
    pub text: Option<TextQuery>,
}

pub(super) fn push_words(sql: &mut QueryBuilder<Postgres>, column: &str, words: &TextQuery) {
    let (before, after) = query_of("\0")
        .split_once('\0')
        .map_or_else(Default::default, |(before, after)| {
            (before.to_owned(), after.to_owned())
        });
    sql.push(" and ").push(vector(column)).push(" @@ ").push(before);
    sql.push_bind(words.as_query().to_owned())
        .push("::text")
        .push(after);
}

/// The condition of servers apart: what is young may be half of a record.
pub(super) fn push_settled(sql: &mut QueryBuilder<Postgres>, settle: Option<i64>) {
    if let Some(micros) = settle {
        sql.push(" and (recorded_at is null or recorded_at <= clock_timestamp() - ");
        sql.push_bind(micros).push(" * interval '1 microsecond')");
    }
}
