//! Orphans: objects that may exist although their callers got an error. The error is final for the caller, so the objects
//! are deleted as soon as Kubernetes responds again.

use std::time::Duration;

use cluster::within;
use crd::ArxivQuery;
use kube::{Api, api::DeleteParams};
use tokio::sync::mpsc;

/// Names kept while Kubernetes is unavailable: at some hundred bytes each about a megabyte.
const MAX_NAMES: usize = 10_000;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(2);

/// The queue of the names of objects to be deleted.
#[derive(Clone)]
pub(crate) struct OrphanQueue(mpsc::Sender<String>);

impl OrphanQueue {
    /// The other end is for [`delete_all`].
    pub(crate) fn new() -> (Self, mpsc::Receiver<String>) {
        let (sender, receiver) = mpsc::channel(MAX_NAMES);
        (Self(sender), receiver)
    }

    pub(crate) fn schedule_delete(&self, name: &str) {
        if self.0.try_send(name.to_owned()).is_err() {
            tracing::error!(
                name,
                "the orphan queue is full: this object may run although its caller got a 503"
            );
        }
    }
}

/// Deletes one after the other, each until Kubernetes has responded.
pub(crate) async fn delete_all(api: Api<ArxivQuery>, mut names: mpsc::Receiver<String>) {
    while let Some(name) = names.recv().await {
        loop {
            let params = DeleteParams::default();
            match within(REQUEST_TIMEOUT, api.delete(&name, &params)).await {
                Ok(_) => {
                    service::notice!(
                        name,
                        "deleted an object whose caller got the response that it was not accepted"
                    );
                    break;
                }
                Err(error) if error.code() == Some(404) => break,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}
