//! A load generator: clients that send requests in a loop and record the responses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::header::CONNECTION;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use testbed::wait;
use tokio::task::JoinSet;

/// How long a client retries to connect, and how often.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
const CONNECT_PAUSE: Duration = Duration::from_millis(20);
/// Requests per connection. Few enough that new pods get their share soon, and enough to save ports, each of which is unusable
/// for a minute after its connection: with one request per connection, most of two cores was spent searching for free ports.
const PER_CONNECTION: usize = 20;

/// One response. Times count from the start of the load.
#[derive(Clone, Copy, Debug)]
struct Answer {
    begun: Duration,
    /// Later than `begun` if connections were refused before.
    sent: Duration,
    ended: Duration,
    /// The number of refused connections before.
    refused: usize,
    /// Its status, if it is a success.
    good: Option<StatusCode>,
}

/// The responses of a load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    answers: Vec<Answer>,
    /// When connections were refused. Nothing was sent on them; they were retried, as every proxy does.
    refusals: Vec<Duration>,
    /// The first few failures.
    pub(crate) failures: Vec<String>,
}

/// Clients that send the next request as soon as they have a response. They reuse connections for a while, as proxies do.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: JoinSet<Figures>,
    started: Instant,
}

impl Load {
    /// Starts requesting these URLs in turn, with a pause between two requests of one client.
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

    /// Waits for this many further responses.
    pub(crate) async fn answers(&self, count: usize, limit: Duration) -> Result<()> {
        let goal = self.answered.load(Ordering::Relaxed) + count;
        wait::until(&format!("{count} answers"), limit, async || {
            Ok((self.answered.load(Ordering::Relaxed) >= goal).then_some(()))
        })
        .await
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Stops the clients, and returns all responses.
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

async fn evaluate(response: Response) -> Result<StatusCode, String> {
    let status = response.status();
    let body = response.bytes().await.map_err(|error| format!("{error:?}"))?;
    // 202 for a search that does not finish in time is a success; another check follows the search.
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
            // A GET can be cloned: it has no body.
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
                Ok(response) => break (sent, evaluate(response).await),
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

    /// The number of requests.
    pub(crate) fn requests(&self) -> usize {
        self.answers.len()
    }

    /// The number of failed requests.
    pub(crate) fn failed(&self) -> usize {
        self.count(|answer| answer.good.is_none())
    }

    /// The number of responses with this status.
    pub(crate) fn answered(&self, status: StatusCode) -> usize {
        self.count(|answer| answer.good == Some(status))
    }

    /// The number of failed requests that were not open between two times of the load.
    pub(crate) fn failed_outside(&self, from: Duration, to: Duration) -> usize {
        self.count(|answer| answer.good.is_none() && !answer.under_way(from, to))
    }

    /// The number of refused connections.
    pub(crate) fn refused(&self) -> usize {
        self.refusals.len()
    }

    /// The number of requests that had to retry the connection.
    pub(crate) fn delayed(&self) -> usize {
        self.count(|answer| answer.refused > 0)
    }

    fn count(&self, which: impl Fn(&Answer) -> bool) -> usize {
        self.answers.iter().filter(|answer| which(answer)).count()
    }

    /// The time from the first refused connection to the last.
    pub(crate) fn refusing(&self) -> Duration {
        let first = self.refusals.iter().min().copied().unwrap_or_default();
        let last = self.refusals.iter().max().copied().unwrap_or_default();
        last.saturating_sub(first)
    }

    /// The longest response time, including the connection.
    pub(crate) fn longest(&self) -> Duration {
        let waits = self.answers.iter().map(Answer::took);
        waits.max().unwrap_or_default()
    }

    /// Requests per second and the 99th percentile of the latency, from `from` to `to` of the load.
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
    fn figures_have_rate_and_percentile_of_a_period() {
        // Request n took n ms, half of it for connecting; every 50th failed, every 40th was refused at first.
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
