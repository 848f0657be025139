//! The invariants, each as a pure function of what was seen.

mod answers;
mod ends;
#[cfg(test)]
mod example;
mod numbers;
mod reads;
mod rows;
mod upstream;

use std::fmt;

use crate::facts::Facts;
pub(crate) use reads::PAGE;
pub(crate) use upstream::asked_again_after;

/// In what way an invariant is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something that was accepted or told is not there.
    Lost,
    /// Something is there twice, or belongs to nobody.
    Doubled,
    /// arXiv was asked too soon, or over two connections.
    Impolite,
    /// arXiv was asked for what it had answered already.
    AskedTwice,
    /// Something else that must not be.
    Wrong,
}

/// One broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// In what way.
    pub kind: Kind,
    /// What was seen.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}: {}", self.kind, self.text)
    }
}

/// What is found.
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

/// All that is broken.
pub(crate) fn check(facts: &Facts) -> Vec<Violation> {
    let mut findings = Findings::default();
    ends::check(facts, &mut findings);
    rows::check(facts, &mut findings);
    upstream::check(facts, &mut findings);
    answers::check(facts, &mut findings);
    numbers::check(facts, &mut findings);
    reads::check(facts, &mut findings);
    for line in &facts.panics {
        findings.add(Kind::Wrong, format!("a panic: {line}"));
    }
    findings.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_fault_has_no_finding_and_a_panic_is_one() {
        let mut facts = example::good();
        assert_eq!(check(&facts), []);
        facts.split = true;
        assert_eq!(check(&facts), []);
        facts.panics.push("thread 'main' panicked at …".into());
        assert_eq!(check(&facts).len(), 1);
    }
}
