//! Builds statuses. Each is whole: a server-side apply removes whatever it leaves out.

use arxiv::FailureClass;
use crd::{ArxivQuery, ArxivQueryStatus, ConditionType, Phase, Reason};
use jiff::{Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use storage::Recorded;

use crate::{
    controller::{decision::Verdict, progress_report::Telling},
    fetch::progress::Progress,
};

/// Most characters of `status.message` and of a condition's message: below the schema's 1024, as a condition is
/// stored twice and people read one line.
const MAX_MESSAGE: usize = 512;
/// Most characters of `status.query`: three fields of 512 typed characters, each word with its prefix, fit mostly.
const MAX_QUERY: usize = 2_048;

/// What a query waits for that is not there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Obstacle {
    /// arXiv is asked nothing until the cool-down that all share is over.
    Throttled,
    /// arXiv does not answer.
    Unreachable,
    /// A database does not answer.
    DatabaseAway,
}

impl Obstacle {
    const ALL: [Self; 3] = [Self::Throttled, Self::Unreachable, Self::DatabaseAway];

    /// For the condition Ready, and for Events.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Throttled => Reason::UpstreamThrottled,
            Self::Unreachable => Reason::UpstreamUnreachable,
            Self::DatabaseAway => Reason::DatabaseUnavailable,
        }
    }

    /// What a failed request means for the queries behind it.
    pub(crate) fn of(class: FailureClass) -> Option<Self> {
        match class {
            FailureClass::Throttled => Some(Self::Throttled),
            FailureClass::Unreachable => Some(Self::Unreachable),
            FailureClass::Invalid | FailureClass::Broken => None,
        }
    }

    /// The one that the object's users have been told of.
    pub(crate) fn told(object: &ArxivQuery) -> Option<Self> {
        let ready = object.condition(ConditionType::Ready)?;
        Self::ALL
            .into_iter()
            .find(|obstacle| obstacle.reason().as_str() == ready.reason)
    }
}

/// The status of a query that is not done.
pub(crate) fn unfinished(
    object: &ArxivQuery,
    known: &Progress,
    sent: &str,
    telling: &Telling,
    now: Timestamp,
) -> ArxivQueryStatus {
    let phase = if known.started.is_some() {
        Phase::Running
    } else {
        Phase::Pending
    };
    // Never Stalled: that says that it does not go on by itself.
    let reason = telling.obstacle.map_or(phase.into(), Obstacle::reason);
    ArxivQueryStatus {
        retry_after: telling.asked_again_at.map(whole_second).map(Time),
        ..waiting(object, known, sent, (phase, reason, &telling.message), now)
    }
}

/// The status of a query that is left alone.
pub(crate) fn suspended(
    object: &ArxivQuery,
    known: &Progress,
    sent: &str,
    now: Timestamp,
) -> ArxivQueryStatus {
    let message = "suspended; it goes on when spec.suspend is false";
    ArxivQueryStatus {
        // Its deadline counts anew when it is resumed.
        start_time: None,
        ..waiting(
            object,
            known,
            sent,
            (Phase::Suspended, Reason::Suspended, message),
            now,
        )
    }
}

fn waiting(
    object: &ArxivQuery,
    known: &Progress,
    sent: &str,
    (phase, reason, message): (Phase, Reason, &str),
    now: Timestamp,
) -> ArxivQueryStatus {
    let message = line(message);
    let conditions = Conditions { object, now };
    ArxivQueryStatus {
        phase,
        conditions: vec![
            conditions.make(ConditionType::Ready, false, reason, &message),
            conditions.make(ConditionType::Finished, false, phase.into(), ""),
        ],
        query: Some(shortened(sent, MAX_QUERY)),
        message: Some(message),
        ..base(object, Some(known))
    }
}

/// The status of a query whose rows stand in the database.
pub(crate) fn succeeded(
    object: &ArxivQuery,
    known: Option<&Progress>,
    sent: &str,
    recorded: &Recorded,
    now: Timestamp,
) -> ArxivQueryStatus {
    let message = match recorded.num_results {
        0 => "arXiv finds no paper for this search".to_owned(),
        found => format!("stored {} of {found} papers", recorded.num_entries),
    };
    let base = base(object, known);
    ArxivQueryStatus {
        phase: Phase::Succeeded,
        conditions: ends(object, true, Reason::Succeeded, &message, now),
        query_id: Some(recorded.query_id),
        timestamp: Some(recorded.timestamp),
        http_status: Some(i32::from(recorded.status)),
        num_results: Some(i64::from(recorded.num_results)),
        num_entries: Some(i64::from(recorded.num_entries)),
        query: Some(shortened(&query_text(sent, &recorded.query), MAX_QUERY)),
        start_time: base.start_time.clone().or(Some(Time(now))),
        completion_time: Some(Time(now)),
        message: Some(message),
        ..base
    }
}

/// The status of a query that ended without rows. `sent` is what it searched for, if it could be a search at all.
pub(crate) fn failed(
    object: &ArxivQuery,
    known: Option<&Progress>,
    sent: Option<&str>,
    verdict: &Verdict,
    cooling_until: Option<Timestamp>,
    now: Timestamp,
) -> ArxivQueryStatus {
    let message = line(&verdict.message);
    // Other failures have nothing to do with the pause that everybody makes.
    let throttled = matches!(verdict.http_status, Some(429 | 503));
    let mut conditions = ends(object, false, verdict.reason, &message, now);
    // Ready alone, when false, is work in progress to kstatus.
    conditions.push(Conditions { object, now }.make(ConditionType::Stalled, true, verdict.reason, ""));
    ArxivQueryStatus {
        phase: Phase::Failed,
        conditions,
        http_status: verdict.http_status.map(i32::from),
        query: sent.map(|sent| shortened(sent, MAX_QUERY)),
        completion_time: Some(Time(now)),
        retry_after: cooling_until.filter(|_| throttled).map(Time),
        message: Some(message),
        ..base(object, known)
    }
}

/// What every status carries on.
fn base(object: &ArxivQuery, known: Option<&Progress>) -> ArxivQueryStatus {
    let old = object.status.as_ref();
    let started = known.and_then(|known| known.started).map(Time);
    let attempts = known.and_then(|known| i32::try_from(known.attempts).ok());
    ArxivQueryStatus {
        observed_generation: object.metadata.generation,
        // An object that a restored backup brought back may have a number already, and it is given once.
        query_id: old.and_then(|status| status.query_id),
        start_time: old.and_then(|status| status.start_time.clone()).or(started),
        attempts: attempts.or_else(|| old.and_then(|status| status.attempts)),
        ..ArxivQueryStatus::default()
    }
}

fn ends(object: &ArxivQuery, ready: bool, reason: Reason, message: &str, now: Timestamp) -> Vec<Condition> {
    let conditions = Conditions { object, now };
    vec![
        conditions.make(ConditionType::Ready, ready, reason, message),
        conditions.make(ConditionType::Finished, true, reason, ""),
    ]
}

struct Conditions<'a> {
    object: &'a ArxivQuery,
    now: Timestamp,
}

impl Conditions<'_> {
    fn make(&self, type_: ConditionType, is: bool, reason: Reason, message: &str) -> Condition {
        let status = if is { "True" } else { "False" };
        let standing = self.object.condition(type_).filter(|c| c.status == status);
        let since = standing.map(|c| c.last_transition_time.clone());
        Condition {
            type_: type_.as_str().to_owned(),
            status: status.to_owned(),
            reason: reason.as_str().to_owned(),
            message: message.to_owned(),
            last_transition_time: since.unwrap_or(Time(whole_second(self.now))),
            observed_generation: None,
        }
    }
}

/// The search as it was sent, and as arXiv ran it where that differs. `title` is the feed's, after its first ": ":
/// `search_query=…&id_list=&start=0&max_results=8`.
fn query_text(sent: &str, title: &str) -> String {
    let ran = ran(title);
    if ran.is_empty() || ran == sent {
        sent.to_owned()
    } else if sent.is_empty() {
        // Rows of a search that this version takes for invalid.
        ran
    } else {
        format!("{sent} (arXiv ran: {ran})")
    }
}

/// What a feed's title says of the search, in the form of [`arxiv::sent`].
fn ran(title: &str) -> String {
    let Some(rest) = title.strip_prefix("search_query=") else {
        return title.to_owned();
    };
    // A query may hold any text in quotes; the parameters after it are the last ones.
    let rest = rest.rsplit_once("&start=").map_or(rest, |(rest, _)| rest);
    let (query, ids) = rest.rsplit_once("&id_list=").unwrap_or((rest, ""));
    arxiv::sent(query, ids)
}

/// A message of a length for a status.
pub(crate) fn line(text: &str) -> String {
    shortened(text, MAX_MESSAGE)
}

/// At most so many characters; the schema counts characters, not bytes.
fn shortened(text: &str, max_chars: usize) -> String {
    if text.chars().nth(max_chars).is_none() {
        return text.to_owned();
    }
    text.chars().take(max_chars - 1).chain(['…']).collect()
}

/// Kubernetes keeps its times to the second.
pub(crate) fn whole_second(at: Timestamp) -> Timestamp {
    at.round(Unit::Second).unwrap_or(at)
}

#[cfg(test)]
mod tests;
