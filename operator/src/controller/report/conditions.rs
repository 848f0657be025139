//! Builds statuses with their conditions. Each is complete: a server-side apply removes every field that it
//! leaves out.

use crd::{ArxivQueryStatus, ConditionType, Phase, Reason};
use jiff::{
    SignedDuration, Timestamp,
    fmt::friendly::{Spacing, SpanPrinter},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use storage::{FailureRecord, QueryRow};

use super::progress_report::{StatusUpdate, whole_second};
use crate::controller::context::Snapshot;

/// Most characters of `status.message` and of a condition's message: below the schema's 1024, as a condition
/// is stored twice and people read one line.
const MAX_MESSAGE: usize = 512;
/// Most characters of `status.query`: enough for most searches with three fields of 512 characters, where
/// each word gets its prefix.
const MAX_QUERY: usize = 2_048;

impl Snapshot<'_> {
    /// The status of a query that waits for a page.
    pub(crate) fn unfinished(&self, update: &StatusUpdate) -> ArxivQueryStatus {
        let phase = if self.progress.started.is_some() {
            Phase::Running
        } else {
            Phase::Pending
        };
        // Never Stalled, which would say that it does not continue by itself.
        let reason = update.blocked.unwrap_or(Reason::from(phase));
        ArxivQueryStatus {
            retry_after: update.retry_after.map(whole_second).map(Time),
            resume_time: self.resume_time(),
            ..self.waiting(phase, reason, &update.message)
        }
    }

    /// The status of a suspended query.
    pub(crate) fn suspended(&self) -> ArxivQueryStatus {
        let message = "suspended; it goes on when spec.suspend is false";
        ArxivQueryStatus {
            // Its deadline starts again when it is resumed.
            start_time: None,
            ..self.waiting(Phase::Suspended, Reason::Suspended, message)
        }
    }

    fn waiting(&self, phase: Phase, reason: Reason, message: &str) -> ArxivQueryStatus {
        let message = truncated_message(message);
        ArxivQueryStatus {
            phase,
            conditions: vec![
                self.condition(ConditionType::Ready, false, reason, &message),
                self.condition(ConditionType::Finished, false, phase.into(), ""),
            ],
            message: Some(message),
            ..self.base()
        }
    }

    /// The status of a query whose rows are in the database.
    pub(crate) fn succeeded(&self, recorded: &QueryRow) -> ArxivQueryStatus {
        let message = match recorded.num_results {
            0 => "arXiv finds no paper for this search".to_owned(),
            found => format!("stored {} of {found} papers", recorded.num_entries),
        };
        let base = self.base();
        let start_time = base.start_time.clone().unwrap_or(Time(self.now));
        let query = query_text(self.sent.unwrap_or_default(), &recorded.query);
        ArxivQueryStatus {
            phase: Phase::Succeeded,
            conditions: self.final_conditions(&[ConditionType::Complete], Reason::Succeeded, &message),
            query_id: Some(recorded.query_id),
            answer_time: Timestamp::from_second(recorded.timestamp).ok().map(Time),
            http_status: Some(i32::from(recorded.status)),
            total_results: Some(i64::from(recorded.num_results)),
            stored_results: Some(i64::from(recorded.num_entries)),
            query: Some(truncated(&query, MAX_QUERY)),
            duration: Some(duration(&start_time, self.now)),
            start_time: Some(start_time),
            completion_time: Some(Time(self.now)),
            message: Some(message),
            ..base
        }
    }

    /// The status of a query that ended without rows.
    pub(crate) fn failed(&self, failure: &FailureRecord) -> ArxivQueryStatus {
        let message = truncated_message(&failure.message);
        // Other failures have nothing to do with the shared cool-down.
        let throttled = matches!(failure.http_status, Some(429 | 503));
        let reason = Reason::of_failure(&failure.reason);
        let base = self.base();
        // Ready alone, when false, means work in progress to kstatus.
        let of_failure = [ConditionType::Stalled, ConditionType::Failed];
        ArxivQueryStatus {
            phase: Phase::Failed,
            conditions: self.final_conditions(&of_failure, reason, &message),
            duration: base.start_time.as_ref().map(|start| duration(start, self.now)),
            http_status: failure.http_status.map(i32::from),
            completion_time: Some(Time(self.now)),
            retry_after: self.cooling_until.filter(|_| throttled).map(Time),
            message: Some(message),
            ..base
        }
    }

    /// When it was resumed, if it was suspended before its first request.
    fn resume_time(&self) -> Option<Time> {
        let old = self.object.status.as_ref()?;
        if old.phase == Phase::Suspended {
            Some(Time(whole_second(self.progress.pending_since)))
        } else {
            old.resume_time.clone()
        }
    }

    /// What every status keeps.
    fn base(&self) -> ArxivQueryStatus {
        let old = self.object.status.as_ref();
        ArxivQueryStatus {
            observed_generation: self.object.metadata.generation,
            query: self.sent.map(|sent| truncated(sent, MAX_QUERY)),
            // An object that was restored from a backup may have a number already, and it never changes.
            query_id: old.and_then(|status| status.query_id),
            start_time: old
                .and_then(|status| status.start_time.clone())
                .or(self.progress.started.map(Time)),
            attempts: i32::try_from(self.progress.attempts).ok(),
            ..ArxivQueryStatus::default()
        }
    }

    /// The conditions of every end, and those that only this kind of end has.
    fn final_conditions(&self, others: &[ConditionType], reason: Reason, message: &str) -> Vec<Condition> {
        let is_ready = reason == Reason::Succeeded;
        let mut conditions = vec![
            self.condition(ConditionType::Ready, is_ready, reason, message),
            self.condition(ConditionType::Finished, true, reason, ""),
        ];
        conditions.extend(
            others
                .iter()
                .map(|type_| self.condition(*type_, true, reason, "")),
        );
        conditions
    }

    /// A condition of this query.
    fn condition(&self, type_: ConditionType, is: bool, reason: Reason, message: &str) -> Condition {
        let status = if is { "True" } else { "False" };
        let new = new_condition(type_.as_str(), status, reason.as_str(), message, self.now);
        keep_transition(new, self.object.condition(type_))
    }
}

/// A condition whose status has changed now.
pub(crate) fn new_condition(
    type_: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: Time(whole_second(now)),
        observed_generation: None,
    }
}

/// The condition with the transition time of the one before it, if its status is the same.
pub(crate) fn keep_transition(new: Condition, old: Option<&Condition>) -> Condition {
    match old.filter(|old| old.status == new.status) {
        Some(old) => Condition {
            last_transition_time: old.last_transition_time.clone(),
            ..new
        },
        None => new,
    }
}

/// The time since the start, to the second, as Kubernetes writes durations: `1h2m3s`.
fn duration(start: &Time, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(start.0.as_second()).max(0);
    let printer = SpanPrinter::new().spacing(Spacing::None);
    printer.duration_to_string(&SignedDuration::from_secs(seconds))
}

/// The search as it was sent, and as arXiv ran it where that differs. `title` is the feed's, after its first
/// ": ": `search_query=…&id_list=&start=0&max_results=8`.
fn query_text(sent: &str, title: &str) -> String {
    let ran = ran(title);
    if ran.is_empty() || ran == sent {
        sent.to_owned()
    } else if sent.is_empty() {
        // Rows of a search that this version considers invalid.
        ran
    } else {
        format!("{sent} (arXiv ran: {ran})")
    }
}

/// The search in a feed's title, in the form of [`arxiv::display_query`].
fn ran(title: &str) -> String {
    let Some(rest) = title.strip_prefix("search_query=") else {
        return title.to_owned();
    };
    // A query may have any text in quotes; the parameters after it are the last ones.
    let rest = rest.rsplit_once("&start=").map_or(rest, |(rest, _)| rest);
    let (query, ids) = rest.rsplit_once("&id_list=").unwrap_or((rest, ""));
    arxiv::display_query(query, ids)
}

/// A message that fits into a status.
pub(crate) fn truncated_message(text: &str) -> String {
    truncated(text, MAX_MESSAGE)
}

/// At most so many characters; the schema counts characters, not bytes.
fn truncated(text: &str, max_chars: usize) -> String {
    if text.chars().nth(max_chars).is_none() {
        return text.to_owned();
    }
    text.chars().take(max_chars - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
