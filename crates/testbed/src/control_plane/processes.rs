//! How etcd and kube-apiserver are started.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::certificates::Certificates;
use super::toolchain::Toolchain;
use crate::process::Spec;

/// Addresses of Services; the first one is that of `kubernetes` itself.
pub(super) const SERVICE_NETWORK: &str = "10.0.0.0/24";

/// Go's garbage collector runs when the heap has grown five times, not twice: a fifth of the CPU time for some memory, but not for
/// all of the machine's.
const GARBAGE_COLLECTION: [(&str, &str); 2] = [("GOGC", "400"), ("GOMEMLIMIT", "6GiB")];

/// The file of the users' tokens.
pub(super) fn tokens(folder: &Path) -> PathBuf {
    folder.join("tokens.csv")
}

/// The settings that the two processes share.
pub(super) struct Layout<'a> {
    pub(super) toolchain: &'a Toolchain,
    pub(super) folder: &'a Path,
    pub(super) certificates: &'a Certificates,
    /// etcd's URL for clients.
    pub(super) store: String,
    /// etcd's URL for other members.
    pub(super) peer: String,
    /// The API server's port.
    pub(super) port: u16,
    /// The node's address, if there is a node.
    pub(super) node: Option<Ipv4Addr>,
}

impl Layout<'_> {
    pub(super) fn etcd(&self) -> Spec {
        let Self { store, peer, .. } = self;
        Spec::new(&self.toolchain.etcd, self.folder.join("etcd.log"))
            .arg("--data-dir")
            .arg(self.folder.join("etcd"))
            .arg(format!("--listen-client-urls={store}"))
            .arg(format!("--advertise-client-urls={store}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=default={peer}"))
            // The kill of a single process loses nothing without fsync, and tests write a lot.
            .args(["--unsafe-no-fsync", "--log-level=warn"])
            .envs(GARBAGE_COLLECTION)
    }

    pub(super) fn kube_apiserver(&self) -> Spec {
        let files = self.certificates;
        let spec = Spec::new(
            &self.toolchain.kube_apiserver,
            self.folder.join("kube-apiserver.log"),
        )
        .arg(format!("--etcd-servers={}", self.store))
        .arg(format!("--secure-port={}", self.port))
        .arg("--authorization-mode=RBAC")
        .arg(format!("--service-cluster-ip-range={SERVICE_NETWORK}"))
        .arg(flag("cert-dir", &self.folder.join("certificates")))
        .arg(flag("tls-cert-file", files.server()))
        .arg(flag("tls-private-key-file", files.server_key()))
        .arg(flag("service-account-key-file", files.account_public_key()))
        .arg(flag("service-account-signing-key-file", files.account_key()))
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(flag("token-auth-file", &tokens(self.folder)))
        .envs(GARBAGE_COLLECTION);
        match self.node {
            None => spec
                .arg("--bind-address=127.0.0.1")
                // It would wait for a `default` ServiceAccount in each namespace, which a controller creates.
                .arg("--disable-admission-plugins=ServiceAccount")
                // No pod uses the `kubernetes` Service.
                .arg("--endpoint-reconciler-type=none"),
            Some(address) => spec
                .arg("--bind-address=0.0.0.0")
                .arg(format!("--advertise-address={address}"))
                .arg("--allow-privileged")
                // For logs, exec and metrics: the node's name is not in DNS.
                .arg("--kubelet-preferred-address-types=InternalIP")
                // Aggregated API servers (metrics) trust these headers for the caller's identity.
                .arg(flag("requestheader-client-ca-file", files.ca()))
                .arg("--requestheader-allowed-names=front-proxy")
                .arg("--requestheader-username-headers=X-Remote-User")
                .arg("--requestheader-group-headers=X-Remote-Group")
                .arg("--requestheader-extra-headers-prefix=X-Remote-Extra-")
                .arg(flag("proxy-client-cert-file", files.front_proxy()))
                .arg(flag("proxy-client-key-file", files.front_proxy_key()))
                .arg("--enable-aggregator-routing=true"),
        }
    }
}

fn flag(name: &str, file: &Path) -> String {
    format!("--{name}={}", file.display())
}
