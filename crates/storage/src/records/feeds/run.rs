//! The recording of one run: which of its papers are new to the feed, and how far its search is complete now.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use paper::{PaperId, PaperVersion};
use sqlx::Row;
use uuid::Uuid;

use super::{
    FeedRun, FeedState, InitialItems, Outcome, Progress, Revisions, deliveries, progress::FinishedRun,
    register,
};
use crate::{StorageError, connection::Session, reads::paper_key::id_columns};

/// A run that is being recorded, under the lock of its feed.
pub(crate) struct Recording<'a> {
    run: FeedRun<'a>,
    state: FeedState,
    revisions: Revisions,
    /// Whether the run is one of the feed's present search.
    is_current: bool,
    /// What is new, in the order of the results.
    items: Vec<PaperId>,
    /// How large each of these is as JSON, in bytes.
    sizes: Vec<usize>,
    /// The papers among them.
    papers: HashSet<String>,
    /// The first and the last update.
    updates: Option<(Timestamp, Timestamp)>,
    fetched_at: Option<Timestamp>,
}

impl<'a> Recording<'a> {
    /// Waits for other runs of the feed.
    pub(crate) async fn begin(
        session: &mut Session,
        run: FeedRun<'a>,
        namespace: &str,
    ) -> Result<Self, StorageError> {
        let row = register::lock(session, run.feed, namespace).await?;
        let row = row.ok_or(StorageError::FeedUnknown)?;
        let mut state = register::state_of(&row)?;
        let is_current = run.searches.contains(&state.search);
        if is_current {
            let skips = state.initial_items == InitialItems::Skip;
            state.progress.begin(skips, run.updated_after);
        }
        Ok(Self {
            revisions: Revisions::of_word(row.try_get("revisions")?)?,
            run,
            state,
            is_current,
            items: Vec::new(),
            sizes: Vec::new(),
            papers: HashSet::new(),
            updates: None,
            fetched_at: None,
        })
    }

    /// Takes the papers of a batch as seen; those that are items.
    pub(crate) async fn take<'p>(
        &mut self,
        session: &mut Session,
        papers: &'p [PaperVersion],
        fetched_at: Timestamp,
    ) -> Result<Vec<&'p PaperVersion>, StorageError> {
        self.fetched_at.get_or_insert(fetched_at);
        if !self.is_current {
            return Ok(Vec::new());
        }
        // No paper of arXiv's is older, and the database has fewer years than a feed may name.
        let updates = papers.iter().filter_map(|paper| paper.updated);
        for updated in updates.filter(|updated| *updated >= Timestamp::UNIX_EPOCH) {
            let (newest, oldest) = self.updates.unwrap_or((updated, updated));
            self.updates = Some((newest.max(updated), oldest.min(updated)));
        }
        let Progress { floor, .. } = self.state.progress;
        let is_wanted = |paper: &PaperVersion| {
            paper
                .updated
                .zip(floor)
                .is_none_or(|(updated, floor)| updated >= floor)
        };
        let wanted: Vec<_> = papers.iter().filter(|paper| is_wanted(paper)).collect();
        let unseen = self.see(session, &wanted).await?;
        if self
            .state
            .progress
            .is_skipping(self.state.initial_items == InitialItems::Skip)
        {
            return Ok(Vec::new());
        }
        let mut items = Vec::new();
        for paper in unseen {
            let is_first = self.papers.insert(paper.id.paper.clone());
            if is_first || self.revisions == Revisions::Include {
                self.items.push(paper.id.clone());
                let json = serde_json::to_string(paper).map_err(|_| StorageError::Unreadable)?;
                self.sizes.push(json.len());
                items.push(paper);
            }
        }
        Ok(items)
    }

    /// Writes these versions as seen; those that were not, and, where new versions do not count, whose papers were not. In their order.
    async fn see<'p>(
        &self,
        session: &mut Session,
        wanted: &[&'p PaperVersion],
    ) -> Result<Vec<&'p PaperVersion>, StorageError> {
        let mut distinct = BTreeSet::new();
        let wanted: Vec<_> = wanted.iter().filter(|paper| distinct.insert(&paper.id)).collect();
        let (papers, versions) = id_columns(wanted.iter().map(|paper| &paper.id));
        let see = session.query_scalar::<i64>(
            "with input as materialized (
               select * from unnest($3::text[], $4::integer[]) with ordinality as i (paper, version, n)),
             known as materialized (
               select i.n from input i where exists (
                 select from public.arxiv_feed_seen s where s.feed_uid = $1 and s.seen_set = $2 and s.paper = i.paper)),
             added as (
               insert into public.arxiv_feed_seen (feed_uid, seen_set, paper, version)
               select $1, $2, paper, version from input order by paper, version
               on conflict do nothing returning paper, version)
             select n from input join added using (paper, version)
             where $5 or n not in (select n from known) order by n",
        );
        let unseen = see
            .bind(self.state.id)
            .bind(self.state.seen_set)
            .bind(papers)
            .bind(versions)
            .bind(self.revisions == Revisions::Include)
            .fetch_all(session.conn())
            .await?;
        let paper = |n: i64| usize::try_from(n - 1).ok().and_then(|n| wanted.get(n));
        let unseen = unseen
            .into_iter()
            .map(|n| paper(n).ok_or(StorageError::Unreadable));
        unseen.map(|paper| paper.map(|paper| **paper)).collect()
    }

    /// Writes the items with their positions, what came of the run, and how far the search is complete.
    pub(crate) async fn end(
        mut self,
        session: &mut Session,
        run_uid: Uuid,
        query_id: i64,
        recorded_at: Timestamp,
    ) -> Result<(), StorageError> {
        let recorded_at = recorded_at.as_microsecond();
        let count = i32::try_from(self.items.len()).map_err(|_| StorageError::Unreadable)?;
        let outcome = if self.is_current {
            self.state.progress.end(&FinishedRun {
                start: self.run.start,
                max_results: self.run.max_results,
                updated_after: self.run.updated_after,
                submitted_before: self.run.submitted_before,
                end: self.run.end,
                updates: self.updates,
                fetched_at: self.fetched_at.unwrap_or(Timestamp::MAX),
            })
        } else {
            Outcome::OtherSearch
        };
        let (papers, versions) = id_columns(&self.items);
        let items = session.query(
            "insert into public.arxiv_feed_items (feed_uid, position, seen_set, paper, version, run_uid, recorded_at)
             select $1, $2 - n, $3, paper, version, $4, timestamptz 'epoch' + $7 * interval '1 microsecond'
             from unnest($5::text[], $6::integer[]) with ordinality as i (paper, version, n) order by n desc",
        );
        items
            .bind(self.state.id)
            // The first of the results has the highest position.
            .bind(self.state.items + i64::from(count) + 1)
            .bind(self.state.seen_set)
            .bind(run_uid)
            .bind(papers)
            .bind(versions)
            .bind(recorded_at)
            .execute(session.conn())
            .await?;
        let run = session.query(
            "insert into public.arxiv_feed_runs (run_uid, feed_uid, query_id, new_items, outcome, recorded_at)
             values ($1, $2, $3, $4, $5, timestamptz 'epoch' + $6 * interval '1 microsecond')",
        );
        run.bind(run_uid)
            .bind(self.state.id)
            .bind(query_id)
            .bind(count)
            .bind(outcome.word())
            .bind(recorded_at)
            .execute(session.conn())
            .await?;
        if outcome == Outcome::OtherSearch {
            return Ok(());
        }
        if count > 0 {
            // The first of the results has the highest position.
            let sizes = self.sizes.iter().rev().copied();
            deliveries::insert(session, self.state.id, self.state.items, sizes, recorded_at).await?;
        }
        self.update_feed(session, count, outcome, recorded_at).await
    }

    async fn update_feed(
        &self,
        session: &mut Session,
        count: i32,
        outcome: Outcome,
        recorded_at: i64,
    ) -> Result<(), StorageError> {
        let Progress {
            watermark,
            floor,
            is_established,
            backfill,
        } = self.state.progress;
        let micros = |time: Option<Timestamp>| time.map(Timestamp::as_microsecond);
        let update = session.query(
            "update public.arxiv_feeds set
               last_position = last_position + $2, last_new_items = $2, last_outcome = $3, is_established = $4, backfill_start = $5,
               last_run_at = timestamptz 'epoch' + $6 * interval '1 microsecond',
               last_complete_at = case when $3 = 'Complete' then timestamptz 'epoch' + $6 * interval '1 microsecond'
                 else last_complete_at end,
               watermark = timestamptz 'epoch' + $7 * interval '1 microsecond',
               floor = timestamptz 'epoch' + $8 * interval '1 microsecond',
               backfill_watermark = timestamptz 'epoch' + $9 * interval '1 microsecond',
               backfill_covered = timestamptz 'epoch' + $10 * interval '1 microsecond',
               backfill_submitted_before = timestamptz 'epoch' + $11 * interval '1 microsecond'
             where feed_uid = $1",
        );
        let start = backfill.map(|backfill| i32::try_from(backfill.start)).transpose();
        update
            .bind(self.state.id)
            .bind(count)
            .bind(outcome.word())
            .bind(is_established)
            .bind(start.map_err(|_| StorageError::Unreadable)?)
            .bind(recorded_at)
            .bind(micros(watermark))
            .bind(micros(floor))
            .bind(micros(backfill.map(|backfill| backfill.watermark)))
            .bind(micros(backfill.map(|backfill| backfill.covered)))
            .bind(micros(backfill.and_then(|backfill| backfill.submitted_before)))
            .execute(session.conn())
            .await?;
        Ok(())
    }
}
