//! The metadata of papers.
//!
//! Lists have the newest version of each paper that is known here. By relevance, every match has to be compared, so only the newest
//! matches are.

mod filter;
pub(crate) mod key;
mod matches;
mod ranking;
mod whole;

use jiff::Timestamp;
use paper::{PaperId, PaperVersion};
use sqlx::{FromRow, QueryBuilder, Row, postgres::PgRow};

use self::matches::{IS_NEWEST, Match, Page};
pub(crate) use self::whole::whole_papers;
pub use self::{filter::PaperFilter, whole::WhichVersion};
use super::{Reads, count::limited};
use crate::{
    StorageError,
    connection::{Kind, Session, from_micros},
};

/// A version as it is read.
const COLUMNS: &str = "paper, version, title, authors::text as authors, abstract, comment, journal, doi, categories, links::text as links,
    (extract(epoch from published) * 1000000)::bigint as published, (extract(epoch from updated) * 1000000)::bigint as updated,
    (extract(epoch from changed_at) * 1000000)::bigint as changed_at";

/// A version of a paper as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPaper {
    /// Its metadata at arXiv.
    pub paper: PaperVersion,
    /// When its row was written last.
    pub changed_at: Timestamp,
    /// How well it matches the words that were asked for; 0 where that is not the order.
    pub rank: f32,
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
        let page = Page {
            filter,
            order,
            after,
            limit,
        };
        Session::read(&self.results, Kind::Indexed, async |session| {
            let found = page.find(session).await?;
            stored(session, &found).await
        })
        .await
    }

    /// How many papers match; None when counting them takes too long.
    pub async fn papers_total(&self, filter: &PaperFilter) -> Result<Option<i64>, StorageError> {
        limited(&self.results, || {
            let mut sql = QueryBuilder::new("with ");
            filter.push_asked(&mut sql);
            sql.push(" select count(*) from public.arxiv_papers p where updated is not null");
            filter.push(&mut sql);
            sql.push(" and ").push(IS_NEWEST);
            sql
        })
        .await
    }
}

/// The papers that were found, in the same order.
async fn stored(session: &mut Session, found: &[Match]) -> Result<Vec<StoredPaper>, StorageError> {
    let papers: Vec<String> = found.iter().map(|found| found.paper.clone()).collect();
    let versions: Vec<i32> = found.iter().map(|found| found.version).collect();
    let ranks: Vec<f32> = found.iter().map(|found| found.rank).collect();
    let mut sql = QueryBuilder::new(format!("select {COLUMNS}, rank from unnest("));
    sql.push_bind(papers).push("::text[], ");
    sql.push_bind(versions).push("::integer[], ");
    sql.push_bind(ranks).push(
        "::real[]) with ordinality as found (paper, version, rank, place)
         join public.arxiv_papers p using (paper, version) order by place",
    );
    session.fetch(sql).await
}
