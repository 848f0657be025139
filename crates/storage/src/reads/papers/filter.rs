//! Which papers are asked for.

use sqlx::{Postgres, QueryBuilder};

use crate::text_search::{PAPER_AUTHORS, PAPER_DOIS, TextQuery, query_of};

/// Which papers match: those that meet every condition.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct PaperFilter {
    /// Words in title, authors, abstract, comment or journal reference.
    pub words: Option<TextQuery>,
    /// Words in the authors.
    pub author: Option<TextQuery>,
    /// One of arXiv's categories (`math.CO`), or all of an archive (`math.*`).
    pub category: Option<String>,
    /// A DOI.
    pub doi: Option<String>,
    /// Unix seconds of the submission of the first version, both ends included.
    pub published: (Option<i64>, Option<i64>),
    /// The same of the newest version.
    pub updated: (Option<i64>, Option<i64>),
}

impl PaperFilter {
    /// The subquery `asked`: what texts are searched for. Computed once for a statement, not for each row, also by a plan for any
    /// parameters.
    pub(super) fn push_asked(&self, sql: &mut QueryBuilder<Postgres>) {
        let words = self.words.as_ref().map(|words| words.tsquery.as_str());
        let author = self.author.as_ref().map(|author| author.tsquery.as_str());
        // Of several words that all have to be there, any.
        let any_word = words.map(|words| words.replace(" & ", " | "));
        sql.push("asked as materialized (select ");
        push_query(sql, words);
        sql.push(" as words, ");
        push_query(sql, any_word.as_deref());
        sql.push(" as any_word, ");
        push_query(sql, author);
        sql.push(" as author)");
    }

    /// Adds the conditions, each after an `and`. It needs the subquery `asked`.
    pub(super) fn push(&self, sql: &mut QueryBuilder<Postgres>) {
        if self.words.is_some() {
            sql.push(" and words @@ (select asked.words from asked)");
        }
        if self.author.is_some() {
            sql.push(format!(
                " and {PAPER_AUTHORS} @@ (select asked.author from asked)"
            ));
        }
        if let Some(category) = &self.category {
            sql.push(" and category_keys @> array[")
                .push_bind(category.clone())
                .push("]::text[]");
        }
        if let Some(doi) = &self.doi {
            sql.push(format!(" and {PAPER_DOIS} @> array[lower("))
                .push_bind(doi.clone())
                .push(")]::text[]");
        }
        self.push_dates(sql, "published");
        self.push_dates(sql, "updated");
    }

    /// Adds the conditions on the dates of this column.
    pub(super) fn push_dates(&self, sql: &mut QueryBuilder<Postgres>, column: &str) {
        let (from, to) = match column {
            "published" => self.published,
            _ => self.updated,
        };
        for (comparison, seconds, more) in [(">=", from, 0), ("<", to, 1)] {
            if let Some(seconds) = seconds {
                sql.push(format!(" and {column} {comparison} timestamptz 'epoch' + "));
                sql.push_bind(seconds.saturating_add(more))
                    .push(" * interval '1 second'");
            }
        }
    }
}

fn push_query(sql: &mut QueryBuilder<Postgres>, tsquery: Option<&str>) {
    let Some(tsquery) = tsquery else {
        sql.push("null::tsquery");
        return;
    };
    let query = query_of("\0");
    let (before, after) = query.split_once('\0').unwrap_or_default();
    sql.push(before)
        .push_bind(tsquery.to_owned())
        .push("::text")
        .push(after);
}
