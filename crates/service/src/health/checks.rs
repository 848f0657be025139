//! Checks, again and again, what a process needs. Nothing here ends the process: it waits for what is not there.

use std::time::Duration;

use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};

use super::{Heartbeat, NeedState, Readiness};

/// Until when a need that is not there makes the process not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Required {
    /// Always.
    Always,
    /// Until it was there for the first time. What is lost later is lost for all processes alike (a database,
    /// Kubernetes): not ready, none of them would answer, and callers would get no connection in place of a 503 with
    /// its reason and `Retry-After`. But a process that never found it may have a wrong address or credential, or a
    /// schema that is not migrated yet: it must not replace processes that work.
    AtStart,
}

type Check = Box<dyn Fn() -> BoxFuture<'static, NeedState> + Send + Sync>;

struct Need {
    name: &'static str,
    required: Required,
    /// Whether it was there once in this process.
    was_there: bool,
    check: Check,
}

/// What a process needs, and how each is checked.
pub struct Checks {
    needs: Vec<Need>,
    pause_when_ready: Duration,
    pause_when_not_ready: Duration,
}

impl Checks {
    /// No needs so far. The pauses are those after a round of checks that found all that is required, and after one that
    /// did not.
    pub fn new(pause_when_ready: Duration, pause_when_not_ready: Duration) -> Self {
        Self {
            needs: Vec::new(),
            pause_when_ready,
            pause_when_not_ready,
        }
    }

    /// Adds a need. `check` has to end in bounded time; one that finds `NotReady` is degraded where the need is not
    /// required any more.
    pub fn add<F: Future<Output = NeedState> + Send + 'static>(
        &mut self,
        name: &'static str,
        required: Required,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) {
        let check: Check = Box::new(move || check().boxed());
        self.needs.push(Need {
            name,
            required,
            was_there: false,
            check,
        });
    }

    /// Checks all needs at once, in rounds; each round is a beat of `heartbeat`. Never returns.
    pub async fn run(mut self, readiness: Readiness, heartbeat: Option<Heartbeat>) {
        if self.needs.is_empty() {
            // What needs nothing else is ready too.
            readiness.set("process", NeedState::Ready);
        }
        for need in &self.needs {
            readiness.expect(need.name);
        }
        loop {
            let round = self.needs.iter_mut().map(async |need| {
                let state = (need.check)().await;
                need.report(state, &readiness);
            });
            join_all(round).await;
            heartbeat.iter().for_each(Heartbeat::beat);
            let pause = if readiness.is_ready() {
                self.pause_when_ready
            } else {
                self.pause_when_not_ready
            };
            tokio::time::sleep(pause).await;
        }
    }
}

impl Need {
    fn report(&mut self, found: NeedState, readiness: &Readiness) {
        let state = match found {
            NeedState::NotReady(reason) if self.required == Required::AtStart && self.was_there => {
                NeedState::Degraded(reason)
            }
            found => found,
        };
        self.was_there |= !matches!(state, NeedState::NotReady(_));
        readiness.set(self.name, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(name: &'static str, required: Required) -> Need {
        Need {
            name,
            required,
            was_there: false,
            check: Box::new(|| Box::pin(async { NeedState::Ready })),
        }
    }

    fn unavailable() -> NeedState {
        NeedState::NotReady("the database is unavailable".into())
    }

    #[test]
    fn need_that_was_there_once_is_degraded_when_lost() {
        let readiness = Readiness::default();
        let mut primary = need("sequence", Required::AtStart);
        let mut other = need("upstream", Required::AtStart);
        primary.report(unavailable(), &readiness);
        other.report(NeedState::Ready, &readiness);
        assert!(!readiness.is_ready(), "never there");
        primary.report(NeedState::Ready, &readiness);
        assert!(readiness.is_ready());
        primary.report(unavailable(), &readiness);
        other.report(unavailable(), &readiness);
        assert!(readiness.is_ready(), "there before");
        assert_eq!(
            readiness.reasons().into_keys().collect::<Vec<_>>(),
            ["sequence", "upstream"]
        );
        primary.report(NeedState::Ready, &readiness);
        other.report(NeedState::Ready, &readiness);
        assert!(readiness.is_ready() && readiness.reasons().is_empty());
    }

    #[test]
    fn need_that_is_always_required_is_not_ready_when_lost() {
        let readiness = Readiness::default();
        let mut database = need("database", Required::Always);
        database.report(NeedState::Ready, &readiness);
        assert!(readiness.is_ready());
        database.report(unavailable(), &readiness);
        assert!(!readiness.is_ready());
        database.report(NeedState::Ready, &readiness);
        assert!(readiness.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn process_is_not_ready_before_every_check_has_ended() {
        let readiness = Readiness::default();
        let mut checks = Checks::new(Duration::from_secs(1), Duration::from_secs(1));
        checks.add("fast", Required::AtStart, async || NeedState::Ready);
        checks.add("slow", Required::AtStart, async || {
            tokio::time::sleep(Duration::from_secs(5)).await;
            NeedState::Ready
        });
        let started = tokio::time::Instant::now();
        tokio::select! {
            () = checks.run(readiness.clone(), None) => {}
            () = readiness.until_ready() => {}
        }
        assert_eq!(started.elapsed(), Duration::from_secs(5));
    }
}
