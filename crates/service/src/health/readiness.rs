//! Readiness: each thing that the process needs, with the reason why it is not there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// What the process needs, by name.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Shared>);

#[derive(Default)]
struct Shared {
    needs: Mutex<BTreeMap<&'static str, NeedState>>,
    changed: Notify,
}

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
        let state = NeedState::NotReady("not checked yet".into());
        self.needs().entry(need).or_insert(state);
    }

    /// Whether all that is needed is there. False before anything is known.
    pub fn is_ready(&self) -> bool {
        let needs = self.needs();
        !needs.is_empty()
            && !needs
                .values()
                .any(|state| matches!(state, NeedState::NotReady(_)))
    }

    /// Waits until all that is needed is there.
    pub async fn until_ready(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.is_ready() {
                return;
            }
            changed.await;
        }
    }

    /// What is wrong, by need.
    pub fn reasons(&self) -> BTreeMap<&'static str, String> {
        let reason = |state: &NeedState| match state {
            NeedState::Ready => None,
            NeedState::Degraded(reason) | NeedState::NotReady(reason) => Some(reason.clone()),
        };
        let needs = self.needs();
        let reasons = needs
            .iter()
            .filter_map(|(need, state)| Some((*need, reason(state)?)));
        reasons.collect()
    }

    /// Notes the state of `need`; writes one log line per change.
    pub fn set(&self, need: &'static str, state: NeedState) {
        let mut needs = self.needs();
        if needs.get(need) == Some(&state) {
            return;
        }
        match &state {
            NeedState::Ready => crate::notice!("{need}: ready"),
            NeedState::Degraded(reason) => tracing::warn!("{need}: {reason}"),
            NeedState::NotReady(reason) => tracing::warn!("waiting for {need}: {reason}"),
        }
        needs.insert(need, state);
        drop(needs);
        self.0.changed.notify_waiters();
    }

    fn needs(&self) -> MutexGuard<'_, BTreeMap<&'static str, NeedState>> {
        self.0.needs.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    }
}
