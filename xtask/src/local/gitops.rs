//! Flux next to the system: what is committed to a repository on this machine is applied.

use std::fs;

use anyhow::Result;
use flux::{Flux, NAMESPACE};
use serde_json::json;
use testbed::Stack;

/// The first search in the repository.
const EXAMPLE: &str = include_str!("../../../examples/arxivquery.yaml");

/// Starts Flux with a repository that has one search, and lets it sync all of the repository.
pub(super) async fn start(stack: &Stack) -> Result<Flux> {
    let folder = stack.folder().join("flux");
    let flux = Flux::start(stack.control_plane(), &folder).await?;
    fs::write(flux.repository.files().join("arxivquery.yaml"), EXAMPLE)?;
    flux.repository.commit("one search")?;
    let metadata = json!({"name": "searches", "namespace": NAMESPACE});
    let source = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": metadata,
        "spec": {"interval": "10s", "url": flux.repository.url()?.as_str(), "ref": {"branch": "main"}},
    });
    let phases = json!({
        "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivQuery",
        "inProgress": "status.phase in ['Pending', 'Running']",
        "current": "status.phase in ['Succeeded', 'Suspended']",
        "failed": "status.phase == 'Failed'",
    });
    let kustomization = json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": metadata,
        "spec": {
            "interval": "1m", "retryInterval": "10s", "timeout": "5m", "path": "./", "prune": true, "wait": true,
            "targetNamespace": stack.namespace(), "healthCheckExprs": [phases],
            "sourceRef": {"kind": "GitRepository", "name": "searches"},
        },
    });
    let manifests = format!("{source}\n---\n{kustomization}\n");
    flux::apply(stack.control_plane(), &folder, &manifests).await?;
    Ok(flux)
}
