//! Step 6 of a query's life: the decision about its next action. A pure function of what was read and of
//! the time.

mod limits;

use arxiv::PageRequest;
use jiff::Timestamp;
use storage::{Ending, FailureRecord};

use self::limits::{Limits, Next, next};
use super::{
    context::Snapshot,
    pages::{MissingPage, StoredPages},
    report::progress_report::{StatusUpdate, next_update, suspension_is_unreported},
};

/// What steps 3 to 5 found out about a query. The first of them that decides ends the search for facts.
#[derive(Debug)]
pub(crate) enum Facts {
    /// Step 3: its spec is no valid search.
    Invalid(FailureRecord),
    /// Step 4: an earlier reconciliation, in whichever process, has ended it.
    Ended(Ending),
    /// It was just restored from a backup, and its status may follow.
    Restored { until: Timestamp },
    /// Its spec says that it is not to run.
    Suspended,
    /// Step 5: a page is not stored.
    Missing(MissingPage),
    /// Step 5: all pages are stored.
    Complete(StoredPages),
}

/// The next action for a query.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum QueryDecision {
    /// Its end is in the database: only the status is written.
    Finish(Ending),
    /// It fails: a tombstone, then the status.
    Fail(FailureRecord),
    /// All pages are stored: a number, the rows, then the status.
    Record(StoredPages),
    /// It leaves the queue until its spec changes. `report`: its status does not say so yet.
    Suspend { report: bool },
    /// It waits.
    Wait {
        /// The page that it waits for in the queue; none while it must not be requested.
        page: Option<PageRequest>,
        /// When it is reconciled again, if nothing happens before.
        until: Option<Timestamp>,
        /// How many of its pages are stored.
        stored: usize,
        /// The status to write, if it is worth a write.
        report: Option<StatusUpdate>,
    },
}

/// Decides on the next action for a query.
pub(crate) fn decide(snapshot: Snapshot<'_>, facts: Facts) -> QueryDecision {
    let missing = match facts {
        Facts::Invalid(failure) => return QueryDecision::Fail(failure),
        Facts::Ended(ending) => return QueryDecision::Finish(ending),
        Facts::Complete(pages) => return QueryDecision::Record(pages),
        Facts::Restored { until } => {
            return QueryDecision::Wait {
                page: None,
                until: Some(until),
                stored: 0,
                report: None,
            };
        }
        Facts::Suspended => {
            return QueryDecision::Suspend {
                report: suspension_is_unreported(snapshot.object),
            };
        }
        Facts::Missing(missing) => missing,
    };
    let limits = Limits::from(snapshot.object);
    let (is_due, until) = match next(&limits, snapshot.progress, snapshot.now) {
        Next::Fail(failure) => return QueryDecision::Fail(failure),
        Next::Wait { until } => (false, Some(until)),
        Next::Fetch { deadline } => (true, deadline),
    };
    QueryDecision::Wait {
        until,
        stored: missing.stored,
        report: next_update(snapshot, &missing),
        page: is_due.then_some(missing.request),
    }
}

#[cfg(test)]
mod tests {
    use arxiv::ValidatedSearch;
    use crd::{ArxivQuery, ArxivQuerySpec, ArxivQueryStatus, Phase};

    use super::{
        limits::tests::{at, progress},
        *,
    };

    fn request() -> PageRequest {
        PageRequest {
            search: ValidatedSearch::new("ti:x".into(), String::new(), "", ""),
            start: 2_000,
            count: 2_000,
        }
    }

    #[test]
    fn decision_follows_facts() {
        let failure = FailureRecord {
            reason: "Reason".into(),
            message: "words".into(),
            http_status: Some(400),
        };
        let missing = || {
            Facts::Missing(MissingPage {
                request: request(),
                stored: 1,
                total: 3,
            })
        };
        let wait = |page, until| QueryDecision::Wait {
            page,
            until,
            stored: 1,
            report: None,
        };
        let started = |not_before| {
            let mut progress = progress(Some(90), None, 0, not_before);
            progress.slices_reported = 1;
            progress
        };
        let object = |phase| {
            let mut object = ArxivQuery::new("q", ArxivQuerySpec::default());
            object.status = Some(ArxivQueryStatus {
                phase,
                ..ArxivQueryStatus::default()
            });
            object
        };
        let (running, suspended) = (object(Phase::Running), object(Phase::Suspended));
        let ended = || Ending::Failed(failure.clone());
        #[rustfmt::skip]
        let cases = [
            ("invalid", &running, started(None), Facts::Invalid(failure.clone()), QueryDecision::Fail(failure.clone())),
            ("ended", &running, started(None), Facts::Ended(ended()), QueryDecision::Finish(ended())),
            ("ended, suspended", &suspended, started(None), Facts::Ended(ended()), QueryDecision::Finish(ended())),
            ("to suspend", &running, started(None), Facts::Suspended, QueryDecision::Suspend { report: true }),
            ("suspended", &suspended, started(None), Facts::Suspended, QueryDecision::Suspend { report: false }),
            ("a page is missing", &running, started(None), missing(), wait(Some(request()), None)),
            ("a page must wait", &running, started(Some(110)), missing(), wait(None, Some(at(110)))),
            ("all stored", &running, started(None), Facts::Complete(StoredPages::default()), QueryDecision::Record(StoredPages::default())),
        ];
        for (name, object, progress, facts, expected) in cases {
            let snapshot = Snapshot {
                object,
                progress: &progress,
                sent: None,
                cooling_until: None,
                now: at(100),
            };
            assert_eq!(decide(snapshot, facts), expected, "{name}");
        }
    }
}
