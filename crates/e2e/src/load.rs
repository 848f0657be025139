//! Clients that go on asking, and count what they get.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::{Client, Response};
use testbed::wait;
use tokio::task::JoinSet;

/// How long a client goes on making a connection, and how often.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
const CONNECT_PAUSE: Duration = Duration::from_millis(20);

/// One answer.
#[derive(Clone, Copy, Debug)]
struct Answer {
    /// Since the start of the load.
    at: Duration,
    took: Duration,
    good: bool,
}

/// What was asked for and came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    answers: Vec<Answer>,
    /// Connections that were not taken, so that nothing was sent; they were made anew, as every proxy does.
    pub(crate) refused: usize,
    /// What the first few failures were.
    pub(crate) failures: Vec<String>,
}

/// A number of clients, each asking as soon as it has its answer. Every request is on a connection of its own, so that new
/// pods get their share at once.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: JoinSet<Figures>,
    started: Instant,
}

impl Load {
    /// Starts asking for these URLs in turn, with a pause between two requests of one client.
    pub(crate) fn start(clients: usize, urls: &[String], pause: Duration) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let client = Client::builder()
            .pool_max_idle_per_host(0)
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(40))
            .build()?;
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let (client, urls) = (client.clone(), urls.to_vec());
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tasks.spawn(async move {
                let mut figures = Figures::default();
                for url in urls.iter().cycle().skip(number % urls.len()) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    figures.note(started, ask(&client, url).await);
                    answered.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(pause).await;
                }
                figures
            });
        }
        Ok(Self {
            stop,
            answered,
            clients: tasks,
            started,
        })
    }

    /// Waits until so many answers have come from now on.
    pub(crate) async fn answers(&self, count: usize, limit: Duration) -> Result<()> {
        let goal = self.answered.load(Ordering::Relaxed) + count;
        wait::until(&format!("{count} answers"), limit, async || {
            Ok((self.answered.load(Ordering::Relaxed) >= goal).then_some(()))
        })
        .await
    }

    /// How long it has been going on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Stops asking, and gives what came back.
    pub(crate) async fn stop(mut self) -> Result<Figures> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Figures::default();
        while let Some(figures) = self.clients.join_next().await {
            let figures = figures?;
            all.answers.extend(figures.answers);
            all.refused += figures.refused;
            all.failures.extend(figures.failures);
        }
        Ok(all)
    }
}

/// What came of one request.
struct Asked {
    took: Duration,
    refused: usize,
    outcome: Result<(), String>,
}

async fn ask(client: &Client, url: &str) -> Asked {
    let start = Instant::now();
    let mut refused = 0;
    let outcome = loop {
        match client.get(url).send().await {
            Err(error) if error.is_connect() && start.elapsed() < CONNECT_LIMIT => {
                refused += 1;
                tokio::time::sleep(CONNECT_PAUSE).await;
            }
            Err(error) => break Err(format!("{error:?}")),
            Ok(response) => break judge(response).await,
        }
    };
    Asked {
        took: start.elapsed(),
        refused,
        outcome,
    }
}

async fn judge(response: Response) -> Result<(), String> {
    let status = response.status();
    let body = response.bytes().await.map_err(|error| format!("{error:?}"))?;
    // A search that is not finished within the wait is told so, which is an answer.
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("{status} {}", String::from_utf8_lossy(&body)))
    }
}

impl Figures {
    fn note(&mut self, started: Instant, asked: Asked) {
        const SHOWN: usize = 3;
        let Asked {
            took,
            refused,
            outcome,
        } = asked;
        let at = started.elapsed();
        self.refused += refused;
        self.answers.push(Answer {
            at,
            took,
            good: outcome.is_ok(),
        });
        if let Err(failure) = outcome
            && self.failures.len() < SHOWN
        {
            self.failures.push(format!("{at:.1?}: {failure}"));
        }
    }

    /// How many requests.
    pub(crate) fn requests(&self) -> usize {
        self.answers.len()
    }

    /// How many of them failed.
    pub(crate) fn failed(&self) -> usize {
        self.answers.iter().filter(|answer| !answer.good).count()
    }

    /// Requests a second and the time within which 99 of 100 were answered, from `from` to `to` of the load.
    pub(crate) fn between(&self, from: Duration, to: Duration) -> (f64, Duration) {
        let inside = self
            .answers
            .iter()
            .filter(|answer| answer.at >= from && answer.at < to);
        let mut times: Vec<Duration> = inside.map(|answer| answer.took).collect();
        times.sort_unstable();
        let seconds = to.saturating_sub(from).as_secs_f64();
        let rank = (times.len() * 99).div_ceil(100).saturating_sub(1);
        let p99 = times.get(rank).copied().unwrap_or_default();
        #[allow(clippy::cast_precision_loss, reason = "a number of requests")]
        let rate = times.len() as f64 / seconds;
        (rate, p99)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_percentiles() {
        let answers = (1..=200u64).map(|number| Answer {
            at: Duration::from_millis(number * 10),
            took: Duration::from_millis(number),
            good: number % 50 != 0,
        });
        let figures = Figures {
            answers: answers.collect(),
            ..Figures::default()
        };
        assert_eq!((figures.requests(), figures.failed()), (200, 4));
        let (rate, p99) = figures.between(Duration::ZERO, Duration::from_secs(1));
        assert!((rate - 99.0).abs() < f64::EPSILON, "{rate}");
        assert_eq!(p99, Duration::from_millis(99));
        let (rate, p99) = figures.between(Duration::from_mins(1), Duration::from_mins(2));
        assert!(rate.abs() < f64::EPSILON && p99 == Duration::ZERO);
    }
}
