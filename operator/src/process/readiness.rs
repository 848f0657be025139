//! Whether Kubernetes can be used.

use crd::ArxivQuery;
use kube::{Api, api::ListParams};
use service::health::NeedState;

use crate::process::kubernetes::within;

/// Lists one of the objects that this process works on.
pub(crate) async fn kubernetes(queries: Api<ArxivQuery>) -> NeedState {
    let Err(error) = within(queries.list(&ListParams::default().limit(1))).await else {
        return NeedState::Ready;
    };
    let reason = match error.code() {
        Some(404) => {
            "the ArxivQuery resource is not installed; apply what `arxiv-operator crd` prints".to_owned()
        }
        Some(401) => "the credential is refused".to_owned(),
        Some(403) => "listing ArxivQuery objects is not allowed; check the role and its binding".to_owned(),
        Some(code) => format!("the API server answers with status {code}"),
        None => "the API server does not answer".to_owned(),
    };
    NeedState::because(reason, &error)
}
