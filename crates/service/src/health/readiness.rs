//! Readiness: each thing that the process needs, with the reason why it is not there.

use std::{
    collections::BTreeMap,
    fmt,
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

/// The state of one thing that the process needs.
#[derive(Clone, Debug, PartialEq)]
pub enum NeedState {
    /// It can be used.
    Ready,
    /// Something is wrong with it that does not keep this process from its work: a shared replica that lags would
    /// otherwise take every process out of service at once.
    Degraded(Reason),
    /// It cannot be used: the process is not ready.
    NotReady(Reason),
}

/// Why something is not as it should be.
#[derive(Clone, Debug)]
pub struct Reason {
    /// For `/readyz`: for people, without internals.
    text: String,
    /// For the log: the errors behind it.
    causes: Option<String>,
}

impl Reason {
    /// A text for people; the error behind it, with all its causes, is for the log alone.
    pub fn new(text: impl Into<String>, error: &dyn std::error::Error) -> Self {
        Self {
            text: text.into(),
            causes: Some(crate::logs::with_causes(error)),
        }
    }

    /// An error whose text is for people; its causes are for the log alone.
    pub fn of_error(error: &dyn std::error::Error) -> Self {
        Self {
            text: error.to_string(),
            causes: error.source().map(crate::logs::with_causes),
        }
    }
}

impl<T: Into<String>> From<T> for Reason {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            causes: None,
        }
    }
}

/// Causes are not compared: a database that is unavailable in changing ways is reported once.
impl PartialEq for Reason {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.causes {
            Some(causes) => write!(f, "{}: {causes}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl Readiness {
    /// `need` can be used.
    pub fn ready(&self, need: &'static str) {
        self.set(need, NeedState::Ready);
    }

    /// `need` cannot be used: the process is not ready.
    pub fn not_ready(&self, need: &'static str, reason: impl Into<Reason>) {
        self.set(need, NeedState::NotReady(reason.into()));
    }

    /// Something is wrong with `need` that does not keep this process from its work.
    pub fn degraded(&self, need: &'static str, reason: impl Into<Reason>) {
        self.set(need, NeedState::Degraded(reason.into()));
    }

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
            NeedState::Degraded(reason) | NeedState::NotReady(reason) => Some(reason.text.clone()),
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
        readiness.not_ready("database", "does not answer");
        readiness.degraded("replica", "60 s behind");
        assert!(!readiness.is_ready());
        let (waiting, ()) = tokio::join!(readiness.until_ready(), async { readiness.ready("database") });
        let () = waiting;
        assert!(readiness.is_ready());
        assert_eq!(
            readiness.reasons().into_iter().collect::<Vec<_>>(),
            [("replica", "60 s behind".to_owned())]
        );
    }

    #[test]
    fn reason_shows_causes_in_the_log_only() {
        #[derive(Debug, thiserror::Error)]
        #[error("the database is not available")]
        struct Unavailable(#[source] fmt::Error);
        let reason = Reason::of_error(&Unavailable(fmt::Error));
        let logged = reason.to_string();
        assert!(logged.len() > reason.text.len(), "{logged}");
        let readiness = Readiness::default();
        readiness.not_ready("database", reason);
        assert_eq!(readiness.reasons()["database"], "the database is not available");
    }
}
