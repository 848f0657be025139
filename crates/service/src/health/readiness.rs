//! Readiness: each thing the process needs, with the reason why it is not there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// What the process needs, by name. All of it is needed unless told with [`Readiness::warn`].
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, State>>>);

#[derive(Clone, PartialEq)]
enum State {
    Fine,
    /// Told in the reasons, but the process can do its work.
    Degraded(String),
    Missing(String),
}

impl Readiness {
    /// `need` is there.
    pub fn fine(&self, need: &'static str) {
        self.set(need, State::Fine);
    }

    /// `need` is not there: the process is not ready. The reason is for people and holds no internals.
    pub fn missing(&self, need: &'static str, reason: impl Into<String>) {
        self.set(need, State::Missing(reason.into()));
    }

    /// Something is wrong with `need` that does not keep this process from its work: a shared replica that lags
    /// would otherwise take every process out of service at once.
    pub fn warn(&self, need: &'static str, reason: impl Into<String>) {
        self.set(need, State::Degraded(reason.into()));
    }

    /// Whether all that is needed is there. False before anything was told.
    pub fn is_ready(&self) -> bool {
        let needs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !needs.is_empty() && !needs.values().any(|state| matches!(state, State::Missing(_)))
    }

    /// What is wrong, by need.
    pub fn reasons(&self) -> BTreeMap<&'static str, String> {
        let needs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = |state: &State| match state {
            State::Fine => None,
            State::Degraded(reason) | State::Missing(reason) => Some(reason.clone()),
        };
        needs
            .iter()
            .filter_map(|(need, state)| Some((*need, reason(state)?)))
            .collect()
    }

    /// One log line a change.
    fn set(&self, need: &'static str, state: State) {
        let mut needs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if needs.get(need) == Some(&state) {
            return;
        }
        match &state {
            State::Fine => crate::notice!("{need}: ready"),
            State::Degraded(reason) => tracing::warn!("{need}: {reason}"),
            State::Missing(reason) => tracing::warn!("waiting for {need}: {reason}"),
        }
        needs.insert(need, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_nothing_is_missing() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready(), "nothing known yet");
        readiness.missing("database", "does not answer");
        readiness.warn("replica", "60 s behind");
        assert!(!readiness.is_ready());
        readiness.fine("database");
        assert!(readiness.is_ready());
        assert_eq!(
            readiness.reasons().into_iter().collect::<Vec<_>>(),
            [("replica", "60 s behind".to_owned())]
        );
    }
}
