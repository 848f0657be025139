//! What arXiv tells of papers.
//!
//! Lists have the newest version of each paper that is known here. By relevance, every match has to be compared, so only the newest
//! matches are.

use jiff::Timestamp;
use paper::{PaperId, PaperVersion};
use sqlx::{FromRow, Postgres, QueryBuilder, Row, postgres::PgRow};

use super::{Reads, count::limited};
use crate::{
    StorageError,
    connection::{Kind, Session, from_micros},
    text_search::{PAPER_AUTHORS, PAPER_DOIS, TextQuery, query_of},
};

/// Papers that are read by date before the index of words is used.
const WINDOW: i64 = 500;
/// The most matches that are ordered by relevance.
const RANKED: i64 = 1000;
/// Among so many papers by date they are looked for first,
const RANKED_WINDOW: i64 = 2000;
/// and if there are so many, in no others: words that many papers have would take long.
const RANKED_ENOUGH: i64 = 100;
/// A version as it is read.
const COLUMNS: &str = "paper, version, title, authors::text as authors, abstract, comment, journal, doi, categories, links::text as links,
    (extract(epoch from published) * 1000000)::bigint as published, (extract(epoch from updated) * 1000000)::bigint as updated,
    (extract(epoch from changed_at) * 1000000)::bigint as changed_at";
/// Whether no newer version is known.
const IS_NEWEST: &str = "not exists (select from public.arxiv_papers newer where newer.paper = p.paper and newer.version > p.version)";

/// A version of a paper as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPaper {
    /// What arXiv tells of it.
    pub paper: PaperVersion,
    /// When its row was written last.
    pub changed_at: Timestamp,
    /// How well it matches the words that were asked for; 0 where that is not the order.
    pub rank: f32,
}

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

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum PaperOrder {
    /// The last submitted version first.
    #[default]
    Updated,
    /// The last submitted paper first.
    Published,
    /// The best match first, among the newest.
    Relevance,
}

/// After which paper a page begins.
#[derive(Clone, Debug, PartialEq)]
pub struct PaperPosition {
    /// Its date in microseconds; or the bits of its rank, which is not negative.
    pub key: i64,
    /// Its identifier.
    pub id: PaperId,
}

impl StoredPaper {
    /// The position after it, in a list of this order.
    pub fn position(&self, order: PaperOrder) -> PaperPosition {
        let micros = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_microsecond);
        PaperPosition {
            key: match order {
                PaperOrder::Updated => micros(self.paper.updated),
                PaperOrder::Published => micros(self.paper.published),
                PaperOrder::Relevance => self.rank.to_bits().into(),
            },
            id: self.paper.id.clone(),
        }
    }
}

impl FromRow<'_, PgRow> for StoredPaper {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let time = |column: &str| -> Result<Option<Timestamp>, sqlx::Error> {
            let micros: Option<i64> = row.try_get(column)?;
            micros.map(of_micros).transpose()
        };
        let version: i32 = row.try_get("version")?;
        Ok(Self {
            paper: PaperVersion {
                id: PaperId {
                    paper: row.try_get("paper")?,
                    version: u16::try_from(version).ok().filter(|version| *version > 0),
                },
                title: row.try_get("title")?,
                authors: json(row, "authors")?,
                abstract_text: row.try_get("abstract")?,
                comment: row.try_get("comment")?,
                journal: row.try_get("journal")?,
                doi: row.try_get("doi")?,
                categories: row.try_get("categories")?,
                published: time("published")?,
                updated: time("updated")?,
                links: json(row, "links")?,
            },
            changed_at: of_micros(row.try_get("changed_at")?)?,
            rank: row.try_get("rank")?,
        })
    }
}

fn of_micros(micros: i64) -> Result<Timestamp, sqlx::Error> {
    from_micros(micros).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn json<T: serde::de::DeserializeOwned>(row: &PgRow, column: &str) -> Result<T, sqlx::Error> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

impl PaperFilter {
    /// Adds the conditions, each after an `and`.
    fn push(&self, sql: &mut QueryBuilder<Postgres>) {
        if let Some(words) = &self.words {
            sql.push(" and words @@ ");
            push_query(sql, &words.tsquery);
        }
        if let Some(author) = &self.author {
            sql.push(format!(" and {PAPER_AUTHORS} @@ "));
            push_query(sql, &author.tsquery);
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
        for (column, (from, to)) in [("published", self.published), ("updated", self.updated)] {
            for (comparison, seconds, more) in [(">=", from, 0), ("<", to, 1)] {
                if let Some(seconds) = seconds {
                    sql.push(format!(" and {column} {comparison} timestamptz 'epoch' + "));
                    sql.push_bind(seconds.saturating_add(more))
                        .push(" * interval '1 second'");
                }
            }
        }
    }
}

fn push_query(sql: &mut QueryBuilder<Postgres>, tsquery: &str) {
    let query = query_of("\0");
    let (before, after) = query.split_once('\0').unwrap_or_default();
    sql.push(before)
        .push_bind(tsquery.to_owned())
        .push("::text")
        .push(after);
}

impl Reads {
    /// A version of a paper, or the newest one that is known.
    pub async fn paper(&self, id: &PaperId) -> Result<Option<StoredPaper>, StorageError> {
        let found = Session::read(&self.results, Kind::Indexed, async |session| {
            let mut sql = QueryBuilder::new(format!(
                "select {COLUMNS}, 0::real as rank from public.arxiv_papers where paper = "
            ));
            sql.push_bind(id.paper.clone());
            if let Some(version) = id.version {
                sql.push(" and version = ").push_bind(i32::from(version));
            }
            sql.push(" order by version desc limit 1");
            session.fetch(sql).await
        });
        Ok(found.await?.pop())
    }

    /// At most `limit` papers that match, in this order and after a position.
    pub async fn papers(
        &self,
        filter: &PaperFilter,
        order: PaperOrder,
        after: Option<&PaperPosition>,
        limit: i64,
    ) -> Result<Vec<StoredPaper>, StorageError> {
        Session::read(&self.results, Kind::Indexed, async |session| {
            session.fetch_planned(page(filter, order, after, limit)).await
        })
        .await
    }

    /// How many papers match; None when counting them takes too long.
    pub async fn papers_total(&self, filter: &PaperFilter) -> Result<Option<i64>, StorageError> {
        limited(&self.results, || {
            let mut sql =
                QueryBuilder::new("select count(*) from public.arxiv_papers p where updated is not null");
            filter.push(&mut sql);
            sql.push(" and ").push(IS_NEWEST);
            sql
        })
        .await
    }
}

fn page(
    filter: &PaperFilter,
    order: PaperOrder,
    after: Option<&PaperPosition>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("with ");
    if order != PaperOrder::Relevance {
        push_by_date(&mut sql, filter, order, after, limit);
        sql.push(format!(
            " select {COLUMNS}, 0::real as rank from found join public.arxiv_papers p using (paper, version)
              order by date desc, paper desc, version desc limit "
        ));
        sql.push_bind(limit);
        return sql;
    }
    push_by_date(&mut sql, filter, order, None, RANKED);
    sql.push(", ranked as (select paper, version, ts_rank(words, ");
    let words = filter.words.as_ref().map_or("", |words| words.tsquery.as_str());
    push_query(&mut sql, words);
    sql.push(
        ") as rank from found join public.arxiv_papers p using (paper, version)),
         best as (select * from ranked where true",
    );
    if let Some(after) = after {
        let rank = f32::from_bits(u32::try_from(after.key).unwrap_or_default());
        sql.push(" and (rank, paper, version) < (")
            .push_bind(rank)
            .push("::real, ");
        push_id(&mut sql, &after.id);
    }
    sql.push(" order by rank desc, paper desc, version desc limit ")
        .push_bind(limit);
    sql.push(format!(
        ") select {COLUMNS}, rank from best join public.arxiv_papers p using (paper, version)
         order by rank desc, paper desc, version desc"
    ));
    sql
}

/// The subquery `found`: paper, version and date of at most `limit` matches after a position, the last date first.
///
/// Words that many papers have are found soon among the next papers by date. Words that few have are found by their index.
/// Which it is cannot be known for every place, so what the next few hundred papers do not give comes from the index. Both take
/// bounded time, whatever the server knows of the words.
fn push_by_date(
    sql: &mut QueryBuilder<Postgres>,
    filter: &PaperFilter,
    order: PaperOrder,
    after: Option<&PaperPosition>,
    limit: i64,
) {
    let (window, enough) = match order {
        PaperOrder::Relevance => (RANKED_WINDOW, RANKED_ENOUGH),
        PaperOrder::Updated | PaperOrder::Published => (WINDOW, limit),
    };
    let column = match order {
        PaperOrder::Updated | PaperOrder::Relevance => "updated",
        PaperOrder::Published => "published",
    };
    // Without a date it has no place in the order; arXiv dates every version.
    let dated = format!("{column} is not null");
    let descending = format!("order by {column} desc, paper desc, version desc");
    let push_after = |sql: &mut QueryBuilder<Postgres>| {
        sql.push(format!(" from public.arxiv_papers p where {dated}"));
        if let Some(after) = after {
            sql.push(format!(
                " and ({column}, paper, version) < (timestamptz 'epoch' + "
            ));
            sql.push_bind(after.key).push(" * interval '1 microsecond', ");
            push_id(sql, &after.id);
        }
    };
    let last = "((select date from last), (select paper from last), (select version from last))";
    let selected = format!("select paper, version, {column} as date");
    sql.push(format!("near as materialized ({selected}"));
    push_after(sql);
    sql.push(format!(
        " {descending} limit {window}),
         last as materialized (select paper, version, date from near order by date, paper, version limit 1),
         matching as materialized ({selected} from public.arxiv_papers p where {dated}"
    ));
    filter.push(sql);
    sql.push(format!(
        " and {IS_NEWEST}),
         first as materialized ({selected}"
    ));
    push_after(sql);
    sql.push(format!(" and ({column}, paper, version) >= {last}"));
    filter.push(sql);
    sql.push(format!(" and {IS_NEWEST} {descending} limit "))
        .push_bind(limit);
    sql.push(format!(
        "), found as materialized (select * from first union all (
           select paper, version, date from matching
           where (select count(*) from first) < {enough} and (select count(*) from near) = {window} and (date, paper, version) < {last}
           order by date desc, paper desc, version desc limit "
    ));
    sql.push_bind(limit).push("))");
}

/// The end of a comparison with a position.
fn push_id(sql: &mut QueryBuilder<Postgres>, id: &PaperId) {
    sql.push_bind(id.paper.clone()).push(", ");
    sql.push_bind(id.version.map_or(0, i32::from)).push(")");
}
