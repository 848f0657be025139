//! Events about ArxivQuery objects. A task sends them from a bounded queue, so that no reconciliation waits
//! for them; an Event that does not fit into the queue, or fails several times, is dropped and counted.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crd::{ArxivQuery, Reason};
use jiff::Timestamp;
use k8s_openapi::{
    api::events::v1::Event,
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Resource, api::PostParams};
use service::token_bucket::TokenRate;
use tokio::{
    sync::mpsc::{Sender, channel},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::process::{dependencies::Dependencies, kubernetes::within};

/// An Event has about 1 kB. More are queued only while Kubernetes is unavailable, and are out of date by
/// then.
const QUEUE_LENGTH: usize = 512;
/// Events of success are for people who look at single objects: of a backlog that ends at once, each would cost Kubernetes as much
/// as the status that says the same.
const SUCCESSES: TokenRate = TokenRate {
    burst: 100,
    interval: Duration::from_millis(100),
};
/// How often an Event is sent.
const MAX_ATTEMPTS: u64 = 3;
/// Most characters of a note; Kubernetes takes 1 kB, and a character may have four bytes.
const MAX_NOTE: usize = 250;
/// The longest name of an object in Kubernetes.
const MAX_NAME: usize = 253;
/// The controller that Events are from.
const CONTROLLER: &str = "arxiv-operator";

/// Whether an Event is about something that is expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Normal,
    Warning,
}

/// Queues Events.
#[derive(Clone)]
pub(crate) struct Events {
    queue: Sender<Event>,
    with: Arc<Dependencies>,
    /// When there may be [`SUCCESSES`] of them at once again.
    successes_full_at: Arc<Mutex<Option<Instant>>>,
}

/// The queue of Events, and the task that sends them: until it is stopped, and then those that are still
/// queued.
pub(crate) fn events(
    with: Arc<Dependencies>,
    stop: CancellationToken,
) -> (Events, impl Future<Output = ()> + Send) {
    let (queue, mut queued) = channel(QUEUE_LENGTH);
    let sender = Arc::clone(&with);
    let task = async move {
        while let Some(Some(event)) = stop.run_until_cancelled(queued.recv()).await {
            publish(&sender, &event).await;
        }
        while let Ok(event) = queued.try_recv() {
            publish(&sender, &event).await;
        }
    };
    let events = Events {
        queue,
        with,
        successes_full_at: Arc::default(),
    };
    (events, task)
}

impl Events {
    /// Queues an Event about the object; `note` is for people. One of success is left out where there are very many.
    pub(crate) fn send(&self, object: &ArxivQuery, reason: Reason, note: &str) {
        if reason == Reason::Succeeded {
            let mut full_at = self
                .successes_full_at
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match SUCCESSES.take(*full_at, Instant::now()) {
                Ok(taken) => *full_at = Some(taken),
                Err(_) => return,
            }
        }
        let (kind, action) = if reason == Reason::Succeeded {
            (Kind::Normal, "Record")
        } else if reason == Reason::Suspended {
            (Kind::Normal, "Suspend")
        } else {
            (Kind::Warning, "Fetch")
        };
        self.send_about(object, kind, action, reason.as_str(), note);
    }

    /// Queues an Event about an object of any kind.
    pub(crate) fn send_about<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        kind: Kind,
        action: &str,
        reason: &str,
        note: &str,
    ) {
        let (now, about) = (Timestamp::now(), object.meta());
        let event = Event {
            metadata: ObjectMeta {
                name: Some(event_name(about.name.as_deref().unwrap_or_default(), now)),
                namespace: about.namespace.clone(),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            regarding: Some(object.object_ref(&())),
            type_: Some(format!("{kind:?}")),
            reason: Some(reason.to_owned()),
            note: Some(note.chars().take(MAX_NOTE).collect()),
            action: Some(action.to_owned()),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(std::env::var("HOSTNAME").unwrap_or_else(|_| CONTROLLER.to_owned())),
            ..Event::default()
        };
        if self.queue.try_send(event).is_err() {
            self.with.metrics.failed("event_dropped");
        }
    }
}

/// A name of its own for each Event of an object of this name, which may be the longest possible one.
fn event_name(object: &str, now: Timestamp) -> String {
    let suffix = format!(".{:x}", now.as_nanosecond());
    let room = MAX_NAME - suffix.len();
    let start = object.get(..room).unwrap_or(object);
    // Each part between dots ends with a letter or a digit.
    format!("{}{suffix}", start.trim_end_matches(['-', '.']))
}

async fn publish(with: &Dependencies, event: &Event) {
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    // Not kube's Recorder: its names are too long for objects with long names, and its cache, which groups equal
    // Events, would keep each of ours for minutes.
    let events = Api::<Event>::namespaced(with.client.clone(), namespace);
    let object = event.regarding.as_ref().and_then(|object| object.name.as_deref());
    for attempt in 1..=MAX_ATTEMPTS {
        match within(events.create(&PostParams::default(), event)).await {
            Ok(_) => return,
            // An attempt that got no answer has created it.
            Err(error) if error.code() == Some(409) => return,
            // The namespace is being deleted, or Events are not allowed there: a retry would fail as well.
            Err(error) if error.is_refused() || attempt == MAX_ATTEMPTS => {
                let outcome = if error.is_refused() { "refused" } else { "not sent" };
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    object,
                    namespace,
                    reason = event.reason,
                    "an Event was {outcome}"
                );
                break;
            }
            Err(_) => tokio::time::sleep(Duration::from_secs(attempt)).await,
        }
    }
    with.metrics.failed("event_dropped");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_an_event_fits_for_every_name_of_an_object() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let suffix = ".18fae27693b40000";
        assert_eq!(event_name("knuth", now), format!("knuth{suffix}"));
        let longest = "a".repeat(MAX_NAME);
        let fits = "a".repeat(MAX_NAME - suffix.len());
        assert_eq!(event_name(&longest, now), format!("{fits}{suffix}"));
        // The cut is after "-" or ".".
        for separator in ["-", "."] {
            let start = "a".repeat(MAX_NAME - suffix.len() - 1);
            let name = format!("{start}{separator}{}", "b".repeat(suffix.len()));
            assert_eq!(event_name(&name, now), format!("{start}{suffix}"));
        }
    }
}
