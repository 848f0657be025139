//! Which papers of a list are those of a page, in bounded time.
//!
//! Words that many papers have are found soon among the newest papers. Words that few have are found by their index, and cost what
//! reading the dates of all of them costs: if those of the last years, or those with the words in the title, are enough for the page,
//! only they are read. The server cannot know which words are which, as they come together more or less often than chance has it. So
//! it is tried out, a step at a time: a few papers, then the index, then the newest papers of it.

use sqlx::{FromRow, Postgres, QueryBuilder};

use super::{
    PaperFilter, PaperOrder, PaperPosition,
    ranking::{self, RANKED_ENOUGH, SCORE},
};
use crate::{StorageError, connection::Session, reads::paper_key::version_of, text_search::PAPER_YEARS};

/// Papers by date whose words are looked at without an index.
const FEW: i64 = 50;
/// Words that so many of these have are not rare,
const NOT_RARE: i64 = 2;
/// and that so many have are frequent: to read the index would take longer than the words of more papers.
const FREQUENT: i64 = 5;
/// Papers of a page that is short: a part of the matches may be enough for it.
const SHORT: i64 = 101;
/// Papers by date whose words are looked at for a short page of words that are not rare.
const SOME: i64 = 600;
/// The most matches of rare words, and the most that are ranked: the newest.
const RARE: i64 = 4000;
/// Papers by date among which words that are not rare are looked for first.
const WINDOW: i64 = 2000;
/// The most papers of a wider window.
const WIDEST: i64 = 50_000;
/// Whether no newer version is known. Asked of as few papers as possible: it takes longer than to read their dates.
pub(super) const IS_NEWEST: &str = "not exists (select from public.arxiv_papers newer where newer.paper = p.paper and newer.version > p.version)";

/// A version of a paper that belongs to a page.
#[derive(Debug, FromRow)]
pub(super) struct Match {
    pub(super) paper: String,
    pub(super) version: i32,
    pub(super) rank: f32,
}

/// What a page asks for.
pub(super) struct Page<'a> {
    pub(super) filter: &'a PaperFilter,
    pub(super) order: PaperOrder,
    pub(super) after: Option<&'a PaperPosition>,
    pub(super) limit: i64,
}

/// Where matches are looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// Among so many papers that come first.
    First(i64),
    /// Of rare words, among the papers of the year in which the page begins, and of the year before.
    Recent,
    /// Of rare words, in titles.
    Titles,
    /// Of rare words, among all; more than [`RARE`] matches are not read.
    Rare,
    /// Among the papers since this time, in microseconds.
    Since(i64),
    /// Among all.
    All,
}

impl Step {
    fn is_of_rare_words(self) -> bool {
        matches!(self, Self::Recent | Self::Titles | Self::Rare)
    }
}

/// What a step found.
struct Found {
    /// The number of all matches, of which some may be older versions.
    count: i64,
    matches: Vec<Match>,
}

#[derive(FromRow)]
struct FoundRow {
    count: i64,
    paper: Option<String>,
    version: Option<i32>,
    rank: Option<f32>,
}

impl Page<'_> {
    /// The papers of the page in their order.
    pub(super) async fn find(&self, session: &mut Session) -> Result<Vec<Match>, StorageError> {
        let few = self.step(session, Step::First(FEW)).await?;
        if self.is_enough(&few) {
            return Ok(few.matches);
        }
        if few.count < NOT_RARE {
            let part = match self.order {
                PaperOrder::Updated => Some(Step::Recent),
                PaperOrder::Relevance => Some(Step::Titles),
                PaperOrder::Published => None,
            };
            if let Some(part) = part.filter(|_| self.limit <= SHORT && self.filter.doi.is_none()) {
                let found = self.step(session, part).await?;
                if found.count <= RARE && self.is_full(&found) {
                    return Ok(found.matches);
                }
            }
            let rare = self.step(session, Step::Rare).await?;
            if rare.count <= RARE {
                return Ok(rare.matches);
            }
        }
        // Twice as many as it should take by these.
        let needed = 2 * self.wanted() * FEW / few.count.max(NOT_RARE);
        let without_index = if needed <= SOME {
            Some(SOME)
        } else if few.count >= FREQUENT {
            Some(WINDOW)
        } else {
            None
        };
        if let Some(papers) = without_index {
            let more = self.step(session, Step::First(papers)).await?;
            if self.is_enough(&more) {
                return Ok(more.matches);
            }
        }
        let Some((first, last)) = self.window(session).await? else {
            return Ok(self.step(session, Step::All).await?.matches);
        };
        let near = self.step(session, Step::Since(last)).await?;
        if self.is_enough(&near) {
            return Ok(near.matches);
        }
        if near.count > 0 {
            let papers = (WINDOW * 2 * self.wanted() / near.count).min(WIDEST);
            let since = first.saturating_sub((first - last).saturating_mul(papers) / WINDOW);
            let wide = self.step(session, Step::Since(since)).await?;
            if self.is_enough(&wide) {
                return Ok(wide.matches);
            }
        }
        Ok(self.step(session, Step::All).await?.matches)
    }

    fn wanted(&self) -> i64 {
        match self.order {
            PaperOrder::Relevance => RANKED_ENOUGH,
            PaperOrder::Updated | PaperOrder::Published => self.limit,
        }
    }

    fn is_enough(&self, found: &Found) -> bool {
        match self.order {
            PaperOrder::Relevance => found.count >= RANKED_ENOUGH,
            PaperOrder::Updated | PaperOrder::Published => self.is_full(found),
        }
    }

    fn is_full(&self, found: &Found) -> bool {
        i64::try_from(found.matches.len()).is_ok_and(|found| found >= self.limit)
    }

    /// The dates of the first and the last paper of the window; None where there are not so many papers.
    async fn window(&self, session: &mut Session) -> Result<Option<(i64, i64)>, StorageError> {
        let mut sql = QueryBuilder::new("");
        let column = self.column();
        for (n, offset) in [0, WINDOW - 1].into_iter().enumerate() {
            sql.push(if n == 0 { "select (" } else { "), (" });
            sql.push(format!("select (extract(epoch from {column}) * 1000000)::bigint from public.arxiv_papers p where {column} is not null"));
            self.push_place(&mut sql);
            sql.push(format!(
                " order by {column} desc, paper desc, version desc offset {offset} limit 1"
            ));
        }
        sql.push(")");
        let found: Vec<(Option<i64>, Option<i64>)> = session.fetch(sql).await?;
        Ok(found.first().and_then(|(first, last)| first.zip(*last)))
    }

    async fn step(&self, session: &mut Session, step: Step) -> Result<Found, StorageError> {
        let rows: Vec<FoundRow> = session.fetch(self.statement(step)).await?;
        let count = rows.first().map_or(0, |row| row.count);
        let matches = rows.into_iter().filter_map(|row| {
            Some(Match {
                paper: row.paper?,
                version: row.version?,
                rank: row.rank?,
            })
        });
        Ok(Found {
            count,
            matches: matches.collect(),
        })
    }

    fn statement(&self, step: Step) -> QueryBuilder<Postgres> {
        let mut sql = QueryBuilder::new("with ");
        self.filter.push_asked(&mut sql);
        sql.push(", matching as materialized (");
        self.push_matching(&mut sql, step);
        sql.push("), counted as (select count(*) as count from matching)");
        // Too many are no answer.
        let complete = if step.is_of_rare_words() {
            format!("count <= {RARE}")
        } else {
            "true".into()
        };
        if self.order == PaperOrder::Relevance {
            ranking::push(&mut sql, &complete, self.after, self.limit);
        } else {
            sql.push(format!(
                " select count, found.* from counted left join lateral (
                   select paper, version, 0::real as rank, date
                   from (select * from matching where {complete} order by date desc, paper desc, version desc offset 0) p
                   where {IS_NEWEST} order by date desc, paper desc, version desc limit "
            ));
            sql.push_bind(self.limit)
                .push(") as found on true order by date desc, paper desc, version desc");
        }
        sql
    }

    /// The versions that match, with their dates; where matches are ranked, also with what they are ranked by.
    fn push_matching(&self, sql: &mut QueryBuilder<Postgres>, step: Step) {
        let column = self.column();
        let score = match self.order {
            PaperOrder::Relevance => format!(", words, {SCORE}, {} as in_title", ranking::in_title()),
            PaperOrder::Updated | PaperOrder::Published => String::new(),
        };
        sql.push(format!("select paper, version, {column} as date{score} from "));
        // Without a date it has no place in the order; arXiv dates every version.
        let dated = format!("public.arxiv_papers p where {column} is not null");
        match step {
            Step::First(papers) => {
                sql.push(format!("(select * from {dated}"));
                self.push_place(sql);
                sql.push(format!(
                    " order by {column} desc, paper desc, version desc limit {papers}) p where true"
                ));
            }
            Step::Since(since) => {
                sql.push(format!("{dated} and {column} >= timestamptz 'epoch' + "))
                    .push_bind(since)
                    .push(" * interval '1 microsecond'");
                // With both ends, the server takes it for a short time, whatever the parameters are.
                if self.after_date().is_none() {
                    sql.push(format!(" and {column} <= "))
                        .push_bind("infinity")
                        .push("::text::timestamptz");
                }
                self.push_after(sql);
            }
            Step::Recent => {
                sql.push(format!(
                    "{dated} and {PAPER_YEARS} && (select array[year, year - 1] from
                    (select extract(year from {column} at time zone 'UTC')::integer as year from {dated}"
                ));
                self.push_place(sql);
                sql.push(format!(
                    " order by {column} desc, paper desc, version desc limit 1) first)"
                ));
                self.push_after(sql);
            }
            Step::Titles => {
                sql.push(format!("{dated} and {}", ranking::in_title()));
            }
            Step::Rare | Step::All => {
                sql.push(dated);
                self.push_after(sql);
            }
        }
        self.filter.push(sql);
        if step.is_of_rare_words() {
            sql.push(format!(" limit {RARE} + 1"));
        } else if step == Step::All && self.order == PaperOrder::Relevance {
            sql.push(format!(
                " order by {column} desc, paper desc, version desc limit {RARE}"
            ));
        }
    }

    /// The condition that papers are in the part of the order that the page and the filter allow.
    fn push_place(&self, sql: &mut QueryBuilder<Postgres>) {
        self.push_after(sql);
        self.filter.push_dates(sql, self.column());
    }

    fn push_after(&self, sql: &mut QueryBuilder<Postgres>) {
        let Some(after) = self.after_date() else { return };
        let column = self.column();
        sql.push(format!(" and {column} <= timestamptz 'epoch' + "))
            .push_bind(after.key)
            .push(format!(
                " * interval '1 microsecond' and ({column}, paper, version) < (timestamptz 'epoch' + "
            ))
            .push_bind(after.key)
            .push(" * interval '1 microsecond', ");
        push_id(sql, after);
    }

    /// After which place in the order of dates the page begins. By relevance, all its pages are of the same matches.
    fn after_date(&self) -> Option<&PaperPosition> {
        self.after.filter(|_| self.order != PaperOrder::Relevance)
    }

    fn column(&self) -> &'static str {
        match self.order {
            PaperOrder::Updated | PaperOrder::Relevance => "updated",
            PaperOrder::Published => "published",
        }
    }
}

/// The end of a comparison with a position.
pub(super) fn push_id(sql: &mut QueryBuilder<Postgres>, after: &PaperPosition) {
    sql.push_bind(after.id.paper.clone()).push(", ");
    sql.push_bind(version_of(&after.id)).push(")");
}
