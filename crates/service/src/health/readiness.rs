//! Readiness: each thing that the process needs, with the reason why it is not there.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

use crate::metrics::Metrics;

type Needs = BTreeMap<&'static str, NeedState>;

/// What the process needs, by name.
#[derive(Clone, Default)]
pub struct Readiness(Arc<watch::Sender<Needs>>);

/// The state of one thing that the process needs. Reasons are for people and hold no internals.
#[derive(Clone, Debug, PartialEq)]
pub enum NeedState {
    /// It can be used.
    Ready,
    /// Something is wrong with it that does not keep this process from its work: a shared replica that lags would
    /// otherwise take every process out of service at once.
    Degraded(String),
    /// It cannot be used: the process is not ready.
    NotReady(String),
}

impl NeedState {
    /// Not ready because of an error, whose causes are for the log alone.
    pub fn because(reason: impl Into<String>, error: &dyn std::error::Error) -> Self {
        tracing::debug!(error = crate::logs::with_causes(error), "a check failed");
        Self::NotReady(reason.into())
    }
}

impl Readiness {
    /// Notes a need that has not been checked yet, without a log line: until then the process is not ready.
    pub(super) fn expect(&self, need: &'static str) {
        self.0.send_modify(|needs| {
            let state = NeedState::NotReady("not checked yet".into());
            needs.entry(need).or_insert(state);
        });
    }

    /// Whether all that is needed is there. False before anything is known.
    pub fn is_ready(&self) -> bool {
        is_ready(&self.0.borrow())
    }

    /// Waits until all that is needed is there.
    pub async fn until_ready(&self) {
        // It fails when the sender is gone, which is this one.
        let _ = self.0.subscribe().wait_for(is_ready).await;
    }

    /// What is wrong, by need.
    pub fn reasons(&self) -> BTreeMap<&'static str, String> {
        let needs = self.0.borrow();
        let reasons = needs.iter().filter_map(|(need, state)| match state {
            NeedState::Ready => None,
            NeedState::Degraded(reason) | NeedState::NotReady(reason) => Some((*need, reason.clone())),
        });
        reasons.collect()
    }

    /// Adds a gauge for each thing that the process needs, by the names in `/readyz`.
    pub fn register(&self, metrics: &Metrics) {
        let readiness = self.clone();
        let help = "1 while a dependency can be used, 0 while it cannot or lags (the reason is in /readyz)";
        metrics.sample("ready", &["dependency"], help, move || readiness.samples());
    }

    fn samples(&self) -> Vec<([String; 1], i64)> {
        let needs = self.0.borrow();
        let sample = |(need, state): (&&str, &NeedState)| {
            ([(*need).to_owned()], i64::from(*state == NeedState::Ready))
        };
        needs.iter().map(sample).collect()
    }

    /// Notes the state of `need`; writes one log line per change.
    pub fn set(&self, need: &'static str, state: NeedState) {
        self.0.send_if_modified(|needs| {
            if needs.get(need) == Some(&state) {
                return false;
            }
            match &state {
                NeedState::Ready => crate::notice!("{need}: ready"),
                NeedState::Degraded(reason) => tracing::warn!("{need}: {reason}"),
                NeedState::NotReady(reason) => tracing::warn!("waiting for {need}: {reason}"),
            }
            needs.insert(need, state);
            true
        });
    }
}

fn is_ready(needs: &Needs) -> bool {
    let not_ready = |state: &NeedState| matches!(state, NeedState::NotReady(_));
    !needs.is_empty() && !needs.values().any(not_ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn process_is_ready_when_no_need_is_not_ready() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready(), "nothing known yet");
        readiness.set("database", NeedState::NotReady("does not answer".into()));
        readiness.set("replica", NeedState::Degraded("60 s behind".into()));
        assert!(!readiness.is_ready());
        tokio::join!(readiness.until_ready(), async {
            readiness.set("database", NeedState::Ready);
        });
        assert!(readiness.is_ready());
        assert_eq!(
            readiness.reasons().into_iter().collect::<Vec<_>>(),
            [("replica", "60 s behind".to_owned())]
        );
        let metrics = Metrics::with_prefix("program");
        readiness.register(&metrics);
        let text = metrics.text().unwrap();
        for line in ["database\"} 1", "replica\"} 0"] {
            let line = format!("program_ready{{dependency=\"{line}\n");
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }
}
