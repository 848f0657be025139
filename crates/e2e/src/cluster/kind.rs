//! A cluster in Docker, by the `kind`, `docker` and `kubectl` of whoever runs this.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testbed::TempDir;
use testbed::process::{Child, find_program};

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
    created: Created,
    kubectl: PathBuf,
    host: Ipv4Addr,
    temp_dir: TempDir,
}

/// What Docker runs of it. Deleted when dropped.
#[derive(Debug)]
struct Created {
    kind: PathBuf,
    docker: PathBuf,
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
        let (docker, kind, kubectl) = (docker?, kind?, kubectl?);
        let temp_dir = TempDir::new("kind")?;
        let kubeconfig = file(temp_dir.path());
        let created = Created::create(kind, docker, &kubeconfig).await?;
        let host = created.host().await?;
        let program = tokio::task::spawn_blocking(addons::programs).await??;
        let metrics = Child::spawn(addons::metrics(&program, temp_dir.path(), &kubeconfig, host))?;
        addons::serve_metrics(&testbed::control_plane::client(&kubeconfig).await?, NODE, host).await?;
        Ok(Self {
            _metrics: metrics,
            created,
            kubectl,
            host,
            temp_dir,
        })
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        file(self.folder())
    }

    pub(super) fn kubectl(&self) -> &Path {
        &self.kubectl
    }

    pub(super) fn folder(&self) -> &Path {
        self.temp_dir.path()
    }

    pub(super) fn host(&self) -> Ipv4Addr {
        self.host
    }

    pub(super) async fn load(&self, archive: &Path) -> Result<()> {
        self.created.load(archive).await
    }

    pub(super) async fn crash(&self, id: &str) -> Result<()> {
        self.created.crash(id).await
    }
}

impl Created {
    async fn create(kind: PathBuf, docker: PathBuf, kubeconfig: &Path) -> Result<Self> {
        let created = Self { kind, docker };
        // One that a run left which was killed.
        created.delete()?;
        let config = chart::root().join("kind-config.yaml");
        let arguments = ["create", "cluster", "--name", NAME, "--wait", "3m", "--config"].map(OsStr::new);
        let further = [
            config.as_os_str(),
            "--kubeconfig".as_ref(),
            kubeconfig.as_os_str(),
        ];
        run(&created.kind, arguments.into_iter().chain(further), CREATE_LIMIT).await?;
        Ok(created)
    }

    async fn load(&self, archive: &Path) -> Result<()> {
        let arguments = ["load", "image-archive", "--name", NAME].map(OsStr::new);
        let arguments = arguments.into_iter().chain([archive.as_os_str()]);
        run(&self.kind, arguments, LIMIT).await.map(drop)
    }

    async fn crash(&self, id: &str) -> Result<()> {
        let arguments = [
            "exec", NODE, "ctr", "-n", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", id,
        ];
        run(&self.docker, arguments, LIMIT).await.map(drop)
    }

    /// The machine's address in the network of kind's nodes.
    async fn host(&self) -> Result<Ipv4Addr> {
        let template = "{{range .IPAM.Config}}{{.Gateway}} {{end}}";
        let arguments = ["network", "inspect", "kind", "--format", template];
        let told = run(&self.docker, arguments, LIMIT).await?;
        let address = first_address(&told).with_context(|| format!("no gateway in {told:?}"))?;
        let bound = std::net::TcpListener::bind((address, 0));
        bound.with_context(|| {
            format!(
                "{address}, where pods would look for databases, is not this machine's: Docker in a virtual machine \
                 (Docker Desktop) cannot be used here"
            )
        })?;
        Ok(address)
    }

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
    use std::fs;

    use super::*;

    /// `kind` and `docker` that write down what they are asked, and tell this gateway.
    fn stand_ins(folder: &Path, gateway: &str) -> [PathBuf; 2] {
        let log = folder.join("asked");
        ["kind", "docker"].map(|name| {
            let program = folder.join(name);
            let script = format!(
                "#!/bin/sh\necho {name} \"$@\" >> '{}'\ncase $1 in network) echo '{gateway}';; esac\n",
                log.display()
            );
            // Not by this process: what it starts at the same time would hold the file open, and it could not be run.
            let status = Command::new("sh")
                .args(["-c", r#"printf %s "$1" > "$2" && chmod 755 "$2""#, "sh", &script])
                .arg(&program)
                .status();
            assert!(status.unwrap().success());
            program
        })
    }

    #[tokio::test]
    async fn what_kind_and_docker_are_asked() {
        let temp_dir = TempDir::new("kind-test").unwrap();
        let [kind, docker] = stand_ins(temp_dir.path(), "fc00::1 127.0.0.1 ");
        let kubeconfig = temp_dir.path().join("config");
        let created = Created::create(kind, docker, &kubeconfig).await.unwrap();
        created.load(Path::new("/images/one.tar")).await.unwrap();
        created.crash("0123").await.unwrap();
        assert_eq!(created.host().await.unwrap(), Ipv4Addr::LOCALHOST);
        drop(created);
        let asked = fs::read_to_string(temp_dir.path().join("asked")).unwrap();
        let config = chart::root().join("kind-config.yaml");
        let expected = format!(
            "kind delete cluster --name arxiv-e2e
kind create cluster --name arxiv-e2e --wait 3m --config {} --kubeconfig {}
kind load image-archive --name arxiv-e2e /images/one.tar
docker exec arxiv-e2e-control-plane ctr -n k8s.io tasks kill --signal SIGKILL 0123
docker network inspect kind --format {{{{range .IPAM.Config}}}}{{{{.Gateway}}}} {{{{end}}}}
kind delete cluster --name arxiv-e2e
",
            config.display(),
            kubeconfig.display()
        );
        assert_eq!(asked, expected);
    }

    #[tokio::test]
    async fn docker_in_a_virtual_machine_is_told_of() {
        let temp_dir = TempDir::new("kind-test").unwrap();
        let [kind, docker] = stand_ins(temp_dir.path(), "192.0.2.1 ");
        let error = Created { kind, docker }.host().await.unwrap_err();
        assert!(error.to_string().contains("not this machine's"), "{error:#}");
    }

    #[tokio::test]
    async fn a_program_that_fails_is_quoted() {
        let error = run(Path::new("/bin/sh"), ["-c", "echo no room >&2; exit 3"], LIMIT).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("no room") && error.contains("/bin/sh"), "{error}");
    }

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
