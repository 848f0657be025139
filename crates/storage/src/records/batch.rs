//! Small records of several objects in one transaction, or in one of each database: then the results first, as alone.
//!
//! Only objects of which nothing is there yet are recorded together. All others, and those that a batch cannot be written with, are
//! recorded alone: there is one place for each rule about them.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures::TryStreamExt;
use jiff::Timestamp;
use paper::PaperId;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    Ending, ObjectRef, PaperBatch, Record,
    papers::{self, Sorted},
    statements::{self, Tables},
};
use crate::{
    Paper, StorageError,
    connection::{LINGER, Pool, Session, Work, bounded, from_micros},
    reads::paper_key::id_columns,
};

/// The most papers of a record that is written together with others.
const FEW: usize = 50;

/// A record with few papers, for a transaction that outlives its caller.
pub(super) struct SmallRecord {
    uid: Uuid,
    namespace: String,
    name: String,
    search: String,
    query_id: i64,
    timestamp: i64,
    status: i16,
    num_results: i32,
    query: String,
    answer: PaperBatch,
}

/// Whether a record may be written together with others: its papers are few and in memory, and no feed has to be asked about them.
pub(super) fn is_small(record: &Record<'_>) -> bool {
    let papers = record.papers.in_memory();
    record.feed.is_none() && papers.is_some_and(|(papers, _)| papers.len() <= FEW)
}

impl SmallRecord {
    /// A copy of a small record.
    pub(super) async fn read(record: &Record<'_>) -> Result<Self, StorageError> {
        let answer = record.papers.batches().try_next().await?;
        Ok(Self {
            uid: record.object.uid,
            namespace: record.object.namespace.to_owned(),
            name: record.object.name.to_owned(),
            search: record.object.search.to_owned(),
            query_id: record.query_id,
            timestamp: record.timestamp,
            status: record.status,
            num_results: record.num_results,
            query: record.query.to_owned(),
            answer: answer.unwrap_or_default(),
        })
    }

    fn as_record(&self) -> Record<'_> {
        Record {
            object: ObjectRef {
                uid: self.uid,
                namespace: &self.namespace,
                name: &self.name,
                search: &self.search,
            },
            query_id: self.query_id,
            timestamp: self.timestamp,
            status: self.status,
            num_results: self.num_results,
            query: &self.query,
            papers: &self.answer,
            feed: None,
        }
    }
}

/// Records objects together.
pub(super) struct RecordBatch {
    pub(super) queries: Pool,
    /// Where `results` is in another database.
    pub(super) results: Option<Pool>,
}

impl Work for RecordBatch {
    type Item = SmallRecord;
    /// None for an object that has to be recorded alone.
    type Answer = Option<Ending>;
    const MAX_BATCH: usize = 32;
    const CONCURRENCY: usize = 1;
    const MAX_CONCURRENCY: usize = 4;
    const LINGER: Duration = LINGER;

    async fn serve(&self, items: Vec<SmallRecord>) -> Result<Vec<Option<Ending>>, StorageError> {
        match bounded(self.record(&items)).await {
            // One of them must not keep the others from being recorded.
            Err(error) if error.may_be_of_one() => Ok(vec![None; items.len()]),
            done => done,
        }
    }
}

impl RecordBatch {
    async fn record(&self, items: &[SmallRecord]) -> Result<Vec<Option<Ending>>, StorageError> {
        let all: Vec<_> = items.iter().map(SmallRecord::as_record).collect();
        let tables = self.results.as_ref().map_or(Tables::Both, |_| Tables::Queries);
        let mut session = Session::open_locked(&self.queries, &statements::locks(&all, tables)).await?;
        let new = Found::read(&mut session, all, tables).await?;
        let (new, entries) = match &self.results {
            None => {
                let entries = insert_results(&mut session, &new).await?;
                (new.objects, entries)
            }
            Some(results) => {
                let locks = statements::locks(&new.objects, Tables::Results);
                let mut session = Session::open_locked(results, &locks).await?;
                let new = Found::read(&mut session, new.objects, Tables::Results).await?;
                let entries = insert_results(&mut session, &new).await?;
                session.commit().await?;
                (new.objects, entries)
            }
        };
        let rows = new.iter().zip(entries);
        let rows: Vec<_> = rows
            .map(|(record, entries)| (record, record.query_id, entries))
            .collect();
        let inserted = statements::insert_queries(&mut session, &rows).await?;
        if inserted.len() < new.len() {
            // Somebody has written without the locks. Results that are in another database now are used by the next try.
            return Ok(vec![None; items.len()]);
        }
        session.commit().await?;
        let mut ended: HashMap<_, _> = inserted.into_iter().collect();
        let ending = |item: &SmallRecord| ended.remove(&item.uid).map(Ending::Recorded);
        Ok(items.iter().map(ending).collect())
    }
}

/// What is found in a database before objects are recorded there.
struct Found<'a> {
    /// Those of the objects of which nothing is there, and whose query id no foreign row has.
    objects: Vec<Record<'a>>,
    /// Papers of theirs that are not there from the same answer of arXiv's or a later one.
    papers_missing: HashSet<&'a PaperId>,
    /// The database's clock.
    now: Timestamp,
}

/// What says that an object has to be recorded alone, as far as `queries` knows. OFFSET keeps the planner from reading a table as a
/// whole in place of its index, whatever it takes for its size.
const IN_QUERIES: &str = "exists (select from public.queries where query_uid = object.uid offset 0)
    or exists (select from public.arxiv_query_tombstones where query_uid = object.uid offset 0)
    or exists (select from public.queries where query_id = object.id and query_uid is distinct from object.uid offset 0)";
/// The same of `results`.
const IN_RESULTS: &str = "exists (select from public.results where query_uid = object.uid offset 0)
    or exists (select from public.results where query_id = object.id and query_uid is distinct from object.uid offset 0)";

/// Papers that are not there, by the place of their key.
const PAPERS_MISSING: &str =
    "select n from unnest($3::text[], $4::integer[], $5::bigint[]) with ordinality as key (paper, version, fetched, n)
     where not exists (select from public.arxiv_papers p where p.paper = key.paper and p.version = key.version
       and p.fetched_at >= timestamptz 'epoch' + key.fetched * interval '1 microsecond' offset 0)";

impl<'a> Found<'a> {
    /// Reads all of it in one statement.
    async fn read(session: &mut Session, all: Vec<Record<'a>>, tables: Tables) -> Result<Self, StorageError> {
        let known = match tables {
            Tables::Both => format!("{IN_QUERIES} or {IN_RESULTS}"),
            Tables::Queries => IN_QUERIES.to_owned(),
            Tables::Results => IN_RESULTS.to_owned(),
        };
        let has_results = tables != Tables::Queries;
        let missing = if has_results {
            PAPERS_MISSING
        } else {
            "select null where false"
        };
        let look = format!(
            "select
               array(select n from unnest($1::uuid[], $2::bigint[]) with ordinality as object (uid, id, n) where {known}),
               array({missing})::bigint[],
               (extract(epoch from clock_timestamp()) * 1000000)::bigint"
        );
        let mut look = sqlx::query_as(AssertSqlSafe(look)).persistent(session.is_persistent());
        look = look
            .bind(all.iter().map(|record| record.object.uid).collect::<Vec<_>>())
            .bind(all.iter().map(|record| record.query_id).collect::<Vec<_>>());
        let papers = if has_results {
            papers_of(&all)
        } else {
            Sorted::new()
        };
        if has_results {
            let (ids, versions) = id_columns(papers.keys().copied());
            let times: Vec<_> = papers.values().map(|(_, time)| time.as_microsecond()).collect();
            look = look.bind(ids).bind(versions).bind(times);
        }
        let (known, missing, now): (Vec<i64>, Vec<i64>, i64) = look.fetch_one(session.conn()).await?;
        let [known, missing] = [known, missing].map(HashSet::<i64>::from_iter);
        let (mut uids, mut ids) = (HashSet::new(), HashSet::new());
        let objects = (1..).zip(all).filter_map(|(n, record)| {
            let is_first = uids.insert(record.object.uid) & ids.insert(record.query_id);
            (is_first && !known.contains(&n)).then_some(record)
        });
        let papers_missing = (1..).zip(papers.into_keys()).filter(|(n, _)| missing.contains(n));
        Ok(Self {
            objects: objects.collect(),
            papers_missing: papers_missing.map(|(_, id)| id).collect(),
            now: from_micros(now)?,
        })
    }
}

/// Their papers, as they are written.
fn papers_of<'a>(records: &[Record<'a>]) -> Sorted<'a> {
    papers::sorted(records.iter().filter_map(|record| record.papers.in_memory()))
}

/// Inserts the results of these objects, and the metadata of their papers; how many each has.
async fn insert_results(session: &mut Session, found: &Found<'_>) -> Result<Vec<i32>, StorageError> {
    let mut missing = papers_of(&found.objects);
    missing.retain(|id, _| found.papers_missing.contains(id));
    papers::upsert(session, &missing).await?;
    let papers = found.objects.iter().map(|record| {
        let (papers, _) = record.papers.in_memory().unwrap_or_default();
        papers.iter().map(Paper::from).collect()
    });
    let papers: Vec<Vec<Paper>> = papers.collect();
    let mut rows = Vec::new();
    for (record, papers) in found.objects.iter().zip(&papers) {
        rows.extend((0..).zip(papers).map(|(number, paper)| (record, number, paper)));
    }
    statements::insert_rows(session, &rows, found.now).await?;
    let entries = papers.iter().map(|papers| i32::try_from(papers.len()));
    entries
        .collect::<Result<_, _>>()
        .map_err(|_| StorageError::Unreadable)
}
