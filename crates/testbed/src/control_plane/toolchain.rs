//! The programs of the control plane: from `KUBEBUILDER_ASSETS`, or from the cache, or built from Go modules.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::tools::GoTools;

/// Linker flags that set the version of the pinned Kubernetes. Without them the API server reports a version that makes helm
/// refuse charts.
pub const KUBERNETES_VERSION: &str = "-X k8s.io/component-base/version.gitVersion=v1.37.2 \
                 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37";

/// Kubernetes and etcd, pinned in `controlplane/go.mod`.
const CONTROL_PLANE: GoTools = GoTools {
    name: "controlplane",
    build_time: "about five minutes",
    go_mod: include_str!("../../controlplane/go.mod"),
    go_sum: include_str!("../../controlplane/go.sum"),
    link_flags: KUBERNETES_VERSION,
    programs: &[
        ("server", "etcd"),
        ("kube-apiserver", "kube-apiserver"),
        ("kubectl", "kubectl"),
    ],
    ..GoTools::DEFAULT
};

/// Paths of the programs.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The store.
    pub etcd: PathBuf,
    /// The Kubernetes API server.
    pub kube_apiserver: PathBuf,
    /// The command line client.
    pub kubectl: PathBuf,
}

impl Toolchain {
    /// Finds the programs, or builds them: about five minutes on two cores, once.
    pub async fn ready() -> Result<Self> {
        tokio::task::spawn_blocking(Self::find_or_build).await?
    }

    fn find_or_build() -> Result<Self> {
        let folder = if let Some(folder) = std::env::var_os("KUBEBUILDER_ASSETS") {
            let folder = PathBuf::from(folder);
            let complete = CONTROL_PLANE.inside(&folder);
            let shown = folder.display();
            ensure!(
                complete,
                "KUBEBUILDER_ASSETS={shown} lacks etcd, kube-apiserver or kubectl"
            );
            folder
        } else {
            CONTROL_PLANE.ready()?
        };
        Ok(Self {
            etcd: folder.join("etcd"),
            kube_apiserver: folder.join("kube-apiserver"),
            kubectl: folder.join("kubectl"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_flag_equals_pinned_version() {
        let pinned = CONTROL_PLANE
            .go_mod
            .lines()
            .map(str::trim)
            .find_map(|line| line.strip_prefix("k8s.io/kubernetes "))
            // `// indirect` may follow.
            .and_then(|rest| rest.split_whitespace().next());
        let stamp = format!("gitVersion={} ", pinned.expect("a requirement"));
        assert!(CONTROL_PLANE.link_flags.contains(&stamp), "{stamp}");
    }
}
