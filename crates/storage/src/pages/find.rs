//! Looking up stored pages.

use std::{collections::HashMap, slice, time::Duration};

use super::{FoundPage, PageHead, PageKey, search_hash};
use crate::{
    StorageError,
    connection::{Kind, LINGER, Pool, Session, Work, from_micros},
};

/// The versions of a page that `key` accepts.
macro_rules! accepted {
    () => {
        concat!(
            "p.search_hash = ",
            search_hash!(),
            " and p.day = key.day and p.start = key.start and p.count = key.count
           and (p.expires_at is null or p.expires_at > clock_timestamp())
           and (not key.only_after or p.fetched_at > key.at)"
        )
    };
}
pub(super) use accepted;

/// Looks up small pages. Callers want the same ones, so each is read once.
pub(super) struct Find(pub(super) Pool);

impl Work for Find {
    /// With its papers or without them.
    type Item = (PageKey, bool);
    type Answer = Result<Option<FoundPage>, StorageError>;
    const MAX_BATCH: usize = 64;
    const CONCURRENCY: usize = 1;
    const MAX_CONCURRENCY: usize = 3;
    const LINGER: Duration = LINGER;

    async fn serve(&self, asked: Vec<(PageKey, bool)>) -> Result<Vec<Self::Answer>, StorageError> {
        let mut distinct: HashMap<&PageKey, bool> = HashMap::new();
        for (key, with_papers) in &asked {
            *distinct.entry(key).or_default() |= with_papers;
        }
        let distinct: Vec<_> = distinct.into_iter().collect();
        let found = match self.find(&distinct).await {
            // One of them must not keep the others from being found.
            Err(error) if error.may_be_of_one() => {
                let mut found = Found::new();
                for key in &distinct {
                    let page = self.find(slice::from_ref(key)).await;
                    found.extend(page.unwrap_or_else(|error| Found::from([(key.0, Err(error))])));
                }
                found
            }
            found => found?,
        };
        let answers = asked.iter().map(|(key, with_papers)| {
            let page = found.get(key).cloned().transpose()?;
            Ok(page.map(|page| FoundPage {
                papers: page.papers.filter(|_| *with_papers),
                ..page
            }))
        });
        Ok(answers.collect())
    }
}

impl Find {
    async fn find<'a>(&self, keys: &[(&'a PageKey, bool)]) -> Result<Found<'a>, StorageError> {
        Session::run(&self.0, Kind::Statement, async |session| {
            find(session, keys).await
        })
        .await
    }
}

/// Those of these pages that may still be used, each with its papers or without them.
pub(super) type Found<'a> = HashMap<&'a PageKey, Result<FoundPage, StorageError>>;

pub(super) async fn find<'a>(
    session: &mut Session,
    keys: &[(&'a PageKey, bool)],
) -> Result<Found<'a>, StorageError> {
    let find = session.query_as::<FoundRow>(concat!(
        "select key.n, page.* from (
           select search, day::date as day, start, count, timestamptz 'epoch' + at * interval '1 microsecond' as at, only_after,
             with_papers, n
           from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[], $7::boolean[])
             with ordinality as asked (search, day, start, count, at, only_after, with_papers, n)) key,
         lateral (
           select total, title, (extract(epoch from answered_at) * 1000000)::bigint as answered, status,
             (extract(epoch from fetched_at) * 1000000)::bigint as fetched, case when key.with_papers then entries end as entries,
             defects, (extract(epoch from clock_timestamp()) * 1000000)::bigint as now
           from public.arxiv_pages p where ",
        accepted!(),
        "
           -- Those up to the time before those after it, and of either the nearest.
           order by p.fetched_at > key.at, abs(extract(epoch from p.fetched_at - key.at))
           limit 1) page",
    ));
    let bounds: Vec<_> = keys.iter().map(|(key, _)| key.version.bounds()).collect();
    let find = find
        .bind(
            keys.iter()
                .map(|(key, _)| key.search.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            keys.iter()
                .map(|(key, _)| key.day.to_string())
                .collect::<Vec<_>>(),
        )
        .bind(
            keys.iter()
                .map(|(key, _)| i64::from(key.start))
                .collect::<Vec<_>>(),
        )
        .bind(
            keys.iter()
                .map(|(key, _)| i64::from(key.count))
                .collect::<Vec<_>>(),
        )
        .bind(bounds.iter().map(|(at, _)| *at).collect::<Vec<_>>())
        .bind(
            bounds
                .iter()
                .map(|(_, only_after)| *only_after)
                .collect::<Vec<_>>(),
        )
        .bind(
            keys.iter()
                .map(|(_, with_papers)| *with_papers)
                .collect::<Vec<_>>(),
        );
    let mut found = HashMap::new();
    for row in find.fetch_all(session.conn()).await? {
        let key = usize::try_from(row.n - 1).ok().and_then(|index| keys.get(index));
        let (key, _) = key.ok_or(StorageError::Unreadable)?;
        found.insert(*key, row.read());
    }
    Ok(found)
}

/// A row of a page that was found.
#[derive(sqlx::FromRow)]
struct FoundRow {
    n: i64,
    total: i64,
    title: String,
    answered: Option<i64>,
    status: i32,
    fetched: i64,
    entries: Option<String>,
    defects: Vec<String>,
    now: i64,
}

impl FoundRow {
    fn read(self) -> Result<FoundPage, StorageError> {
        let papers = self
            .entries
            .map(|papers| serde_json::from_str(&papers))
            .transpose();
        Ok(FoundPage {
            head: PageHead {
                total: u32::try_from(self.total).map_err(|_| StorageError::Unreadable)?,
                title: self.title,
                date: self.answered.map(from_micros).transpose()?,
                status: u16::try_from(self.status).map_err(|_| StorageError::Unreadable)?,
                defects: self.defects,
            },
            papers: papers.map_err(|_| StorageError::Unreadable)?,
            fetched_at: from_micros(self.fetched)?,
            found_at: from_micros(self.now)?,
        })
    }
}
