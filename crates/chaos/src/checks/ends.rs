//! Every object ended as it should: it succeeded, or failed for a reason that really occurred. It ended once: where a restore
//! of etcd undid its end, it ended again in the same way.

use super::upstream::is_given_up;
use super::{Findings, Kind};
use crate::history::{ArxivAnswer, History, Object, Phase};

pub(super) fn check(history: &History, findings: &mut Findings) {
    check_ended_once(history, findings);
    for object in &history.objects {
        match object.phase {
            Phase::Unfinished => findings.add(
                Kind::Lost,
                format!(
                    "{} ({}) did not finish: {}",
                    object.name, object.uid, object.message
                ),
            ),
            Phase::Failed if !is_explained(history, object) => findings.add(
                Kind::Wrong,
                format!(
                    "{} ({}, {}) failed without a fault that explains it: status {:?}, {}",
                    object.name, object.uid, object.search, object.http_status, object.message
                ),
            ),
            Phase::Succeeded if object.num_results == Some(0) && !was_empty(history, object) => findings.add(
                Kind::Lost,
                format!(
                    "{} ({}) found nothing, but arXiv never answered so",
                    object.name, object.uid
                ),
            ),
            Phase::Failed | Phase::Succeeded => {}
        }
    }
}

fn answers<'a>(history: &'a History, object: &'a Object) -> impl Iterator<Item = ArxivAnswer> + 'a {
    let all = history.requests.iter();
    all.filter(|request| object.sent(request))
        .map(|request| request.answer)
}

fn check_ended_once(history: &History, findings: &mut Findings) {
    for (uid, ends) in history.ends.iter().filter(|(_, ends)| ends.len() > 1) {
        findings.add(Kind::Wrong, format!("{uid} ended in different ways: {ends:?}"));
    }
}

/// Whether a query may have failed: because of a refusal, more broken answers than its limit, or its deadline. One that fails
/// fast may also fail because of any missing or late answer, or because its process was paused.
fn is_explained(history: &History, object: &Object) -> bool {
    let count = |given| answers(history, object).filter(|answer| *answer == given).count();
    if object.has_deadline
        || count(ArxivAnswer::Refused) > 0
        || count(ArxivAnswer::Broken) > object.backoff_limit
    {
        return true;
    }
    let was_paused = || {
        let asked = history
            .requests
            .iter()
            .filter(|request| request.search == object.search);
        asked.map(|request| request.at).any(|at| {
            let pauses = history
                .disturbances
                .iter()
                .filter(|disturbance| disturbance.pauses);
            pauses
                .into_iter()
                .any(|pause| pause.from <= at + super::upstream::LONGEST_REQUEST && at <= pause.to)
        })
    };
    let was_late = || {
        let mut asked = history.requests.iter();
        asked.any(|request| request.search == object.search && is_given_up(history, request))
    };
    object.fails_fast
        && (was_late()
            || answers(history, object)
                .any(|answer| !matches!(answer, ArxivAnswer::Papers | ArxivAnswer::Redirected))
            || was_paused())
}

/// An empty result is believed only when arXiv has answered so twice.
fn was_empty(history: &History, object: &Object) -> bool {
    let nothing = answers(history, object).filter(|answer| *answer == ArxivAnswer::Empty);
    nothing.count() >= 2
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{accepts, finds, request};
    use super::*;
    use crate::history::{Disturbance, Outcome};

    fn at(history: &mut History, answers: &[ArxivAnswer]) {
        history.requests.truncate(1);
        for (answer, connection) in answers.iter().zip(2..) {
            history
                .requests
                .push(request(connection * 200, connection, "ti:f", *answer));
        }
    }

    #[test]
    fn second_outcome_of_an_object_is_violation() {
        let ended = |phase, number| Outcome {
            phase,
            number,
            ..Outcome::default()
        };
        let seen =
            |ends: Vec<Outcome>| move |history: &mut History| drop(history.ends.insert("a".into(), ends));
        accepts("once", seen(vec![ended(Phase::Succeeded, Some(1))]));
        for (name, second) in [
            ("failed, then succeeded", ended(Phase::Succeeded, Some(1))),
            ("another number", ended(Phase::Failed, Some(2))),
        ] {
            let both = vec![ended(Phase::Failed, None), second];
            finds(name, seen(both), Kind::Wrong, "in different ways");
        }
    }

    #[test]
    fn outcome_without_its_reason_is_violation() {
        let retries = |backoff_limit| {
            move |history: &mut History| {
                history.objects[2].fails_fast = false;
                history.objects[2].backoff_limit = backoff_limit;
                at(history, &[ArxivAnswer::Broken, ArxivAnswer::Broken]);
            }
        };
        finds(
            "unfinished",
            |history| history.objects[0].phase = Phase::Unfinished,
            Kind::Lost,
            "did not finish",
        );
        finds(
            "no bad answer",
            |history| at(history, &[ArxivAnswer::Papers]),
            Kind::Wrong,
            "without a fault",
        );
        finds(
            "never asked",
            |history| at(history, &[]),
            Kind::Wrong,
            "without a fault",
        );
        finds("had retries left", retries(2), Kind::Wrong, "without a fault");
        accepts("had no retries left", retries(1));
        let throttled = |history: &mut History| history.objects[2].fails_fast = false;
        finds("waits while throttled", throttled, Kind::Wrong, "without a fault");
        accepts("refused", |history| {
            history.objects[2].fails_fast = false;
            at(history, &[ArxivAnswer::Refused]);
        });
        accepts("the process was paused", |history| {
            at(history, &[ArxivAnswer::Papers]);
            history.disturbances.push(Disturbance {
                from: Duration::from_millis(300),
                to: Duration::from_secs(9),
                victim: None,
                pauses: true,
            });
        });
        let nothing = |history: &mut History| {
            history.objects[0].num_results = Some(0);
            history.objects[0].num_entries = Some(0);
        };
        finds("an invented empty result", nothing, Kind::Lost, "found nothing");
    }
}
