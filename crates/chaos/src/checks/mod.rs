//! The invariants, each as a pure function of the recorded history.

mod answers;
mod deliveries;
mod ends;
#[cfg(test)]
pub(crate) mod example;
mod feeds;
mod numbers;
mod papers;
mod reads;
mod rows;
mod upstream;

use std::fmt;

use crate::history::History;
pub(crate) use reads::PAGE;
pub(crate) use upstream::asked_again_after;

/// How an invariant is violated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something that was accepted or confirmed is missing.
    Lost,
    /// Something exists twice, or belongs to no object.
    Doubled,
    /// arXiv got a request too soon, or over a second connection.
    Impolite,
    /// arXiv got a request for something that it had already answered.
    AskedTwice,
    /// A version of a paper is an item of a feed more than once.
    DuplicateItem,
    /// A version that a feed should have is no item of it.
    MissingItem,
    /// An item was never delivered to a webhook.
    MissingDelivery,
    /// A webhook was delivered something else, or too early.
    WrongDelivery,
    /// Any other wrong state.
    Wrong,
}

/// One violated invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// How it is violated.
    pub kind: Kind,
    /// What was observed.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}: {}", self.kind, self.text)
    }
}

/// The violations found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, kind: Kind, text: impl Into<String>) {
        self.0.push(Violation {
            kind,
            text: text.into(),
        });
    }
}

/// Checks all invariants.
pub(crate) fn check(history: &History) -> Vec<Violation> {
    let mut findings = Findings::default();
    ends::check(history, &mut findings);
    rows::check(history, &mut findings);
    upstream::check(history, &mut findings);
    answers::check(history, &mut findings);
    numbers::check(history, &mut findings);
    papers::check(history, &mut findings);
    reads::check(history, &mut findings);
    feeds::check(history, &mut findings);
    deliveries::check(history, &mut findings);
    for line in &history.panics {
        findings.add(Kind::Wrong, format!("a panic: {line}"));
    }
    findings.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_run_has_no_violation_and_panic_is_one() {
        let mut history = example::good();
        assert_eq!(check(&history), []);
        history.split = true;
        assert_eq!(check(&history), []);
        history.panics.push("thread 'main' panicked at …".into());
        assert_eq!(check(&history).len(), 1);
    }
}
