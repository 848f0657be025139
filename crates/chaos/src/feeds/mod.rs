//! Feeds during a run. Days pass at arXiv; a schedule is due again and again; users keep the objects as their manifests have
//! them, and delete and create one of them again; a receiver of webhooks accepts, fails and stalls.

mod calls;
mod collect;
mod manifests;
mod observed;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use crd::ArxivFeed;
use jiff::Timestamp;
use kube::Api;
use testbed::arxiv::{Archive, ArchiveSpec};
use testbed::net::{Receiver, Reply};

use crate::Settings;
use crate::harness::Harness;
use crate::history::FeedRead;
use crate::random::Random;
pub(crate) use manifests::MANIFESTS;
use manifests::Ticks;
pub(crate) use observed::FeedRun;
use observed::{Observed, is_complete};

/// Searches with this text find papers of the archive.
const ARCHIVED: &str = "cat:";
/// The archive has no outage and no stale day of its own on so many days: those are faults of the run.
const DAYS: u32 = 40;
/// More papers of one category than a run of the feed `in-parts` looks at.
const OLDER: u32 = 800;
/// The day does not pass while a feed has not been complete for so many days: each version is found for twice as long.
const MOST_DAYS_BEHIND: u32 = 3;
/// Time between two ticks.
const PAUSE_MS: (u64, u64) = (1_000, 2_500);
/// How often a feed is deleted, in percent of the ticks.
const RENEWED_PERCENT: u64 = 5;
/// Replies of the receiver that are not simply an acceptance.
const REPLIES: usize = 2_000;
/// How long the feeds may take to be complete after the faults, and after the end of a cool-down that the last of them have caused.
const SETTLE_LIMIT: Duration = Duration::from_mins(2);
const CHECK_EVERY: Duration = Duration::from_millis(400);
/// While feeds are not complete, they are due again after so many checks.
const CHECKS_A_TICK: usize = 12;
/// The feeds are there before the first fault.
const BEGIN_LIMIT: Duration = Duration::from_mins(1);

/// The feeds of a run, and what is recorded of them.
pub(crate) struct Feeds {
    harness: Arc<Harness>,
    api: Api<ArxivFeed>,
    receiver: Receiver,
    archive: Arc<Archive>,
    random: Random,
    least_pause: Duration,
    minutes: Ticks,
    /// The archive's day.
    day: u32,
    ticks: Vec<Tick>,
    /// By uid.
    observed: BTreeMap<String, Observed>,
    reads: Vec<FeedRead>,
    is_settled: bool,
}

/// A scheduled time of all feeds.
#[derive(Clone, Copy, Debug)]
struct Tick {
    /// The day on which it came.
    day: u32,
    /// When it came.
    at: Duration,
}

impl Feeds {
    /// Creates the feeds, and waits until the operator knows them.
    pub(crate) async fn begin(harness: &Arc<Harness>, settings: &Settings) -> Result<Self> {
        let receiver = Receiver::start()?;
        receiver.set(Reply::status(200));
        receiver.set_next(replies(settings.seed));
        let archive = Arc::new(Archive::new(ArchiveSpec {
            seed: settings.seed,
            days: DAYS,
            older: OLDER,
            // All of it has passed: no paper has a date to come.
            first: jiff::civil::Date::constant(2025, 1, 5),
            ..ArchiveSpec::default()
        }));
        harness.env.stack.arxiv()?.set_day_for(ARCHIVED, &archive, 0);
        let mut feeds = Self {
            api: Api::namespaced(harness.env.kube.clone(), harness.env.stack.namespace()),
            harness: Arc::clone(harness),
            receiver,
            archive,
            random: Random::new(settings.seed, "feeds"),
            least_pause: settings.length / (Ticks::MOST / 2),
            minutes: Ticks::until(Timestamp::now()),
            day: 0,
            ticks: Vec::new(),
            observed: BTreeMap::new(),
            reads: Vec::new(),
            is_settled: false,
        };
        feeds.let_webhooks_sign().await?;
        feeds.push_tick();
        let deadline = Instant::now() + BEGIN_LIMIT;
        loop {
            let present = feeds.apply(MANIFESTS.iter()).await;
            let known = present.iter().filter(|feed| {
                let status = feed.status.as_ref();
                status.is_some_and(|status| status.last_schedule_time.is_some())
            });
            if known.count() == MANIFESTS.len() {
                feeds.observe().await;
                return Ok(feeds);
            }
            if Instant::now() > deadline {
                bail!("the feeds are not known: {present:?}");
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }

    /// Lets the feeds run until the time is over.
    pub(crate) async fn run(mut self, until: Instant) -> Self {
        loop {
            let pause = self.random.millis(PAUSE_MS.0, PAUSE_MS.1).max(self.least_pause);
            let is_renewed = self.random.percent(RENEWED_PERCENT);
            let server = self.random.index(self.harness.env.stack.api_servers.len());
            if Instant::now() + pause >= until {
                return self;
            }
            tokio::time::sleep(pause).await;
            if self.observe().await {
                self.pass_day();
            }
            self.push_tick();
            let deleted = MANIFESTS
                .iter()
                .filter(|manifest| is_renewed && manifest.is_renewed);
            for manifest in deleted {
                self.delete(manifest.name).await;
            }
            self.apply(
                MANIFESTS
                    .iter()
                    .filter(|manifest| !(is_renewed && manifest.is_renewed)),
            )
            .await;
            self.make_deliveries_due().await;
            let index = self.random.index(MANIFESTS.len());
            self.read_newest(server, MANIFESTS[index].name).await;
        }
    }

    /// After the faults: waits until every feed is complete and all is delivered, for a limited time.
    pub(crate) async fn settle(&mut self) {
        self.receiver.set(Reply::status(200));
        let first = self.ticks.len();
        let mut deadline = Instant::now() + SETTLE_LIMIT;
        let mut checks = 0;
        while Instant::now() < deadline {
            if checks % CHECKS_A_TICK == 0 {
                self.push_tick();
            }
            checks += 1;
            self.apply(MANIFESTS.iter()).await;
            self.make_deliveries_due().await;
            self.observe().await;
            if self.are_all_complete_since(first) && self.pending_deliveries().await == Some(0) {
                self.is_settled = true;
                break;
            }
            if self.is_cooling_down().await {
                deadline = Instant::now() + SETTLE_LIMIT;
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
        let state = if self.is_settled {
            "complete"
        } else {
            "not complete"
        };
        self.harness
            .timeline
            .log(&format!("feeds are {state} on day {}", self.day));
    }

    fn push_tick(&mut self) {
        self.ticks.push(Tick {
            day: self.day,
            at: self.harness.timeline.now(),
        });
    }

    /// A day passes, unless a feed is behind: a version that is replaced before any run can see it is nobody's fault.
    fn pass_day(&mut self) {
        let is_close = |observed: &Observed| observed.day + MOST_DAYS_BEHIND >= self.day;
        if self.day < DAYS && self.present().all(|(_, observed)| is_close(observed)) {
            self.day += 1;
            if let Ok(arxiv) = self.harness.env.stack.arxiv() {
                arxiv.set_day_for(ARCHIVED, &self.archive, self.day);
            }
        }
    }

    fn present(&self) -> impl Iterator<Item = (&String, &Observed)> {
        self.observed.iter().filter(|(_, observed)| observed.is_present)
    }

    fn are_all_complete_since(&self, tick: usize) -> bool {
        self.present().count() == MANIFESTS.len()
            && self
                .present()
                .all(|(_, observed)| observed.is_complete && observed.tick.is_some_and(|last| last >= tick))
    }

    /// Records which feeds there are, and which of them are complete; whether Kubernetes has answered.
    async fn observe(&mut self) -> bool {
        let Some(listed) = self.list().await else {
            return false;
        };
        for observed in self.observed.values_mut() {
            observed.is_present = false;
        }
        for feed in &listed {
            let uid = feed.metadata.uid.clone().unwrap_or_default();
            let observed = self.observed.entry(uid).or_insert_with(|| Observed::on(self.day));
            observed.is_present = true;
            observed.is_complete = is_complete(feed);
        }
        self.collect_garbage(&listed).await;
        self.observe_runs().await;
        true
    }

    /// Records which runs were complete, if the database answers.
    async fn observe_runs(&mut self) {
        let complete = self.complete_runs().await.unwrap_or_default();
        let now = self.harness.timeline.now();
        for (feed, run) in complete {
            let tick = {
                let observations = self.harness.observations();
                let run = observations.runs.get(&run);
                run.and_then(|run| self.minutes.at(run.scheduled.filter(|_| run.is_from_start)?))
            };
            let since = tick.and_then(|tick| Some((tick, *self.ticks.get(tick)?)));
            if let Some((tick, since)) = since
                && let Some(observed) = self.observed.get_mut(&feed)
            {
                observed.complete(run, tick, (since.day, self.day), (since.at, now));
            }
        }
    }
}

/// How the receiver answers, one request after the other.
fn replies(seed: u64) -> impl Iterator<Item = Reply> {
    let mut random = Random::new(seed, "receiver");
    (0..REPLIES).map(move |_| match random.below(100) {
        0..55 => Reply::status(200),
        55..80 => Reply::status(500),
        80..90 => Reply::status(429),
        _ => Reply::Stall,
    })
}
