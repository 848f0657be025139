//! Causing the faults of a schedule, and ending them.

mod cluster;
mod credentials;
mod schedule;
mod servers;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sqlx::Row;

use crate::harness::Harness;
use schedule::{Fault, faults};
pub(crate) use schedule::{FaultStream, Topology};

/// A process finishes its request to arXiv before it ends.
pub(crate) const TERMINATE_LIMIT: Duration = Duration::from_secs(40);
/// All processes have noticed a broken connection after this time.
pub(crate) const NOTICED_WITHIN: Duration = Duration::from_secs(1);
/// How far ahead of the sequence a foreign row's number is: the sequence does not get there while the row is inserted.
const FOREIGN_ROW_LEAD: i64 = 30;

/// Repeats a call until it succeeds: other faults may prevent it for some time.
async fn repeated(mut call: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    const TRIES: u32 = 120;
    const PAUSE: Duration = Duration::from_millis(500);
    for _ in 0..TRIES {
        if call().await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    call().await
}

impl Harness {
    /// Causes the faults of one stream, one after the other, until the time is over. Ends the last one too.
    pub(crate) async fn run_stream(
        &self,
        stream: FaultStream,
        seed: u64,
        topology: Topology,
        until: Instant,
    ) -> Result<()> {
        for (pause, fault) in faults(stream, seed, topology) {
            if Instant::now() + pause >= until {
                break;
            }
            tokio::time::sleep(pause).await;
            *self.observations().faults.entry(fault.name()).or_default() += 1;
            self.timeline.log(&format!("fault: {}", self.describe(&fault)));
            let outcome = self.cause(&fault).await;
            outcome.with_context(|| format!("{fault:?} could not be caused and ended"))?;
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

    async fn cause(&self, fault: &Fault) -> Result<()> {
        match fault {
            Fault::Kill { victim, down } => self.kill(*victim, *down).await,
            Fault::Restart { victim } => self.restart(*victim).await,
            Fault::Pause { victim, lasts } => self.pause(*victim, *lasts).await,
            Fault::Database { server, outage } => self.database(*server, *outage).await,
            Fault::FailOver { outage } => self.fail_over(*outage).await,
            Fault::StaleReads { lasts } => self.stale_reads(*lasts).await,
            Fault::Kubernetes { part, outage } => self.kubernetes(*part, *outage).await,
            Fault::DeniedWrites { lasts } => self.deny_writes(*lasts).await,
            Fault::RestoredEtcd { after } => self.restore_etcd(*after).await,
            Fault::Cut { .. } => self.cut(fault).await,
            Fault::Upstream(behaviour) => {
                self.env.stack.arxiv()?.set((**behaviour).clone());
                Ok(())
            }
            Fault::ForeignRow => self.insert_foreign_row().await,
            Fault::RotatedPassword { user, after } => self.rotate_password(*user, *after).await,
        }
    }

    async fn kill(&self, victim: usize, down: Duration) -> Result<()> {
        let service = self.services()[victim];
        let from = self.timeline.now();
        self.observations().down.insert(victim);
        service.child().kill9();
        self.disturbed(from, Some(victim), false);
        tokio::time::sleep(down).await;
        service.child().start_again()?;
        self.observations().down.remove(&victim);
        Ok(())
    }

    /// An orderly restart: no fetch is lost.
    async fn restart(&self, victim: usize) -> Result<()> {
        let service = self.services()[victim];
        self.observations().down.insert(victim);
        let ended = service.child().terminate(TERMINATE_LIMIT).await;
        self.timeline.log(&format!("{} ended: {ended:?}", service.name()));
        ended?;
        service.child().start_again()?;
        self.observations().down.remove(&victim);
        Ok(())
    }

    async fn pause(&self, victim: usize, lasts: Duration) -> Result<()> {
        let service = self.services()[victim];
        let _no_broken_connection = self.gate.write().await;
        let from = self.timeline.now();
        self.timeline.log(&format!("{} is paused", service.name()));
        service.child().freeze();
        tokio::time::sleep(lasts).await;
        service.child().thaw();
        self.timeline.log(&format!("{} continues", service.name()));
        self.disturbed(from, Some(victim), true);
        tokio::time::sleep(NOTICED_WITHIN).await;
        Ok(())
    }

    /// Inserts a foreign row into each table, with a number that the sequence will issue soon. Retries until both are there,
    /// also when a server is unavailable meanwhile.
    async fn insert_foreign_row(&self) -> Result<()> {
        let mut number = None;
        repeated(async || self.try_insert_foreign_row(&mut number).await).await?;
        self.observations()
            .foreign_rows
            .extend(number.map(|number| (number, 1)));
        Ok(())
    }

    async fn try_insert_foreign_row(&self, chosen: &mut Option<i64>) -> Result<()> {
        let (primary, _) = self.pair();
        let number = if let Some(number) = *chosen {
            number
        } else {
            let mut sequence = primary.connect("arxiv_sequence").await?;
            let row = sqlx::query("select last_value from public.arxiv_sequence")
                .fetch_one(&mut sequence)
                .await?;
            *chosen.insert(row.try_get::<i64, _>(0)? + FOREIGN_ROW_LEAD)
        };
        let results = self.env.stack.databases.results.as_ref().unwrap_or(primary);
        // Each only if an earlier attempt has not inserted it.
        let result = format!(
            "insert into public.results (query_id, timestamp, result_number, author, title, journal)
             select {number}, 1711843200, 0, 'somebody else', 'a title', '' where not exists
             (select from public.results where query_uid is null and query_id = {number})"
        );
        let query = format!(
            "insert into public.queries (query_id, timestamp, status, num_results, num_entries, query)
             select {number}, 1711843200, 200, 1, 1, 'somebody else''s' where not exists
             (select from public.queries where query_uid is null and query_id = {number})"
        );
        results.execute("arxiv", &result).await?;
        primary.execute("arxiv", &query).await
    }
}
