//! Objects whose callers were told that there is none, though nobody knows. An error answered is final, so they go as
//! soon as Kubernetes answers again.

use std::time::Duration;

use crd::ArxivQuery;
use kube::{Api, Error, api::DeleteParams};
use tokio::sync::mpsc;

/// Names kept while Kubernetes is away: at some hundred bytes each about a megabyte.
const MAX_NAMES: usize = 10_000;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(2);

/// Where to put names of objects that must not be.
#[derive(Clone)]
pub(crate) struct Abandoned(mpsc::Sender<String>);

impl Abandoned {
    /// The other end is for [`remove_all`].
    pub(crate) fn new() -> (Self, mpsc::Receiver<String>) {
        let (sender, receiver) = mpsc::channel(MAX_NAMES);
        (Self(sender), receiver)
    }

    pub(crate) fn remove_later(&self, name: &str) {
        if self.0.try_send(name.to_owned()).is_err() {
            tracing::error!(
                name,
                "too many objects are to be removed; this one may run though its caller was told 503"
            );
        }
    }
}

/// Removes one after the other, each until Kubernetes has answered.
pub(crate) async fn remove_all(api: Api<ArxivQuery>, mut names: mpsc::Receiver<String>) {
    while let Some(name) = names.recv().await {
        loop {
            let params = DeleteParams::default();
            match tokio::time::timeout(REQUEST_TIMEOUT, api.delete(&name, &params)).await {
                Ok(Ok(_)) => {
                    service::notice!(
                        name,
                        "removed an object whose caller was told that it was not accepted"
                    );
                    break;
                }
                Ok(Err(Error::Api(status))) if status.code == 404 => break,
                Ok(Err(_)) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}
