//! A cluster in Docker, by the `kind`, `docker` and `kubectl` of whoever runs this.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testbed::process::{Child, find_program};
use testbed::scratch::Scratch;

use crate::addons;

/// Another one than that of the README, which may be running.
const NAME: &str = "arxiv-e2e";
/// As kind names the only node of that cluster.
pub(super) const NODE: &str = "arxiv-e2e-control-plane";
/// Where kind-config.yaml lets the machine in.
pub(super) const DOOR_ON_HOST: u16 = 8080;
/// A first run also pulls the node's image.
const CREATE_LIMIT: Duration = Duration::from_mins(15);
const LIMIT: Duration = Duration::from_mins(3);

/// The running cluster. Dropping it deletes it.
#[derive(Debug)]
pub struct Kind {
    // Fields are dropped in this order: what depends on others first.
    _metrics: Child,
    cluster: Created,
    kubectl: PathBuf,
    docker: PathBuf,
    host: Ipv4Addr,
    scratch: Scratch,
}

/// Deleted when dropped.
#[derive(Debug)]
struct Created {
    kind: PathBuf,
}

impl Kind {
    /// What it takes and is not on `PATH`.
    pub fn missing() -> Option<String> {
        let missing: Vec<&str> = ["docker", "kind", "kubectl"]
            .into_iter()
            .filter(|program| find_program(program).is_none())
            .collect();
        (!missing.is_empty()).then(|| {
            format!(
                "{} not found on PATH. `--kind` needs Docker (https://docs.docker.com/engine/install/), kind \
                 (https://kind.sigs.k8s.io) and kubectl; without `--kind` none of them is needed",
                missing.join(", ")
            )
        })
    }

    pub(super) async fn start() -> Result<Self> {
        let [docker, kind, kubectl] =
            ["docker", "kind", "kubectl"].map(|name| find_program(name).context(name));
        let (docker, kubectl, cluster) = (docker?, kubectl?, Created { kind: kind? });
        let scratch = Scratch::new("kind")?;
        let kubeconfig = file(scratch.path());
        // One that a run left which was killed.
        cluster.delete()?;
        let config = chart::root().join("kind-config.yaml");
        let arguments = ["create", "cluster", "--name", NAME, "--wait", "3m", "--config"].map(OsStr::new);
        let further = [
            config.as_os_str(),
            "--kubeconfig".as_ref(),
            kubeconfig.as_os_str(),
        ];
        run(&cluster.kind, arguments.into_iter().chain(further), CREATE_LIMIT).await?;
        let host = host(&docker).await?;
        let program = tokio::task::spawn_blocking(addons::programs).await??;
        let metrics = Child::spawn(addons::metrics(&program, scratch.path(), &kubeconfig, host))?;
        addons::serve_metrics(&testbed::control_plane::client(&kubeconfig).await?, NODE, host).await?;
        Ok(Self {
            _metrics: metrics,
            cluster,
            kubectl,
            docker,
            host,
            scratch,
        })
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        file(self.folder())
    }

    pub(super) fn kubectl(&self) -> &Path {
        &self.kubectl
    }

    pub(super) fn folder(&self) -> &Path {
        self.scratch.path()
    }

    pub(super) fn host(&self) -> Ipv4Addr {
        self.host
    }

    pub(super) async fn load(&self, archive: &Path) -> Result<()> {
        let arguments = ["load", "image-archive", "--name", NAME].map(OsStr::new);
        let arguments = arguments.into_iter().chain([archive.as_os_str()]);
        run(&self.cluster.kind, arguments, LIMIT).await.map(drop)
    }

    pub(super) async fn crash(&self, id: &str) -> Result<()> {
        let arguments = [
            "exec", NODE, "ctr", "-n", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", id,
        ];
        run(&self.docker, arguments, LIMIT).await.map(drop)
    }
}

impl Created {
    fn delete(&self) -> Result<()> {
        let status = Command::new(&self.kind)
            .args(["delete", "cluster", "--name", NAME])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            bail!("kind delete cluster --name {NAME}: {status} (is Docker running?)");
        }
        Ok(())
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        // A later run deletes what cannot be deleted now.
        let _ = self.delete();
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("kubeconfig")
}

/// The machine's address in the network of kind's nodes.
async fn host(docker: &Path) -> Result<Ipv4Addr> {
    let template = "{{range .IPAM.Config}}{{.Gateway}} {{end}}";
    let told = run(
        docker,
        ["network", "inspect", "kind", "--format", template],
        LIMIT,
    )
    .await?;
    let address = first_address(&told).with_context(|| format!("no gateway in {told:?}"))?;
    let bound = std::net::TcpListener::bind((address, 0));
    bound.with_context(|| {
        format!(
            "{address}, where pods would look for databases, is not this machine's: Docker in a virtual machine (Docker \
             Desktop) cannot be used here"
        )
    })?;
    Ok(address)
}

/// The first that is of IPv4; the network has one of each family.
fn first_address(told: &str) -> Option<Ipv4Addr> {
    told.split_whitespace().find_map(|word| word.parse().ok())
}

async fn run<A: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = A>,
    limit: Duration,
) -> Result<String> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).kill_on_drop(true).stdin(Stdio::null());
    let shown = format!("{:?}", command.as_std());
    let output = tokio::time::timeout(limit, command.output())
        .await
        .with_context(|| format!("{shown}: not within {limit:?}"))?
        .with_context(|| shown.clone())?;
    if !output.status.success() {
        bail!("{shown}\n{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_address_is_that_of_ipv4() {
        for (told, address) in [
            ("fc00:f853:ccd:e793::1 172.18.0.1 \n", Some([172, 18, 0, 1])),
            ("172.19.0.1 ", Some([172, 19, 0, 1])),
            ("fc00::1", None),
            ("", None),
        ] {
            assert_eq!(first_address(told), address.map(Ipv4Addr::from), "{told:?}");
        }
    }

    #[test]
    fn the_door_is_the_one_of_the_configuration() {
        let config = chart::read("kind-config.yaml").unwrap();
        let mapping = format!(
            "{{containerPort: {}, hostPort: {DOOR_ON_HOST}, listenAddress: 127.0.0.1}}",
            crate::cluster::DOOR
        );
        assert!(config.contains(&mapping), "{config}");
        assert_eq!(NODE, format!("{NAME}-control-plane"));
    }
}
