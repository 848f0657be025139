//! After the faults: waiting until everything has come to its end, and gathering what stands.

use std::time::{Duration, Instant};

use anyhow::Result;
use crd::ArxivQuery;
use kube::api::ListParams;
use sqlx::Row;
use testbed::Postgres;
use testbed::arxiv::{Behaviour, Mode};

use crate::Settings;
use crate::bed::Bed;
use crate::facts::{Connection, Facts, Given, Object, Paper, Phase, QueryRow, Request, ResultRow};
use crate::schedule::well;

/// Waits that have grown during the faults are over by then.
const QUIET_LIMIT: Duration = Duration::from_mins(2);
/// For each object that has not ended yet.
const QUIET_PER_OBJECT: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// More than any process waits for an answer: later than this, a delay is one without an answer.
const TOO_LATE_MS: u64 = 2_000;
/// How many of the missing are named.
const NAMED: usize = 5;

impl Bed {
    /// arXiv is well again, and every process says that it is ready.
    pub(crate) async fn recover(&self) -> Result<()> {
        self.stack.arxiv()?.set(well());
        self.timeline.say("no more faults");
        // One may still end by itself, and is then started again.
        let first = self.stack.ready().await;
        if first.is_err() {
            self.stack.ready().await?;
        }
        self.timeline.say("all processes are ready");
        Ok(())
    }

    /// Waits until every object has come to an end. Whether they did, the checks will tell.
    pub(crate) async fn quiet(&self) -> Result<()> {
        let mut deadline = None;
        loop {
            let unfinished: Vec<_> = self
                .list()
                .await?
                .into_iter()
                .filter(|object| !object.phase().is_final())
                .collect();
            if unfinished.is_empty() {
                self.timeline.say("everything has ended");
                return Ok(());
            }
            let some: Vec<_> = unfinished.iter().take(NAMED).map(describe).collect();
            let count = unfinished.len();
            self.timeline
                .say(&format!("{count} have not ended: {}", some.join("; ")));
            let allowed = QUIET_PER_OBJECT * u32::try_from(count).unwrap_or(u32::MAX);
            if Instant::now() > *deadline.get_or_insert(Instant::now() + QUIET_LIMIT + allowed) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn list(&self) -> Result<Vec<ArxivQuery>> {
        const TRIES: u32 = 30;
        let mut tries = TRIES;
        loop {
            match self.queries.list(&ListParams::default()).await {
                Ok(list) => return Ok(list.items),
                Err(error) if tries == 0 => return Err(error.into()),
                Err(_) => tries -= 1,
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Everything that the checks look at.
    pub(crate) async fn facts(&self, settings: &Settings) -> Result<Facts> {
        let databases = &self.stack.databases;
        let (primary, _) = self.pair();
        let names: Vec<_> = self
            .services()
            .into_iter()
            .map(|service| service.name().to_owned())
            .collect();
        let arxiv = self.stack.arxiv()?;
        let objects = self.list().await?;
        let queries = query_rows(primary).await?;
        let results = result_rows(databases.results.as_ref().unwrap_or(primary)).await?;
        let requests = arxiv.requests().into_iter().map(|request| Request {
            at: self.timeline.at(request.at),
            time: request.time,
            connection: request.connection,
            search: request.search_query,
            start: request.start,
            answer: request.answer.as_ref().map_or(Given::Lost, given),
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
        let notes = self.notes();
        Ok(Facts {
            split: settings.split,
            interval: settings.interval,
            objects: objects.iter().map(object).collect(),
            removed: notes.accepted.clone(),
            queries,
            results,
            strangers: notes.strangers.clone(),
            told_numbers: notes.told_numbers.clone(),
            reads: notes.reads.clone(),
            overviews: notes.overviews.clone(),
            requests: requests.collect(),
            connections: connections.collect(),
            answers: notes.answers.clone(),
            disturbances: notes.disturbances.clone(),
            panics: self.panics(),
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

fn object(object: &ArxivQuery) -> Object {
    let status = object.status.clone().unwrap_or_default();
    Object {
        uid: object.metadata.uid.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        search: format!("ti:{}", object.spec.title.as_deref().unwrap_or_default()),
        max_results: object.spec.max_results.into(),
        fails_fast: object.fails_fast(),
        backoff_limit: usize::try_from(object.spec.backoff_limit()).unwrap_or(0),
        has_deadline: object.spec.active_deadline_seconds.is_some(),
        phase: match status.phase {
            crd::Phase::Succeeded => Phase::Succeeded,
            crd::Phase::Failed => Phase::Failed,
            _ => Phase::Unfinished,
        },
        number: status.query_id,
        timestamp: status.timestamp,
        http_status: status.http_status.map(i64::from),
        num_results: status.num_results,
        num_entries: status.num_entries,
        message: status.message.unwrap_or_default(),
    }
}

fn given(behaviour: &Behaviour) -> Given {
    if behaviour.delay_ms >= TOO_LATE_MS {
        return Given::Lost;
    }
    match behaviour.mode {
        Mode::Ok => Given::Papers,
        Mode::Zero => Given::Nothing,
        Mode::Status(429 | 503) | Mode::RateExceeded(_) | Mode::CoolDown => Given::Throttled,
        Mode::Status(400) | Mode::ErrorFeed(400) => Given::Refused,
        Mode::Close | Mode::Cut => Given::Lost,
        Mode::Redirect => Given::Elsewhere,
        _ => Given::Broken,
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
                place: row.try_get(3)?,
                paper: Paper::of_title(&title),
            })
        })
        .collect()
}
