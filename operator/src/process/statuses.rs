//! Writes of statuses, each for exactly the object that was read.

use std::fmt::Debug;

use cluster::Revisions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Resource,
    api::{Patch, PatchParams, ValidationDirective},
    core::Request,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    kubernetes::{CallError, within},
    metrics::Metrics,
};

/// The field manager of statuses in Kubernetes.
pub(crate) const FIELD_MANAGER: &str = "arxiv-operator";

/// Whether the object is still as it was read.
pub(crate) async fn is_unchanged<K>(api: &Api<K>, read: &ObjectMeta) -> Result<bool, CallError>
where
    K: Clone + Debug + DeserializeOwned,
{
    let now = within(api.get_metadata_opt(read.name.as_deref().unwrap_or_default())).await?;
    Ok(now.is_some_and(|now| {
        now.metadata.uid == read.uid && now.metadata.resource_version == read.resource_version
    }))
}

/// A status to apply, as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Applied<'a, S> {
    api_version: &'a str,
    kind: &'a str,
    metadata: AppliedTo<'a>,
    status: &'a S,
}

/// The object that has to be there. Without its version, a late write would change a new object of the same name: the uid alone is
/// not checked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppliedTo<'a> {
    name: &'a str,
    uid: Option<&'a str>,
    resource_version: Option<&'a str>,
}

/// What is read of the answer to a write, which is the whole object.
#[derive(Deserialize)]
struct Written {
    metadata: WrittenMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenMetadata {
    resource_version: Option<String>,
}

/// Applies the whole status to the object as it was read; whether it was written (see [`counted`]).
pub(crate) async fn apply<K>(
    api: Api<K>,
    read: &ObjectMeta,
    status: &impl Serialize,
    (metrics, revisions): (&Metrics, &Revisions),
) -> Result<bool, CallError>
where
    K: Resource<DynamicType = ()>,
{
    let name = read.name.as_deref().unwrap_or_default();
    let patch = Patch::Apply(Applied {
        api_version: &K::api_version(&()),
        kind: &K::kind(&()),
        metadata: AppliedTo {
            name,
            uid: read.uid.as_deref(),
            resource_version: read.resource_version.as_deref(),
        },
        status,
    });
    let parameters = PatchParams {
        // Without a second parse of the patch, which finds duplicate fields. The schema holds in any case.
        field_validation: Some(ValidationDirective::Ignore),
        ..PatchParams::apply(FIELD_MANAGER).force()
    };
    let request = Request::new(api.resource_url()).patch_subresource("status", name, &parameters, &patch);
    let highest = revisions.highest();
    let written = within(async {
        let request = request.map_err(kube::Error::BuildRequest)?;
        api.into_client().request::<Written>(request).await
    });
    let written = written.await;
    if let Ok(Written { metadata }) = &written {
        let (before, after) = (&read.resource_version, &metadata.resource_version);
        revisions.check_write(highest, before.as_deref(), after.as_deref());
    }
    counted(written, metrics)
}

/// Counts what came of a write; whether the object has the status. It has not if it has changed or is gone. An error if
/// Kubernetes refuses the status or does not answer: to be tried again, as a policy or a missing right may be repaired.
pub(crate) fn counted<T>(written: Result<T, CallError>, metrics: &Metrics) -> Result<bool, CallError> {
    let Err(error) = written else {
        metrics.wrote_status("written");
        return Ok(true);
    };
    let (outcome, is_outdated) = match error.code() {
        Some(409) => ("conflict", true),
        Some(404) => ("gone", true),
        _ if error.is_refused() => ("refused", false),
        _ => ("error", false),
    };
    metrics.wrote_status(outcome);
    if is_outdated { Ok(false) } else { Err(error) }
}
