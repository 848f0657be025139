//! Kubeconfig files: one user with a token, one cluster, one context.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::temp_dir::write_private;

/// Writes a file that only its owner may read.
pub(super) fn write(path: &Path, server: &str, ca: &Path, namespace: &str, token: &str) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "user", "namespace": namespace}}],
        "current-context": "testbed",
    });
    write_private(path, &serde_saphyr::to_string(&config)?)
}
