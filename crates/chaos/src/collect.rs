//! After the faults: waiting until all objects have finished, and collecting the history.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use crd::{ArxivQuery, FEED_LABEL};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use sqlx::Row;
use testbed::Postgres;
use testbed::arxiv::{Behaviour, Mode};

use crate::Settings;
use crate::feeds::MANIFESTS;
use crate::harness::{Harness, healthy_arxiv};
use crate::history::{
    ArxivAnswer, Connection, HalfPaper, History, Object, Outcome, Paper, Phase, QueryRow, Request, ResultRow,
};

/// Back-offs that have grown during the faults are over within this time.
const QUIET_LIMIT: Duration = Duration::from_mins(2);
/// Added for each unfinished object.
const QUIET_PER_OBJECT: Duration = Duration::from_millis(500);
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Longer than any process waits for a response: a delay of this length counts as no response.
const TOO_LATE_MS: u64 = 2_000;
/// How many unfinished objects are named.
const SHOWN: usize = 5;

impl Harness {
    /// Ends arXiv's faults, and waits until every process is ready.
    pub(crate) async fn recover(&self) -> Result<()> {
        self.env.stack.arxiv()?.set(healthy_arxiv());
        self.timeline.log("no more faults");
        // A process may still end by itself, and is then restarted.
        let first = self.env.stack.ready().await;
        if first.is_err() {
            self.env.stack.ready().await?;
        }
        self.timeline.log("all processes are ready");
        Ok(())
    }

    /// Waits until every object has finished, for a limited time: the checks find those that have not.
    pub(crate) async fn until_finished(&self) -> Result<()> {
        let mut deadline = None;
        loop {
            let unfinished: Vec<_> = self
                .list()
                .await?
                .into_iter()
                .filter(|object| !object.phase().is_final())
                .collect();
            if unfinished.is_empty() {
                self.timeline.log("all objects have finished");
                return Ok(());
            }
            self.resume(&unfinished).await;
            let some: Vec<_> = unfinished.iter().take(SHOWN).map(describe).collect();
            let count = unfinished.len();
            self.timeline
                .log(&format!("{count} objects have not finished: {}", some.join("; ")));
            let allowed = QUIET_PER_OBJECT * u32::try_from(count).unwrap_or(u32::MAX);
            if Instant::now() > *deadline.get_or_insert(Instant::now() + QUIET_LIMIT + allowed) {
                return Ok(());
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }

    /// A restore of etcd may have undone that an object was resumed.
    async fn resume(&self, unfinished: &[ArxivQuery]) {
        let patch = Patch::Merge(json!({"spec": {"suspend": false}}));
        for object in unfinished.iter().filter(|object| object.spec.suspend) {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            // Or the next time.
            let resumed = self
                .env
                .queries
                .patch(name, &PatchParams::default(), &patch)
                .await;
            self.timeline
                .log(&format!("{name} is resumed: {}", resumed.is_ok()));
        }
    }

    async fn list(&self) -> Result<Vec<ArxivQuery>> {
        const TRIES: u32 = 30;
        let mut tries = TRIES;
        loop {
            match self.env.queries.list(&ListParams::default()).await {
                Ok(list) => return Ok(list.items),
                Err(error) if tries == 0 => return Err(error.into()),
                Err(_) => tries -= 1,
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }

    /// Everything that the checks need.
    pub(crate) async fn collect_history(&self, settings: &Settings) -> Result<History> {
        let (primary, _) = self.pair();
        let names: Vec<_> = self
            .services()
            .into_iter()
            .map(|service| service.name().to_owned())
            .collect();
        let arxiv = self.env.stack.arxiv()?;
        let objects = self.list().await?;
        for object in &objects {
            self.saw(object);
        }
        let queries = query_rows(primary).await?;
        let tombstones = tombstones(primary).await?;
        let results = result_rows(self.results()).await?;
        let half_papers = half_papers(self.results()).await?;
        let requests = arxiv.requests().into_iter().map(|request| Request {
            at: self.timeline.at(request.at),
            time: request.time,
            connection: request.connection,
            search: request.search_query,
            start: request.start,
            max_results: request.max_results,
            answer: request.answer.as_ref().map_or(ArxivAnswer::Unanswered, classify),
            by: names.iter().position(|name| {
                let contact = format!("{name}@");
                request
                    .user_agent
                    .as_ref()
                    .is_some_and(|agent| agent.contains(&contact))
            }),
        });
        let connections = arxiv.connections().into_iter().map(|(number, connection)| {
            let connection = Connection {
                opened: self.timeline.at(connection.opened),
                closed: connection.closed.map(|closed| self.timeline.at(closed)),
            };
            (number, connection)
        });
        let observations = self.observations();
        let runs = MANIFESTS.iter().map(|manifest| {
            let of_feed = observations.runs.values().filter(|run| run.feed == manifest.name);
            (manifest.search(), of_feed.count())
        });
        Ok(History {
            split: settings.split,
            min_interval: settings.min_interval,
            objects: objects.iter().map(object).collect(),
            accepted: observations.accepted.clone(),
            queries,
            tombstones,
            results,
            half_papers,
            foreign_rows: observations.foreign_rows.clone(),
            issued_numbers: observations.issued_numbers.clone(),
            reads: observations.reads.clone(),
            full_reads: observations.full_reads.clone(),
            requests: requests.collect(),
            connections: connections.collect(),
            answers: observations.answers.clone(),
            disturbances: observations.disturbances.clone(),
            restores: observations.restores.clone(),
            ends: observations.ends.clone(),
            undone: observations.undone.clone(),
            panics: self.panics(),
            feed_runs: runs.collect(),
            ..History::default()
        })
    }

    fn panics(&self) -> Vec<String> {
        let logs = self.services().into_iter().map(|service| {
            let log = std::fs::read(service.child().log()).unwrap_or_default();
            String::from_utf8_lossy(&log).into_owned()
        });
        logs.flat_map(|log| {
            let lines = log.lines().filter(|line| line.contains("panicked at"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
    }
}

fn describe(object: &ArxivQuery) -> String {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let message = object
        .status
        .as_ref()
        .and_then(|status| status.message.as_deref());
    format!("{name} is {}: {}", object.phase(), message.unwrap_or("-"))
}

/// What its status says.
pub(crate) fn outcome(object: &ArxivQuery) -> Outcome {
    let status = object.status.as_ref();
    Outcome {
        phase: match status.map(|status| status.phase) {
            Some(crd::Phase::Succeeded) => Phase::Succeeded,
            Some(crd::Phase::Failed) => Phase::Failed,
            _ => Phase::Unfinished,
        },
        number: status.and_then(|status| status.query_id),
        timestamp: status.and_then(|status| Some(status.answer_time.as_ref()?.0.as_second())),
        http_status: status.and_then(|status| status.http_status).map(i64::from),
        num_results: status.and_then(|status| status.total_results),
        num_entries: status.and_then(|status| status.stored_results),
    }
}

fn object(object: &ArxivQuery) -> Object {
    let status = object.status.clone().unwrap_or_default();
    let Outcome {
        phase,
        number,
        timestamp,
        http_status,
        num_results,
        num_entries,
    } = outcome(object);
    Object {
        uid: object.metadata.uid.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        search: match &object.spec.search.category {
            Some(category) => format!("cat:{category}"),
            None => format!("ti:{}", object.spec.search.title.as_deref().unwrap_or_default()),
        },
        is_run: object
            .metadata
            .labels
            .iter()
            .flatten()
            .any(|(label, _)| label == FEED_LABEL),
        max_results: object.spec.max_results.into(),
        fails_fast: object.fails_fast(),
        backoff_limit: usize::try_from(object.spec.backoff_limit).unwrap_or(0),
        has_deadline: object.spec.active_deadline_seconds.is_some(),
        phase,
        number,
        timestamp,
        http_status,
        num_results,
        num_entries,
        message: status.message.unwrap_or_default(),
    }
}

fn classify(behaviour: &Behaviour) -> ArxivAnswer {
    if behaviour.delay_ms >= TOO_LATE_MS {
        return ArxivAnswer::Unanswered;
    }
    match behaviour.mode {
        Mode::Ok => ArxivAnswer::Papers,
        Mode::Zero => ArxivAnswer::Empty,
        Mode::Status(429 | 503) | Mode::RateExceeded(_) | Mode::CoolDown => ArxivAnswer::Throttled,
        Mode::Status(400) | Mode::ErrorFeed(400) => ArxivAnswer::Refused,
        Mode::Close | Mode::Cut => ArxivAnswer::Unanswered,
        Mode::Redirect => ArxivAnswer::Redirected,
        _ => ArxivAnswer::Broken,
    }
}

async fn query_rows(server: &Postgres) -> Result<Vec<QueryRow>> {
    let rows = sqlx::query(
        "select query_uid::text, query_id, timestamp, coalesce(status, -1)::bigint,
                coalesce(num_results, -1)::bigint, coalesce(num_entries, -1)::bigint
         from public.queries order by id",
    )
    .fetch_all(&mut server.connect("arxiv").await?)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(QueryRow {
                uid: row.try_get(0)?,
                number: row.try_get(1)?,
                timestamp: row.try_get(2)?,
                status: row.try_get(3)?,
                num_results: row.try_get(4)?,
                num_entries: row.try_get(5)?,
            })
        })
        .collect()
}

async fn tombstones(server: &Postgres) -> Result<BTreeSet<String>> {
    let uids = sqlx::query_scalar("select query_uid::text from public.arxiv_query_tombstones");
    let uids: Vec<String> = uids.fetch_all(&mut server.connect("arxiv").await?).await?;
    Ok(uids.into_iter().collect())
}

async fn result_rows(server: &Postgres) -> Result<Vec<ResultRow>> {
    let rows = sqlx::query(
        "select query_uid::text, query_id, timestamp, coalesce(result_number, -1)::bigint, coalesce(title, '')
         from public.results order by id",
    )
    .fetch_all(&mut server.connect("arxiv").await?)
    .await?;
    rows.iter()
        .map(|row| {
            let title: String = row.try_get(4)?;
            Ok(ResultRow {
                uid: row.try_get(0)?,
                number: row.try_get(1)?,
                timestamp: row.try_get(2)?,
                position: row.try_get(3)?,
                paper: Paper::of_title(&title),
            })
        })
        .collect()
}

async fn half_papers(server: &Postgres) -> Result<Vec<HalfPaper>> {
    let rows = sqlx::query(
        "select coalesce(result, paper), result is not null
         from (select distinct arxiv_id as result from public.results where arxiv_id is not null) r
         full join (select paper || case when version > 0 then 'v' || version else '' end as paper from public.arxiv_papers) p
           on result = paper
         where result is null or paper is null order by 1",
    )
    .fetch_all(&mut server.connect("arxiv").await?)
    .await?;
    let half = rows.iter().map(|row| {
        Ok(HalfPaper {
            id: row.try_get(0)?,
            is_result: row.try_get(1)?,
        })
    });
    half.collect()
}
