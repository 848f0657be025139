//! What arXiv tells of papers.
//!
//! Lists have the newest version of each paper that is known here. By date, words that many papers have are found soon by reading
//! papers in that order, words that few have by their index: the server knows how common a word is, as it plans each statement
//! with its parameters. By relevance, every match has to be compared, so only the newest matches are.

use jiff::Timestamp;
use paper::{PaperId, PaperVersion};
use sqlx::{FromRow, Postgres, QueryBuilder, Row, postgres::PgRow};

use super::{Reads, count::limited};
use crate::{
    StorageError,
    connection::{Kind, Session, from_micros},
    text_search::{PAPER_DOIS, TextQuery, query_of},
};

/// The most matches that are ordered by relevance.
const RANKED: i64 = 2000;
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
            sql.push(" and words @@ ");
            push_query(sql, &labelled(author, 'B'));
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

/// The query with each word in the part of a paper that has this label. Between the quotes there are words.
fn labelled(text: &TextQuery, label: char) -> String {
    let pieces = text.tsquery.split('\'').enumerate();
    let labelled = pieces.map(|(n, piece)| match n % 2 {
        1 => format!("'{piece}':{label}"),
        _ => piece.to_owned(),
    });
    labelled.collect()
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
    let column = match order {
        PaperOrder::Updated | PaperOrder::Relevance => "updated",
        PaperOrder::Published => "published",
    };
    let is_ranked = order == PaperOrder::Relevance;
    let mut sql = QueryBuilder::new("");
    if is_ranked {
        sql.push("with matching as materialized (select paper, version, words");
    } else {
        sql.push("select ").push(COLUMNS).push(", 0::real as rank");
    }
    // Without a date it has no place in the order; arXiv dates every version.
    sql.push(format!(" from public.arxiv_papers p where {column} is not null"));
    filter.push(&mut sql);
    if let Some(after) = after.filter(|_| !is_ranked) {
        sql.push(format!(
            " and ({column}, paper, version) < (timestamptz 'epoch' + "
        ));
        sql.push_bind(after.key).push(" * interval '1 microsecond', ");
        push_id(&mut sql, &after.id);
    }
    sql.push(format!(
        " and {IS_NEWEST} order by {column} desc, paper desc, version desc limit "
    ));
    if !is_ranked {
        sql.push_bind(limit);
        return sql;
    }
    sql.push(format!(
        "{RANKED}), ranked as (select paper, version, ts_rank(words, "
    ));
    let words = filter.words.as_ref().map_or("", |words| words.tsquery.as_str());
    push_query(&mut sql, words);
    sql.push(format!(
        ") as rank from matching)
         select {COLUMNS}, rank from ranked join public.arxiv_papers p using (paper, version) where true"
    ));
    if let Some(after) = after {
        let rank = f32::from_bits(u32::try_from(after.key).unwrap_or_default());
        sql.push(" and (rank, paper, version) < (")
            .push_bind(rank)
            .push("::real, ");
        push_id(&mut sql, &after.id);
    }
    sql.push(" order by rank desc, paper desc, version desc limit ")
        .push_bind(limit);
    sql
}

/// The end of a comparison with a position.
fn push_id(sql: &mut QueryBuilder<Postgres>, id: &PaperId) {
    sql.push_bind(id.paper.clone()).push(", ");
    sql.push_bind(id.version.map_or(0, i32::from)).push(")");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_follows_each_word() {
        let text = TextQuery::parse("Erdős \"random graphs\"").unwrap();
        assert_eq!(labelled(&text, 'B'), "'Erdős':B & ('random':B <-> 'graphs':B)");
    }
}
