//! Events about ArxivQuery objects. A task sends them from a bounded queue, so that no reconciliation waits
//! for them; an Event that does not fit into the queue, or fails several times, is dropped and counted.

use std::{sync::Arc, time::Duration};

use crd::{ArxivQuery, Reason};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Resource,
    runtime::events::{Event, EventType, Recorder},
};
use tokio::sync::mpsc::{Sender, channel};
use tokio_util::sync::CancellationToken;

use crate::process::{dependencies::Dependencies, kubernetes::within};

/// An Event has about 1 kB. More are queued only while Kubernetes is unavailable, and are out of date by
/// then.
const QUEUE_LENGTH: usize = 512;
/// How often an Event is sent.
const MAX_ATTEMPTS: u64 = 3;
/// Most characters of a note; Kubernetes takes 1 kB, and a character may have four bytes.
const MAX_NOTE: usize = 250;

/// Queues Events.
pub(crate) struct Events {
    queue: Sender<(Event, ObjectReference)>,
    with: Arc<Dependencies>,
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
        while let Some(Some((event, object))) = stop.run_until_cancelled(queued.recv()).await {
            publish(&sender, &event, &object).await;
        }
        while let Ok((event, object)) = queued.try_recv() {
            publish(&sender, &event, &object).await;
        }
    };
    (Events { queue, with }, task)
}

impl Events {
    /// Queues an Event about the object; `note` is for people.
    pub(crate) fn send(&self, object: &ArxivQuery, reason: Reason, note: &str) {
        let (type_, action) = if reason == Reason::Succeeded {
            (EventType::Normal, "Record")
        } else if reason == Reason::Suspended {
            (EventType::Normal, "Suspend")
        } else {
            (EventType::Warning, "Fetch")
        };
        let event = Event {
            type_,
            reason: reason.as_str().to_owned(),
            note: Some(note.chars().take(MAX_NOTE).collect()),
            action: action.to_owned(),
            secondary: None,
        };
        if self.queue.try_send((event, object.object_ref(&()))).is_err() {
            self.with.metrics.failed("event_dropped");
        }
    }
}

async fn publish(with: &Dependencies, event: &Event, object: &ObjectReference) {
    for attempt in 1..=MAX_ATTEMPTS {
        // A new recorder each time: its cache, which groups equal Events, would keep each of ours for
        // minutes, and ours happen once.
        let recorder = Recorder::new(with.client.clone(), "arxiv-operator".into());
        match within(recorder.publish(event, object)).await {
            Ok(()) => return,
            // The namespace is being deleted, or Events are not allowed there: a retry would fail as well.
            Err(error) if error.is_refused() => {
                tracing::debug!(reason = event.reason, "an Event was refused: {error}");
                break;
            }
            Err(error) if attempt == MAX_ATTEMPTS => {
                tracing::debug!(reason = event.reason, "an Event was not sent: {error}");
            }
            Err(_) => tokio::time::sleep(Duration::from_secs(attempt)).await,
        }
    }
    with.metrics.failed("event_dropped");
}
