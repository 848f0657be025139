//! Events about ArxivQuery objects. A task sends them from a bounded queue, so that no reconciliation waits
//! for them; an Event that does not fit into the queue, or fails several times, is dropped and counted.

use std::time::Duration;

use crd::{ArxivQuery, Reason};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

use crate::process::{kubernetes::within, metrics::Metrics};

/// An Event has about 1 kB. More are queued only while Kubernetes is unavailable, and are out of date by
/// then.
const QUEUE_LENGTH: usize = 512;
/// How often an Event is sent.
const MAX_ATTEMPTS: u32 = 3;
/// Most characters of a note; Kubernetes takes 1 kB, and a character may have four bytes.
const MAX_NOTE: usize = 250;

/// Queues Events.
#[derive(Clone)]
pub(crate) struct Events {
    queue: Sender<(Event, ObjectReference)>,
    metrics: Metrics,
}

/// Sends the queued Events.
pub(crate) struct Publisher {
    queue: Receiver<(Event, ObjectReference)>,
    client: Client,
    reporter: Reporter,
    metrics: Metrics,
}

/// The two ends of the queue of Events.
pub(crate) fn events(client: Client, metrics: Metrics) -> (Events, Publisher) {
    let (sender, receiver) = channel(QUEUE_LENGTH);
    let reporter = Reporter::from("arxiv-operator");
    (
        Events {
            queue: sender,
            metrics: metrics.clone(),
        },
        Publisher {
            queue: receiver,
            client,
            reporter,
            metrics,
        },
    )
}

impl Events {
    /// Queues an Event about the object. `action` and `reason` are in `CamelCase`, `note` is for people.
    pub(crate) fn send(
        &self,
        object: &ArxivQuery,
        type_: EventType,
        action: &str,
        reason: Reason,
        note: &str,
    ) {
        let event = Event {
            type_,
            reason: reason.as_str().to_owned(),
            note: Some(note.chars().take(MAX_NOTE).collect()),
            action: action.to_owned(),
            secondary: None,
        };
        if self.queue.try_send((event, object.object_ref(&()))).is_err() {
            self.metrics.failed("event_dropped");
        }
    }
}

impl Publisher {
    /// Sends Events until it is stopped, then those that are still queued.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while let Some(Some((event, object))) = stop.run_until_cancelled(self.queue.recv()).await {
            self.publish(&event, &object).await;
        }
        while let Ok((event, object)) = self.queue.try_recv() {
            self.publish(&event, &object).await;
        }
    }

    async fn publish(&self, event: &Event, object: &ObjectReference) {
        for attempt in 1..=MAX_ATTEMPTS {
            // A new recorder each time: its cache, which groups equal Events, would keep each of ours for
            // minutes, and ours happen once.
            let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
            match within(recorder.publish(event, object)).await {
                Ok(()) => return,
                // The namespace is being deleted, or Events are not allowed there: a retry would fail as
                // well.
                Err(error) if error.is_refused() => {
                    tracing::debug!(reason = event.reason, "an Event was refused: {error}");
                    break;
                }
                Err(error) if attempt == MAX_ATTEMPTS => {
                    tracing::debug!(reason = event.reason, "an Event was not sent: {error}");
                }
                Err(_) => tokio::time::sleep(Duration::from_secs(u64::from(attempt))).await,
            }
        }
        self.metrics.failed("event_dropped");
    }
}
