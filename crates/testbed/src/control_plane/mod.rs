//! etcd and kube-apiserver on loopback, with TLS, RBAC and admission as in a real cluster.
//!
//! There are no controllers: deleted namespaces stay, and the roles that Kubernetes aggregates are empty.

mod access;
mod certificates;
mod copies;
mod crds;
mod kubeconfig;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use crate::ports::Port;
use crate::process::{Child, Spec};
use crate::scratch::{Scratch, create_passable, write_private};
use crate::toolchain::Toolchain;
use crate::wait;
pub use access::chart_rules;
use certificates::Certificates;

/// 3.4 s on an idle machine; tests of several crates start theirs at once.
const READY_LIMIT: Duration = Duration::from_secs(90);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A control plane. Dropping it ends it at once.
#[derive(Debug)]
pub struct ControlPlane {
    // Fields are dropped in this order: first the processes, then their files.
    api_server: Child,
    etcd: Child,
    port: Port,
    etcd_ports: [Port; 2],
    certificates: Certificates,
    admin_token: String,
    toolchain: Toolchain,
    folder: PathBuf,
    _scratch: Option<Scratch>,
}

impl ControlPlane {
    /// A fresh one with its state in a temporary folder, with the project's CRDs installed.
    pub async fn start() -> Result<Self> {
        let scratch = Scratch::new("control-plane")?;
        Self::launch(scratch.path().to_owned(), Some(scratch)).await
    }

    /// One with its state in `folder`, which may hold the state of an earlier run.
    pub async fn start_in(folder: &Path) -> Result<Self> {
        create_passable(folder)?;
        Self::launch(folder.to_owned(), None).await
    }

    /// The one that all tests of this process share; each uses a namespace of its own ([`ControlPlane::namespace`]).
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: tokio::sync::OnceCell<ControlPlane> = tokio::sync::OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    async fn launch(folder: PathBuf, scratch: Option<Scratch>) -> Result<Self> {
        let toolchain = Toolchain::ready().await?;
        let certificates = Certificates::in_folder(&folder.join("certificates"))?;
        let admin_token = uuid::Uuid::new_v4().to_string();
        let tokens = folder.join("tokens.csv");
        write_private(&tokens, &format!("{admin_token},admin,admin,system:masters\n"))?;

        let (port, client, peer) = (Port::reserve()?, Port::reserve()?, Port::reserve()?);
        let store = format!("http://127.0.0.1:{}", client.number());
        let etcd = Child::spawn(etcd(&toolchain, &folder, &store, peer.number()))?;
        let api_server = Child::spawn(kube_apiserver(
            &toolchain,
            &folder,
            &store,
            port.number(),
            &certificates,
            &tokens,
        ))?;
        let plane = Self {
            api_server,
            etcd,
            port,
            etcd_ports: [client, peer],
            certificates,
            admin_token,
            toolchain,
            folder,
            _scratch: scratch,
        };
        kubeconfig::write(
            &plane.admin_kubeconfig(),
            &plane.url(),
            plane.certificates.ca(),
            "default",
            &plane.admin_token,
        )?;
        plane.ready().await?;
        plane.install_crds().await?;
        Ok(plane)
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port.number())
    }

    /// The API server's port on loopback.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The kubeconfig of a user in `system:masters`.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// A new client with the admin's rights. Each belongs to the runtime it is made on.
    pub async fn client(&self) -> Result<Client> {
        client(&self.admin_kubeconfig()).await
    }

    /// A kubectl that fits this API server.
    pub fn kubectl(&self) -> &Path {
        &self.toolchain.kubectl
    }

    /// The API server's process.
    pub fn api_server(&self) -> &Child {
        &self.api_server
    }

    /// etcd's process.
    pub fn etcd(&self) -> &Child {
        &self.etcd
    }

    /// Starts the API server again after its process has ended, on the same port, and waits until it serves.
    pub async fn start_api_server(&self) -> Result<()> {
        self.api_server.start_again()?;
        self.ready().await?;
        self.serving_crds().await
    }

    /// Starts etcd again after its process has ended, with the same data.
    pub async fn start_etcd(&self) -> Result<()> {
        self.etcd.start_again()?;
        self.ready().await
    }

    /// Stops both in an orderly way.
    pub async fn stop(&self) -> Result<()> {
        self.api_server.terminate(STOP_LIMIT).await?;
        self.etcd.terminate(STOP_LIMIT).await?;
        Ok(())
    }

    async fn ready(&self) -> Result<()> {
        let client = self.client().await?;
        let outcome = wait::until("Kubernetes API server ready", READY_LIMIT, async || {
            anyhow::ensure!(self.etcd.is_running(), "etcd ended\n{}", self.etcd.log_tail());
            anyhow::ensure!(self.api_server.is_running(), "kube-apiserver ended");
            let request = http::Request::get("/readyz").body(Vec::new())?;
            Ok(client
                .request_text(request)
                .await
                .ok()
                .filter(|answer| answer == "ok")
                .map(drop))
        })
        .await;
        outcome.with_context(|| self.api_server.log_tail())
    }
}

/// A client with the rights of a kubeconfig file.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn etcd(toolchain: &Toolchain, folder: &Path, store: &str, peer: u16) -> Spec {
    let peer = format!("http://127.0.0.1:{peer}");
    Spec::new(&toolchain.etcd, folder.join("etcd.log"))
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .arg(format!("--listen-client-urls={store}"))
        .arg(format!("--advertise-client-urls={store}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"))
        // A single killed process loses nothing without it, and tests write a lot.
        .args(["--unsafe-no-fsync", "--log-level=warn"])
}

fn kube_apiserver(
    toolchain: &Toolchain,
    folder: &Path,
    store: &str,
    port: u16,
    certificates: &Certificates,
    tokens: &Path,
) -> Spec {
    let flag = |name: &str, file: &Path| format!("--{name}={}", file.display());
    Spec::new(&toolchain.kube_apiserver, folder.join("kube-apiserver.log"))
        .arg(format!("--etcd-servers={store}"))
        .arg(format!("--secure-port={port}"))
        .args([
            "--bind-address=127.0.0.1",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
        ])
        .arg(flag("cert-dir", &folder.join("certificates")))
        .arg(flag("tls-cert-file", certificates.server()))
        .arg(flag("tls-private-key-file", certificates.server_key()))
        .arg(flag(
            "service-account-key-file",
            certificates.account_public_key(),
        ))
        .arg(flag(
            "service-account-signing-key-file",
            certificates.account_key(),
        ))
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(flag("token-auth-file", tokens))
        // It would wait for a `default` ServiceAccount in each namespace, which a controller makes.
        .arg("--disable-admission-plugins=ServiceAccount")
        // Nothing reaches this server through the `kubernetes` Service.
        .arg("--endpoint-reconciler-type=none")
}
