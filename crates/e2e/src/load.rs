//! Clients that go on asking, and count what they get.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::header::CONNECTION;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use testbed::wait;
use tokio::task::JoinSet;

/// How long a client goes on making a connection, and how often.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
const CONNECT_PAUSE: Duration = Duration::from_millis(20);
/// Requests on one connection. Few enough for new pods to get their share soon; and enough for the ports of one address, each
/// of which rests for a minute after its connection: with one a request, most of two cores went into looking for free ones.
const PER_CONNECTION: usize = 20;

/// One answer; times are since the start of the load.
#[derive(Clone, Copy, Debug)]
struct Answer {
    begun: Duration,
    /// Later than `begun` where connections were not taken before.
    sent: Duration,
    ended: Duration,
    /// Connections that were not taken before.
    refused: usize,
    /// Its status where it is a good one.
    good: Option<StatusCode>,
}

/// What was asked for and came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    answers: Vec<Answer>,
    /// When connections were not taken, so that nothing was sent; they were made anew, as every proxy does.
    refusals: Vec<Duration>,
    /// What the first few failures were.
    pub(crate) failures: Vec<String>,
}

/// A number of clients, each asking as soon as it has its answer. They keep their connections for a while, as proxies do.
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
                let urls = urls.iter().cycle().skip(number % urls.len());
                for (count, url) in (1..).zip(urls) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let mut request = client.get(url);
                    if count % PER_CONNECTION == 0 {
                        request = request.header(CONNECTION, "close");
                    }
                    figures.ask(started, &request).await;
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
            all.refusals.extend(figures.refusals);
            all.failures.extend(figures.failures);
        }
        Ok(all)
    }
}

async fn judge(response: Response) -> Result<StatusCode, String> {
    let status = response.status();
    let body = response.bytes().await.map_err(|error| format!("{error:?}"))?;
    // A search that is not finished within the wait is told so, which is an answer; what becomes of it is for others to ask.
    if status.is_success() {
        Ok(status)
    } else {
        Err(format!("{status} {}", String::from_utf8_lossy(&body)))
    }
}

impl Figures {
    async fn ask(&mut self, started: Instant, request: &RequestBuilder) {
        const SHOWN: usize = 3;
        let begun = started.elapsed();
        let mut refused = 0;
        let (sent, outcome) = loop {
            let sent = started.elapsed();
            // A GET has no body that could be sent only once.
            let Some(request) = request.try_clone() else {
                return;
            };
            match request.send().await {
                Err(error) if error.is_connect() && sent < begun + CONNECT_LIMIT => {
                    refused += 1;
                    self.refusals.push(started.elapsed());
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
                Err(error) => break (sent, Err(format!("{error:?}"))),
                Ok(response) => break (sent, judge(response).await),
            }
        };
        let ended = started.elapsed();
        self.answers.push(Answer {
            begun,
            sent,
            ended,
            refused,
            good: outcome.as_ref().ok().copied(),
        });
        if let Err(failure) = outcome
            && self.failures.len() < SHOWN
        {
            self.failures
                .push(format!("sent at {sent:.3?}, ended at {ended:.3?}: {failure}"));
        }
    }

    /// How many requests.
    pub(crate) fn requests(&self) -> usize {
        self.answers.len()
    }

    /// How many of them failed.
    pub(crate) fn failed(&self) -> usize {
        self.count(|answer| answer.good.is_none())
    }

    /// How many were answered with this status.
    pub(crate) fn answered(&self, status: StatusCode) -> usize {
        self.count(|answer| answer.good == Some(status))
    }

    /// How many failed that were not under way between two times of the load.
    pub(crate) fn failed_outside(&self, from: Duration, to: Duration) -> usize {
        self.count(|answer| answer.good.is_none() && !answer.under_way(from, to))
    }

    /// How many connections were not taken.
    pub(crate) fn refused(&self) -> usize {
        self.refusals.len()
    }

    /// How many requests waited for that: their connections were made anew.
    pub(crate) fn delayed(&self) -> usize {
        self.count(|answer| answer.refused > 0)
    }

    fn count(&self, which: impl Fn(&Answer) -> bool) -> usize {
        self.answers.iter().filter(|answer| which(answer)).count()
    }

    /// From the first connection that was not taken to the last one.
    pub(crate) fn refusing(&self) -> Duration {
        let first = self.refusals.iter().min().copied().unwrap_or_default();
        let last = self.refusals.iter().max().copied().unwrap_or_default();
        last.saturating_sub(first)
    }

    /// The longest that anybody waited for an answer, connecting included.
    pub(crate) fn longest(&self) -> Duration {
        let waits = self.answers.iter().map(Answer::took);
        waits.max().unwrap_or_default()
    }

    /// Requests a second and the time within which 99 of 100 were answered, from `from` to `to` of the load.
    pub(crate) fn between(&self, from: Duration, to: Duration) -> (f64, Duration) {
        let inside = self
            .answers
            .iter()
            .filter(|answer| answer.ended >= from && answer.ended < to);
        let mut times: Vec<Duration> = inside.map(Answer::took).collect();
        times.sort_unstable();
        let seconds = to.saturating_sub(from).as_secs_f64();
        let rank = (times.len() * 99).div_ceil(100).saturating_sub(1);
        let p99 = times.get(rank).copied().unwrap_or_default();
        #[allow(clippy::cast_precision_loss, reason = "a number of requests")]
        let rate = times.len() as f64 / seconds;
        (rate, p99)
    }
}

impl Answer {
    fn took(&self) -> Duration {
        self.ended.saturating_sub(self.begun)
    }

    fn under_way(&self, from: Duration, to: Duration) -> bool {
        self.sent <= to && self.ended >= from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_percentiles() {
        // The n-th took n ms, half of them to be connected; every 50th failed, every 40th was not connected at once.
        let answers = (1..=200u64).map(|number| Answer {
            begun: Duration::from_millis(number * 9),
            sent: Duration::from_micros(number * 9500),
            ended: Duration::from_millis(number * 10),
            refused: usize::from(number % 40 == 0),
            good: (number % 50 != 0).then_some(StatusCode::OK),
        });
        let figures = Figures {
            answers: answers.collect(),
            refusals: [3, 1, 7].map(Duration::from_secs).into(),
            ..Figures::default()
        };
        assert_eq!((figures.requests(), figures.failed()), (200, 4));
        let answered = [StatusCode::OK, StatusCode::ACCEPTED].map(|status| figures.answered(status));
        assert_eq!(answered, [196, 0]);
        // Failures were sent at 475, 950, 1425 and 1900 ms, and ended at 500, 1000, 1500 and 2000.
        for (from, to, outside) in [
            (500, 475, 3),
            (501, 900, 4),
            (600, 949, 4),
            (600, 950, 3),
            (0, 3000, 0),
        ] {
            let [from, to] = [from, to].map(Duration::from_millis);
            assert_eq!(figures.failed_outside(from, to), outside, "{from:?} to {to:?}");
        }
        assert_eq!(
            (figures.refused(), figures.delayed(), figures.refusing()),
            (3, 5, Duration::from_secs(6))
        );
        assert_eq!(figures.longest(), Duration::from_millis(200));
        let (rate, p99) = figures.between(Duration::ZERO, Duration::from_secs(1));
        assert!((rate - 99.0).abs() < f64::EPSILON, "{rate}");
        assert_eq!(p99, Duration::from_millis(99));
        let (rate, p99) = figures.between(Duration::from_mins(1), Duration::from_mins(2));
        assert!(rate.abs() < f64::EPSILON && p99 == Duration::ZERO);
    }
}
