//! Doing what the schedule says, and undoing it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sqlx::Row;

use crate::bed::Bed;
use crate::schedule::{Fault, Lane, Shape, faults};

/// A request in flight is finished before a process ends.
pub(crate) const TERMINATE_LIMIT: Duration = Duration::from_secs(40);
/// So long after a break everybody has seen it.
pub(crate) const SEEN_WITHIN: Duration = Duration::from_secs(1);
/// The sequence does not come so far while a stranger's row is being put there.
const STRANGERS_LEAD: i64 = 30;

impl Bed {
    /// Faults of one lane, one after the other, until the time is over; the last one is undone as well.
    pub(crate) async fn run_lane(&self, lane: Lane, seed: u64, shape: Shape, until: Instant) -> Result<()> {
        for (pause, fault) in faults(lane, seed, shape) {
            if Instant::now() + pause >= until {
                break;
            }
            tokio::time::sleep(pause).await;
            *self.notes().faults.entry(fault.name()).or_default() += 1;
            self.timeline.say(&format!("fault: {}", self.describe(&fault)));
            let outcome = self.inflict(&fault).await;
            outcome.with_context(|| format!("{fault:?} could not be done and undone"))?;
        }
        Ok(())
    }

    fn describe(&self, fault: &Fault) -> String {
        match fault {
            Fault::Kill { victim, .. }
            | Fault::Restart { victim }
            | Fault::Pause { victim, .. }
            | Fault::Cut { victim, .. } => {
                let name = self.services().get(*victim).map_or("", |service| service.name());
                format!("{name}: {fault:?}")
            }
            Fault::Upstream(behaviour) => format!(
                "arXiv: {} times {}, delay {} ms, Retry-After {:?}",
                behaviour.mode,
                behaviour.times.unwrap_or(1),
                behaviour.delay_ms,
                behaviour.retry_after
            ),
            fault => format!("{fault:?}"),
        }
    }

    async fn inflict(&self, fault: &Fault) -> Result<()> {
        match fault {
            Fault::Kill { victim, down } => self.kill(*victim, *down).await,
            Fault::Restart { victim } => self.restart(*victim).await,
            Fault::Pause { victim, lasts } => self.pause(*victim, *lasts).await,
            Fault::Database { server, outage } => self.database(*server, *outage).await,
            Fault::FailOver { outage } => self.fail_over(*outage).await,
            Fault::StaleReads { lasts } => self.stale_reads(*lasts).await,
            Fault::Kubernetes { part, outage } => self.kubernetes(*part, *outage).await,
            Fault::Cut { .. } => self.cut(fault).await,
            Fault::Upstream(behaviour) => {
                self.stack.arxiv()?.set((**behaviour).clone());
                Ok(())
            }
            Fault::Stranger => self.stranger().await,
        }
    }

    async fn kill(&self, victim: usize, down: Duration) -> Result<()> {
        let service = self.services()[victim];
        let from = self.timeline.now();
        self.notes().down.insert(victim);
        service.child().kill9();
        self.disturbed(from, Some(victim), false);
        tokio::time::sleep(down).await;
        service.child().start_again()?;
        self.notes().down.remove(&victim);
        Ok(())
    }

    /// No fetch is lost by that.
    async fn restart(&self, victim: usize) -> Result<()> {
        let service = self.services()[victim];
        self.notes().down.insert(victim);
        let ended = service.child().terminate(TERMINATE_LIMIT).await;
        self.timeline.say(&format!("{} ended: {ended:?}", service.name()));
        ended?;
        service.child().start_again()?;
        self.notes().down.remove(&victim);
        Ok(())
    }

    async fn pause(&self, victim: usize, lasts: Duration) -> Result<()> {
        let service = self.services()[victim];
        let _nothing_else = self.gate.write().await;
        let from = self.timeline.now();
        self.timeline.say(&format!("{} stops", service.name()));
        service.child().freeze();
        tokio::time::sleep(lasts).await;
        service.child().thaw();
        self.timeline.say(&format!("{} goes on", service.name()));
        self.disturbed(from, Some(victim), true);
        tokio::time::sleep(SEEN_WITHIN).await;
        Ok(())
    }

    /// Puts a stranger's rows, one in each table, under a number that is about to be given. Nothing of it stays half
    /// done, also when a server goes away meanwhile.
    async fn stranger(&self) -> Result<()> {
        const TRIES: u32 = 120;
        const PAUSE: Duration = Duration::from_millis(500);
        let mut number = None;
        for tries_left in (0..TRIES).rev() {
            match self.put_stranger(&mut number).await {
                Ok(()) => break,
                Err(error) if tries_left == 0 => return Err(error),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        self.notes().strangers.extend(number.map(|number| (number, 1)));
        Ok(())
    }

    async fn put_stranger(&self, chosen: &mut Option<i64>) -> Result<()> {
        let (primary, _) = self.pair();
        let number = if let Some(number) = *chosen {
            number
        } else {
            let mut sequence = primary.connect("arxiv_sequence").await?;
            let row = sqlx::query("select last_value from public.arxiv_sequence")
                .fetch_one(&mut sequence)
                .await?;
            *chosen.insert(row.try_get::<i64, _>(0)? + STRANGERS_LEAD)
        };
        let results = self.stack.databases.results.as_ref().unwrap_or(primary);
        // Each only if it is not there from an earlier try.
        let result = format!(
            "insert into public.results (query_id, timestamp, result_number, author, title, journal)
             select {number}, 1711843200, 0, 'a stranger', 'a title', '' where not exists
             (select from public.results where query_uid is null and query_id = {number})"
        );
        let query = format!(
            "insert into public.queries (query_id, timestamp, status, num_results, num_entries, query)
             select {number}, 1711843200, 200, 1, 1, 'a stranger''s' where not exists
             (select from public.queries where query_uid is null and query_id = {number})"
        );
        results.execute("arxiv", &result).await?;
        primary.execute("arxiv", &query).await
    }
}
