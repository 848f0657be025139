//! etcd and kube-apiserver on loopback, with TLS, RBAC and admission as in a real cluster.
//!
//! There are no controllers: deleted namespaces remain, and Kubernetes' aggregated roles are empty. With controllers and a node
//! (see [`ControlPlane::start_for_node`]) it becomes a complete cluster.

mod access;
mod backup;
mod certificates;
mod copies;
mod crds;
mod kubeconfig;
mod processes;
mod shared;
mod toolchain;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};

use crate::net::Port;
use crate::process::Child;
use crate::temp_dir::{TempDir, create_passable, write_private};

use crate::wait;
pub use access::chart_rules;
pub use backup::EtcdBackup;
use certificates::Certificates;
pub use shared::SHARED;
pub use toolchain::{KUBERNETES_VERSION, Toolchain};

/// 3.4 s on an idle machine; tests of several crates start theirs at once.
const READY_LIMIT: Duration = Duration::from_secs(90);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A control plane. Dropping it ends it at once.
#[derive(Debug)]
pub struct ControlPlane {
    // Fields are dropped in this order: first the processes, then their files.
    processes: Option<Processes>,
    port: u16,
    etcd_port: u16,
    certificates: Certificates,
    toolchain: Toolchain,
    folder: PathBuf,
    _temp_dir: Option<TempDir>,
}

/// What only the process has that started the control plane.
#[derive(Debug)]
struct Processes {
    api_server: Child,
    etcd: Child,
    _ports: [Port; 3],
}

impl ControlPlane {
    /// Starts an empty one with its state in a temporary folder, and installs the project's CRDs.
    pub async fn start() -> Result<Self> {
        let temp_dir = TempDir::in_memory("control-plane")?;
        let plane = Self::launch(temp_dir.path().to_owned(), Some(temp_dir), None).await?;
        plane.install_crds().await?;
        Ok(plane)
    }

    /// Starts one with its state in `folder`, which may contain the state of an earlier run.
    pub async fn start_in(folder: &Path) -> Result<Self> {
        create_passable(folder)?;
        let plane = Self::launch(folder.to_owned(), None, None).await?;
        plane.install_crds().await?;
        Ok(plane)
    }

    /// Starts one for a node at this address and its pods, with its state in `folder`. It also listens on that address, serves
    /// pods through the `kubernetes` Service, and forwards requests to aggregated API servers. The project's CRDs are not
    /// installed.
    pub async fn start_for_node(folder: &Path, address: Ipv4Addr) -> Result<Self> {
        create_passable(folder)?;
        Self::launch(folder.to_owned(), None, Some(address)).await
    }

    async fn launch(folder: PathBuf, temp_dir: Option<TempDir>, node: Option<Ipv4Addr>) -> Result<Self> {
        let toolchain = Toolchain::ready().await?;
        let certificates = Certificates::in_folder(&folder.join("certificates"), node)?;
        let admin_token = uuid::Uuid::new_v4().to_string();
        write_private(
            &processes::tokens(&folder),
            &format!("{admin_token},admin,admin,system:masters\n"),
        )?;
        let (port, client, peer) = (Port::reserve()?, Port::reserve()?, Port::reserve()?);
        let layout = processes::Layout {
            toolchain: &toolchain,
            folder: &folder,
            certificates: &certificates,
            store: format!("http://127.0.0.1:{}", client.number()),
            peer: format!("http://127.0.0.1:{}", peer.number()),
            port: port.number(),
            node,
        };
        let etcd = Child::spawn(layout.etcd())?;
        let api_server = Child::spawn(layout.kube_apiserver())?;
        let plane = Self {
            port: port.number(),
            etcd_port: client.number(),
            processes: Some(Processes {
                api_server,
                etcd,
                _ports: [port, client, peer],
            }),
            certificates,
            toolchain,
            folder,
            _temp_dir: temp_dir,
        };
        kubeconfig::write(
            &plane.admin_kubeconfig(),
            &plane.url(),
            plane.certificates.ca(),
            "default",
            &admin_token,
        )?;
        plane.ready().await?;
        Ok(plane)
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The API server's port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The kubeconfig of a user in `system:masters`.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// A new client with the admin's rights. It belongs to the current runtime.
    pub async fn client(&self) -> Result<Client> {
        client(&self.admin_kubeconfig()).await
    }

    /// The certificate of the authority that signed the API server's.
    pub fn certificate_authority(&self) -> &Path {
        self.certificates.ca()
    }

    /// The key that signs the tokens of `ServiceAccounts`.
    pub fn account_key(&self) -> &Path {
        self.certificates.account_key()
    }

    /// The kubectl of the same version.
    pub fn kubectl(&self) -> &Path {
        &self.toolchain.kubectl
    }

    /// The API server's process.
    ///
    /// # Panics
    ///
    /// When another process started it: see [`ControlPlane::shared`].
    pub fn api_server(&self) -> &Child {
        &self.processes().api_server
    }

    /// etcd's process.
    ///
    /// # Panics
    ///
    /// When another process started it: see [`ControlPlane::shared`].
    pub fn etcd(&self) -> &Child {
        &self.processes().etcd
    }

    /// All who call this stop, freeze or measure a process, which is an error in the test when others use it too.
    #[allow(clippy::expect_used, reason = "an error in the test that calls it")]
    fn processes(&self) -> &Processes {
        let own = self.processes.as_ref();
        own.expect("a control plane that this process started (`own_control_plane`)")
    }

    /// Restarts the API server after its process has ended, on the same port, and waits until it serves.
    pub async fn start_api_server(&self) -> Result<()> {
        self.api_server().start_again()?;
        self.ready().await?;
        self.wait_for_crds().await
    }

    /// Restarts etcd after its process has ended, with the same data.
    pub async fn start_etcd(&self) -> Result<()> {
        self.etcd().start_again()?;
        self.ready().await?;
        // Readiness may be outdated. A GET without a resource version is read from etcd.
        let namespaces: Api<Namespace> = Api::all(self.client().await?);
        wait::until("etcd answering", READY_LIMIT, async || {
            Ok(namespaces.get("default").await.ok().map(drop))
        })
        .await
    }

    /// Stops both in an orderly way.
    pub async fn stop(&self) -> Result<()> {
        self.api_server().terminate(STOP_LIMIT).await?;
        self.etcd().terminate(STOP_LIMIT).await?;
        Ok(())
    }

    async fn ready(&self) -> Result<()> {
        let client = self.client().await?;
        let outcome = wait::until("Kubernetes API server ready", READY_LIMIT, async || {
            anyhow::ensure!(self.etcd().is_running(), "etcd ended\n{}", self.etcd().log_tail());
            anyhow::ensure!(self.api_server().is_running(), "kube-apiserver ended");
            let request = http::Request::get("/readyz").body(Vec::new())?;
            Ok(client
                .request_text(request)
                .await
                .ok()
                .filter(|answer| answer == "ok")
                .map(drop))
        })
        .await;
        outcome.with_context(|| self.api_server().log_tail())
    }
}

/// A client with the rights of a kubeconfig file.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
