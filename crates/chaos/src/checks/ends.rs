//! Every object reached the end it should: succeeded, or failed for a reason that was there.

use super::upstream::is_given_up;
use super::{Findings, Kind};
use crate::facts::{Facts, Given, Object, Phase};

pub(super) fn check(facts: &Facts, findings: &mut Findings) {
    for object in &facts.objects {
        match object.phase {
            Phase::Unfinished => findings.add(
                Kind::Lost,
                format!("{} ({}) did not end: {}", object.name, object.uid, object.message),
            ),
            Phase::Failed if !is_explained(facts, object) => findings.add(
                Kind::Wrong,
                format!(
                    "{} ({}, {}) failed without a fault that explains it: status {:?}, {}",
                    object.name, object.uid, object.search, object.http_status, object.message
                ),
            ),
            Phase::Succeeded if object.num_results == Some(0) && !was_told_nothing(facts, object) => findings
                .add(
                    Kind::Lost,
                    format!(
                        "{} ({}) found nothing, but arXiv never said so",
                        object.name, object.uid
                    ),
                ),
            Phase::Failed | Phase::Succeeded => {}
        }
    }
}

fn answers<'a>(facts: &'a Facts, object: &'a Object) -> impl Iterator<Item = Given> + 'a {
    let all = facts.requests.iter();
    all.filter(|request| request.search == object.search)
        .map(|request| request.answer)
}

/// What a query may fail of: a refusal; more broken answers than it takes; its deadline; and one that fails fast, any
/// answer that is none or came too late, or a standstill of the process that asked for it.
fn is_explained(facts: &Facts, object: &Object) -> bool {
    let count = |given| answers(facts, object).filter(|answer| *answer == given).count();
    if object.has_deadline || count(Given::Refused) > 0 || count(Given::Broken) > object.backoff_limit {
        return true;
    }
    let stood_still = || {
        let asked = facts
            .requests
            .iter()
            .filter(|request| request.search == object.search);
        asked.map(|request| request.at).any(|at| {
            let pauses = facts.disturbances.iter().filter(|disturbance| disturbance.pauses);
            pauses
                .into_iter()
                .any(|pause| pause.from <= at + super::upstream::LONGEST_REQUEST && at <= pause.to)
        })
    };
    let was_late = || {
        let mut asked = facts.requests.iter();
        asked.any(|request| request.search == object.search && is_given_up(facts, request))
    };
    object.fails_fast
        && (was_late()
            || answers(facts, object).any(|answer| !matches!(answer, Given::Papers | Given::Elsewhere))
            || stood_still())
}

/// A search that finds nothing is asked for twice before it is believed.
fn was_told_nothing(facts: &Facts, object: &Object) -> bool {
    let nothing = answers(facts, object).filter(|answer| *answer == Given::Nothing);
    nothing.count() >= 2
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{accepts, finds, request};
    use super::*;
    use crate::facts::Disturbance;

    fn at(facts: &mut Facts, answers: &[Given]) {
        facts.requests.truncate(1);
        for (answer, connection) in answers.iter().zip(2..) {
            facts
                .requests
                .push(request(connection * 200, connection, "ti:f", *answer));
        }
    }

    #[test]
    fn every_end_needs_its_reason() {
        let patient = |backoff_limit| {
            move |facts: &mut Facts| {
                facts.objects[2].fails_fast = false;
                facts.objects[2].backoff_limit = backoff_limit;
                at(facts, &[Given::Broken, Given::Broken]);
            }
        };
        finds(
            "unfinished",
            |facts| facts.objects[0].phase = Phase::Unfinished,
            Kind::Lost,
            "did not end",
        );
        finds(
            "no bad answer",
            |facts| at(facts, &[Given::Papers]),
            Kind::Wrong,
            "without a fault",
        );
        finds(
            "never asked",
            |facts| at(facts, &[]),
            Kind::Wrong,
            "without a fault",
        );
        finds("had tries left", patient(2), Kind::Wrong, "without a fault");
        accepts("had no tries left", patient(1));
        let throttled = |facts: &mut Facts| facts.objects[2].fails_fast = false;
        finds("waits while throttled", throttled, Kind::Wrong, "without a fault");
        accepts("refused", |facts| {
            facts.objects[2].fails_fast = false;
            at(facts, &[Given::Refused]);
        });
        accepts("the process stood still", |facts| {
            at(facts, &[Given::Papers]);
            facts.disturbances.push(Disturbance {
                from: Duration::from_millis(300),
                to: Duration::from_secs(9),
                victim: None,
                pauses: true,
            });
        });
        let nothing = |facts: &mut Facts| {
            facts.objects[0].num_results = Some(0);
            facts.objects[0].num_entries = Some(0);
        };
        finds("invented nothing", nothing, Kind::Lost, "found nothing");
    }
}
