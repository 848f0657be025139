//! Readiness: each thing that the process needs, with the reason why it is not there.

use std::{collections::BTreeMap, error::Error, mem, sync::Arc};

use tokio::sync::watch;

use crate::metrics::Metrics;

type Needs = BTreeMap<&'static str, Need>;

/// Causes of one outage that are logged: one that is different each time (it names a port, say) does not fill the log.
const LOGGED_CAUSES: usize = 8;

/// One thing that the process needs.
struct Need {
    state: NeedState,
    /// The causes that were logged since it was there.
    logged: Vec<String>,
}

impl Need {
    fn new(state: NeedState) -> Self {
        let logged = Vec::new();
        Self { state, logged }
    }

    /// Notes the state; returns whether it says something new.
    fn update(&mut self, state: NeedState) -> bool {
        let text = |state: &NeedState| state.reason().map(|reason| reason.text.clone());
        let is_new =
            mem::discriminant(&self.state) != mem::discriminant(&state) || text(&self.state) != text(&state);
        let cause = state.reason().and_then(|reason| reason.cause.clone());
        let has_new_cause = cause.is_some_and(|cause| {
            let is_new = self.logged.len() < LOGGED_CAUSES && !self.logged.contains(&cause);
            if is_new {
                self.logged.push(cause);
            }
            is_new
        });
        if state == NeedState::Ready {
            self.logged.clear();
        }
        self.state = state;
        is_new || has_new_cause
    }
}

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
    Degraded(Reason),
    /// It cannot be used: the process is not ready.
    NotReady(Reason),
}

/// Why something is not as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    text: String,
    cause: Option<String>,
}

impl<T: Into<String>> From<T> for Reason {
    fn from(text: T) -> Self {
        let (text, cause) = (text.into(), None);
        Self { text, cause }
    }
}

impl NeedState {
    /// Not ready because of an error, whose causes are for the log alone: they name hosts and users.
    pub fn because(reason: impl Into<String>, error: &dyn Error) -> Self {
        let cause = Some(crate::logs::with_causes(error));
        let text = reason.into();
        Self::NotReady(Reason { text, cause })
    }

    fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Ready => None,
            Self::Degraded(reason) | Self::NotReady(reason) => Some(reason),
        }
    }
}

impl Readiness {
    /// Notes a need that has not been checked yet, without a log line: until then the process is not ready.
    pub(super) fn expect(&self, need: &'static str) {
        self.0.send_modify(|needs| {
            let state = NeedState::NotReady("not checked yet".into());
            needs.entry(need).or_insert(Need::new(state));
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
        let reason = |need: &Need| need.state.reason().map(|reason| reason.text.clone());
        let reasons = needs
            .iter()
            .filter_map(|(name, need)| Some((*name, reason(need)?)));
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
        let sample =
            |(name, need): (&&str, &Need)| ([(*name).to_owned()], i64::from(need.state == NeedState::Ready));
        needs.iter().map(sample).collect()
    }

    /// Notes the state of `need`; writes one log line for each change, and for each other cause of the same reason.
    pub fn set(&self, need: &'static str, state: NeedState) {
        self.0.send_if_modified(|needs| {
            let unchecked = || Need::new(NeedState::NotReady("".into()));
            let known = needs.entry(need).or_insert_with(unchecked);
            let says_something_new = known.update(state);
            if says_something_new {
                log(need, &known.state);
            }
            says_something_new
        });
    }
}

fn is_ready(needs: &Needs) -> bool {
    let not_ready = |need: &Need| matches!(need.state, NeedState::NotReady(_));
    !needs.is_empty() && !needs.values().any(not_ready)
}

fn log(need: &str, state: &NeedState) {
    let waits = if matches!(state, NeedState::NotReady(_)) {
        "waiting for "
    } else {
        ""
    };
    match state.reason() {
        None => crate::notice!("{need}: ready"),
        Some(Reason { text, cause: None }) => tracing::warn!("{waits}{need}: {text}"),
        Some(Reason {
            text,
            cause: Some(error),
        }) => tracing::warn!(error, "{waits}{need}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_logged_when_its_reason_is_new_or_has_a_new_cause() {
        let because =
            |reason: &str, cause: &str| NeedState::because(reason, &std::io::Error::other(cause.to_owned()));
        let mut need = Need::new(NeedState::NotReady("not checked yet".into()));
        for (state, is_logged) in [
            (because("unavailable", "refused"), true),
            (because("unavailable", "refused"), false),
            (because("unavailable", "wrong password"), true),
            (because("unavailable", "refused"), false),
            (because("no rights", "refused"), true),
            (NeedState::Ready, true),
            (NeedState::Ready, false),
            (because("unavailable", "refused"), true),
        ] {
            assert_eq!(need.update(state.clone()), is_logged, "{state:?}");
        }
        let logged = (0..100).filter(|port| need.update(because("unavailable", &port.to_string())));
        assert_eq!(
            logged.count(),
            LOGGED_CAUSES - 1,
            "a cause that is always another one"
        );
    }

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
