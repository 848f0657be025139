//! The programs of a node: built from pinned Go modules, or installed from Debian packages.

use std::path::PathBuf;

use anyhow::Result;
use testbed::control_plane::KUBERNETES_VERSION;
use testbed::tools::GoTools;
use testbed::tools::packages;

use crate::addons;

const KUBERNETES: GoTools = GoTools {
    name: "node",
    build_time: "about a minute after the control plane",
    go_mod: include_str!("../../go/kubernetes/go.mod"),
    go_sum: include_str!("../../go/kubernetes/go.sum"),
    link_flags: KUBERNETES_VERSION,
    programs: &[
        ("kube-controller-manager", "kube-controller-manager"),
        ("kube-proxy", "kube-proxy"),
        ("kube-scheduler", "kube-scheduler"),
        ("kubelet", "kubelet"),
    ],
    ..GoTools::DEFAULT
};

const CONTAINERD: GoTools = GoTools {
    name: "containerd",
    build_time: "about a minute",
    go_mod: include_str!("../../go/containerd/go.mod"),
    go_sum: include_str!("../../go/containerd/go.sum"),
    programs: &[
        ("containerd", "containerd"),
        ("containerd-shim-runc-v2", "containerd-shim-runc-v2"),
        ("ctr", "ctr"),
    ],
    ..GoTools::DEFAULT
};

const RUNC: GoTools = GoTools {
    name: "runc",
    build_time: "a few seconds",
    go_mod: include_str!("../../go/runc/go.mod"),
    go_sum: include_str!("../../go/runc/go.sum"),
    cgo: true,
    tags: "seccomp",
    programs: &[("runc", "runc")],
    ..GoTools::DEFAULT
};

/// Debian packages, each with a file that shows whether it is installed.
const PACKAGES: [(&str, &str); 5] = [
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/include/seccomp.h", "libseccomp-dev"),
    ("/usr/sbin/nft", "nftables"),
    ("/usr/sbin/conntrack", "conntrack"),
];

/// Folders with the programs.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) kubernetes: PathBuf,
    pub(crate) containerd: PathBuf,
    pub(crate) runc: PathBuf,
    pub(crate) addons: PathBuf,
}

impl Programs {
    /// Finds them, or builds and installs missing ones. Blocks, the first time for minutes.
    pub(crate) fn ready() -> Result<Self> {
        packages::debian(&PACKAGES, "about half a minute")?;
        Ok(Self {
            kubernetes: KUBERNETES.ready()?,
            containerd: CONTAINERD.ready()?,
            runc: RUNC.ready()?,
            addons: addons::programs()?,
        })
    }
}
