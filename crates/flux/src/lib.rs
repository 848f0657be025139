//! Real Flux on the testbed: source-controller and kustomize-controller as processes next to the control plane, and the
//! Git repository that they sync from, served on loopback. For development only.

mod repository;
mod toolchain;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::control_plane::ControlPlane;
use testbed::net::Port;
use testbed::process::{Child, Spec};
use testbed::{http_get, wait};
use url::Url;

pub use repository::Repository;
use toolchain::Toolchain;

/// The namespace of Flux's own objects, as in its documentation.
pub const NAMESPACE: &str = "flux-system";

/// The start of both controllers on a busy machine.
const READY_LIMIT: Duration = Duration::from_mins(2);
/// `kubectl apply` of a few objects.
const APPLY_LIMIT: Duration = Duration::from_mins(1);

/// Flux with its repository. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Flux {
    // Fields are dropped in this order: dependents first.
    kustomize_controller: Child,
    source_controller: Child,
    /// What is synced.
    pub repository: Repository,
    ports: [Port; 3],
}

impl Flux {
    /// Starts Flux with an empty repository; state and logs are kept in `folder`.
    pub async fn start(plane: &ControlPlane, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let toolchain = Toolchain::ready().await?;
        for path in &toolchain.definitions {
            let text = fs::read_to_string(path)?;
            let definition = serde_saphyr::from_str(&text).with_context(|| path.display().to_string())?;
            plane.install_crd(&definition).await?;
        }
        plane.ensure_namespace(NAMESPACE).await?;
        let ports = [Port::reserve()?, Port::reserve()?, Port::reserve()?];
        let [storage, source_health, kustomize_health] = &ports;
        let local = |port: &Port| format!("127.0.0.1:{}", port.number());
        let controller = |program: &Path, name: &str, health: &Port| {
            Spec::new(program, folder.join(format!("{name}.log")))
                .env("KUBECONFIG", plane.admin_kubeconfig())
                .env("RUNTIME_NAMESPACE", NAMESPACE)
                .env("HOME", folder)
                .env("TMPDIR", folder)
                .arg("--metrics-addr=0")
                .arg(format!("--health-addr={}", local(health)))
        };
        let artifacts = folder.join("artifacts");
        fs::create_dir_all(&artifacts)?;
        let source = controller(&toolchain.source_controller, "source-controller", source_health)
            .arg(format!("--storage-path={}", artifacts.display()))
            .arg(format!("--storage-addr={}", local(storage)))
            .arg(format!("--storage-adv-addr={}", local(storage)));
        let kustomize = controller(
            &toolchain.kustomize_controller,
            "kustomize-controller",
            kustomize_health,
        );
        let flux = Self {
            repository: Repository::create(folder)?,
            source_controller: Child::spawn(source)?,
            kustomize_controller: Child::spawn(kustomize)?,
            ports,
        };
        let [_, source_health, kustomize_health] = &flux.ports;
        ready(&flux.source_controller, source_health).await?;
        ready(&flux.kustomize_controller, kustomize_health).await?;
        Ok(flux)
    }

    /// The last log lines of both controllers.
    pub fn log_tail(&self) -> String {
        let controllers = [&self.source_controller, &self.kustomize_controller];
        controllers.map(Child::log_tail).join("\n")
    }
}

/// Waits until a controller reports that it is ready.
async fn ready(controller: &Child, health: &Port) -> Result<()> {
    let url: Url = format!("http://127.0.0.1:{}/readyz", health.number()).parse()?;
    let waited = wait::until("a controller of Flux", READY_LIMIT, async || {
        ensure!(controller.is_running(), "it has ended");
        let answer = http_get(url.clone()).await;
        Ok(answer.ok().filter(|(status, _)| *status == 200).map(drop))
    });
    waited.await.with_context(|| controller.log_tail())
}

/// Applies manifests with kubectl, as the administrator.
pub async fn apply(plane: &ControlPlane, folder: &Path, manifests: &str) -> Result<()> {
    let file = folder.join("applied.yaml");
    fs::write(&file, manifests)?;
    let spec = Spec::new(plane.kubectl(), folder.join("kubectl.log"))
        .env("KUBECONFIG", plane.admin_kubeconfig())
        .args(["apply", "--server-side", "-f"])
        .arg(file.as_os_str());
    spec.run(APPLY_LIMIT).await
}
