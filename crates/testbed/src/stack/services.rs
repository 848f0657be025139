//! Operators and API servers: their settings, and when they are ready.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use url::Url;

use super::binaries::Binaries;
use super::credentials::CredentialFiles;
use super::identities::Accounts;
use super::{Databases, Options};
use crate::control_plane::ControlPlane;
use crate::net::Port;
use crate::net::http_get;
use crate::net::{Proxy, with_port};
use crate::postgres::Postgres;
use crate::process::{Child, Spec};
use crate::temp_dir::write_private;
use crate::wait;

/// A server that a service connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The primary.
    Primary,
    /// Its replica.
    Replica,
    /// The separate server of the `results` table.
    Results,
    /// The Kubernetes API server.
    Kubernetes,
}

/// One operator or API server.
#[derive(Debug)]
pub struct Service {
    name: String,
    child: Child,
    port: Port,
    proxies: Proxies,
    credentials: CredentialFiles,
}

impl Service {
    /// `operator-0`, `api-server-1`, …
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its proxy to a server, if there is one.
    pub fn proxy(&self, server: Server) -> Option<&Proxy> {
        let mut proxies = self.proxies.0.iter();
        proxies.find(|(to, ..)| *to == server).map(|(.., proxy)| proxy)
    }

    /// Its process.
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// The folder with its database addresses ([`Options::credential_files`]), in files that are named after the settings.
    pub fn credentials(&self) -> &Path {
        self.credentials.folder()
    }

    /// Replaces the password of a database user in its files.
    pub fn change_password(&self, user: &str, password: &str) -> Result<()> {
        self.credentials.change_password(user, password)
    }

    /// Root URL of its health, metrics and (for an API server) endpoints.
    pub fn url(&self) -> Url {
        let mut url = Url::parse("http://127.0.0.1").unwrap_or_else(|_| unreachable!("a constant"));
        let _ = url.set_port(Some(self.port.number()));
        url
    }

    /// Kills it and restarts it on the same port. Does not wait until it is ready.
    pub fn kill9_and_start(&self) -> Result<()> {
        self.child.kill9();
        self.child.start_again()
    }

    /// Waits until it reports that it is ready, and that at most a replica is unavailable.
    pub async fn ready(&self, limit: Duration) -> Result<()> {
        let url = self.url().join("/readyz")?;
        let mut last = String::from("no answer");
        let outcome = wait::until(&format!("{} ready", self.name), limit, async || {
            anyhow::ensure!(self.child.is_running(), "{} ended", self.name);
            let Ok((status, body)) = http_get(url.clone()).await else {
                return Ok(None);
            };
            last = format!("{status}: {body}");
            Ok((status == 200 && lacks_at_most_a_replica(&body)).then_some(()))
        })
        .await;
        outcome.with_context(|| format!("{}\nlast response of {url}: {last}", self.child.log_tail()))
    }
}

/// A process stays ready when it loses a dependency that it once had. A replica is always optional.
/// And a process may be in standby, because the class belongs to another installation.
fn lacks_at_most_a_replica(readyz: &str) -> bool {
    let report = serde_json::from_str::<serde_json::Value>(readyz).unwrap_or_default();
    let reasons = report["reasons"].as_object();
    let may_be_missing = |need: &String| need.ends_with("_ro") || need == "class";
    reasons.is_some_and(|reasons| reasons.keys().all(may_be_missing))
}

/// The proxies of one service, each with its server's port.
#[derive(Debug, Default)]
struct Proxies(Vec<(Server, u16, Proxy)>);

impl Proxies {
    async fn start(databases: &Databases, plane: &ControlPlane) -> Result<Self> {
        let mut proxies = Vec::new();
        let results = databases.results.as_ref();
        let servers = [
            (Server::Primary, Some(databases.primary.port())),
            (Server::Replica, Some(databases.replica.port())),
            (Server::Results, results.map(Postgres::port)),
            (Server::Kubernetes, Some(plane.port())),
        ];
        for (server, port) in servers {
            if let Some(port) = port {
                let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                proxies.push((server, port, Proxy::start(target).await?));
            }
        }
        Ok(Self(proxies))
    }

    /// Writes a copy of a kubeconfig file into `folder` that uses the service's proxy to Kubernetes.
    fn kubeconfig_through(
        &self,
        file: &Path,
        folder: &Path,
        name: &str,
        plane: &ControlPlane,
    ) -> Result<PathBuf> {
        let url = plane.url();
        let through = self.route_through(url.clone())?;
        let copy = folder.join(format!("{name}.kubeconfig"));
        let text = fs::read_to_string(file)?.replace(&url, through.trim_end_matches('/'));
        write_private(&copy, &text)?;
        Ok(copy)
    }

    /// The URL with the port of the proxy to its server.
    fn route_through(&self, url: String) -> Result<String> {
        let port = Url::parse(&url)?.port();
        match self.0.iter().find(|(_, target, _)| Some(*target) == port) {
            Some((.., proxy)) => with_port(&url, proxy.port()),
            None => Ok(url),
        }
    }
}

/// Starts the operators and API servers.
pub(super) struct Launcher<'a> {
    pub(super) options: &'a Options,
    pub(super) binaries: &'a Binaries,
    pub(super) databases: &'a Databases,
    pub(super) accounts: &'a Accounts,
    pub(super) plane: &'a ControlPlane,
    pub(super) namespace: &'a str,
    pub(super) arxiv_url: &'a Url,
    pub(super) folder: &'a Path,
}

impl Launcher<'_> {
    pub(super) async fn operators(&self) -> Result<Vec<Service>> {
        let mut services = Vec::new();
        for index in 0..self.options.operators {
            services.push(self.operator(index, self.proxies().await?)?);
        }
        Ok(services)
    }

    pub(super) async fn api_servers(&self) -> Result<Vec<Service>> {
        let mut services = Vec::new();
        for (index, serve) in self.options.api_servers.iter().enumerate() {
            services.push(self.api_server(index, serve, self.proxies().await?)?);
        }
        Ok(services)
    }

    async fn proxies(&self) -> Result<Proxies> {
        if self.options.proxies {
            Proxies::start(self.databases, self.plane).await
        } else {
            Ok(Proxies::default())
        }
    }

    fn operator(&self, index: usize, proxies: Proxies) -> Result<Service> {
        let name = format!("operator-{index}");
        let kubeconfig =
            proxies.kubeconfig_through(&self.accounts.operator, self.folder, &name, self.plane)?;
        self.launch(
            name,
            &self.binaries.operator,
            Port::reserve()?,
            proxies,
            |proxies, files, mut spec| {
                spec = spec.arg("run").env("KUBECONFIG", kubeconfig);
                let databases = self.databases;
                let given = [
                    ("DATABASE_RW_URL", Some(databases.rw_url())),
                    ("DATABASE_LEDGER_URL", Some(databases.ledger_url())),
                    ("DATABASE_UPSTREAM_URL", Some(databases.upstream_url())),
                    ("DATABASE_RESULTS_RW_URL", databases.results_rw_url()),
                ];
                for (name, url) in given {
                    if let Some(url) = url {
                        spec = self.with_address(spec, files, name, &proxies.route_through(url)?)?;
                    }
                }
                Ok(if self.options.cluster_wide {
                    spec
                } else {
                    spec.env("WATCH_NAMESPACE", self.namespace)
                })
            },
        )
    }

    fn api_server(&self, index: usize, serve: &str, proxies: Proxies) -> Result<Service> {
        let wanted = self.options.api_port.filter(|_| index == 0);
        let port = wanted.map_or_else(Port::reserve, Port::exactly)?;
        let name = format!("api-server-{index}");
        let kubeconfig =
            proxies.kubeconfig_through(&self.accounts.api_server, self.folder, &name, self.plane)?;
        self.launch(
            name,
            &self.binaries.api_server,
            port,
            proxies,
            |proxies, files, mut spec| {
                spec = spec.env("SERVE", serve);
                // The default of the existing service.
                spec = spec.env("TIMEZONE_OFFSET", "2");
                let credentials = credentials(serve);
                if credentials.kubernetes || self.options.checks_access() {
                    spec = spec
                        .env("KUBECONFIG", kubeconfig)
                        .env("NAMESPACE", self.namespace);
                }
                let databases = self.databases;
                let given = [
                    (credentials.ro, "DATABASE_RO_URL", Some(databases.ro_url())),
                    (
                        credentials.ro,
                        "DATABASE_RESULTS_RO_URL",
                        databases.results_ro_url(),
                    ),
                    (credentials.rw, "DATABASE_RW_URL", Some(databases.rw_url())),
                    (
                        credentials.rw,
                        "DATABASE_RESULTS_RW_URL",
                        databases.results_rw_url(),
                    ),
                    (
                        credentials.sequence,
                        "DATABASE_SEQUENCE_URL",
                        Some(databases.sequence_url()),
                    ),
                    (
                        credentials.upstream,
                        "DATABASE_UPSTREAM_URL",
                        Some(databases.upstream_url()),
                    ),
                ];
                for (_, name, url) in given.into_iter().filter(|(needed, ..)| *needed) {
                    if let Some(url) = url {
                        spec = self.with_address(spec, files, name, &proxies.route_through(url)?)?;
                    }
                }
                Ok(spec)
            },
        )
    }

    /// A database's address: a variable, or a file that one names.
    fn with_address(&self, spec: Spec, files: &CredentialFiles, name: &str, url: &str) -> Result<Spec> {
        if self.options.credential_files {
            return files.add(spec, name, url);
        }
        Ok(spec.env(name, url))
    }

    fn launch(
        &self,
        name: String,
        program: &Path,
        port: Port,
        proxies: Proxies,
        set_up: impl FnOnce(&Proxies, &CredentialFiles, Spec) -> Result<Spec>,
    ) -> Result<Service> {
        let spec = Spec::new(program, self.folder.join("logs").join(format!("{name}.log")))
            .env("LISTEN", format!("127.0.0.1:{}", port.number()))
            .env("LOG_LEVEL", "INFO")
            .env("ARXIV_API_URL", self.arxiv_url.as_str())
            // The fake arXiv's record identifies the sender by it.
            .env("ARXIV_CONTACT", format!("{name}@localhost"))
            .env(
                "MIN_INTERVAL_MS",
                self.options.min_interval.as_millis().to_string(),
            );
        let credentials = CredentialFiles::of_service(&name, self.folder);
        let spec = self
            .options
            .environment
            .iter()
            .fold(set_up(&proxies, &credentials, spec)?, |spec, (name, value)| {
                spec.env(name, value)
            });
        Ok(Service {
            name,
            child: Child::spawn(spec)?,
            port,
            proxies,
            credentials,
        })
    }
}

/// The credentials that a process needs for its endpoints, and no others.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one credential")]
struct Credentials {
    kubernetes: bool,
    ro: bool,
    rw: bool,
    sequence: bool,
    upstream: bool,
}

fn credentials(serve: &str) -> Credentials {
    let any = |names: &[&str]| serve.split(',').any(|served| names.contains(&served.trim()));
    Credentials {
        kubernetes: any(&["all", "frontend", "arxiv"]),
        ro: any(&[
            "all",
            "frontend",
            "backend",
            "arxiv",
            "queries",
            "results",
            "read-queries",
            "read-results",
        ]),
        rw: any(&["all", "backend", "write-queries", "write-results"]),
        sequence: any(&["all", "backend", "get-sequence"]),
        upstream: any(&["all", "backend", "arxiv-api"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_gets_only_credentials_of_its_endpoints() {
        let given = |serve| {
            let Credentials {
                kubernetes,
                ro,
                rw,
                sequence,
                upstream,
            } = credentials(serve);
            [kubernetes, ro, rw, sequence, upstream].map(u8::from)
        };
        assert_eq!(given("all"), [1, 1, 1, 1, 1]);
        assert_eq!(given("frontend"), [1, 1, 0, 0, 0]);
        assert_eq!(given("backend"), [0, 1, 1, 1, 1]);
        assert_eq!(given("get-sequence, read-results"), [0, 1, 0, 1, 0]);
        assert_eq!(given("write-results"), [0, 0, 1, 0, 0]);
    }
}
