//! The whole system as processes, each with its own identity: Postgres with its replica, the control plane, the fake arXiv,
//! migrations, operators and API servers.

mod alert_receiver;
mod binaries;
mod credentials;
mod databases;
mod identities;
mod migrated;
pub mod prometheus;
mod services;
mod supervise;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use url::Url;

pub(crate) use binaries::binary;
pub use databases::{Databases, Layout};
pub use services::{Server, Service};

use crate::FakeArxiv;
use crate::control_plane::ControlPlane;
use crate::postgres::Cache;
use crate::temp_dir::{TempDir, create_passable};

/// The start of all processes on a busy machine.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// A process finishes its request to arXiv before it ends.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// What is started. The default: one operator and one API server that serves all endpoints, in a new namespace of the control
/// plane that the tests of this process share, with no pause between requests to the fake arXiv.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent options")]
pub struct Options {
    /// The number of operators.
    pub operators: usize,
    /// What each API server serves: `all`, `frontend`, `backend`, or a list of endpoints.
    pub api_servers: Vec<String>,
    /// Minimum time between two requests to arXiv.
    pub min_interval: Duration,
    /// Another arXiv. The fake arXiv is not started then.
    pub arxiv_url: Option<Url>,
    /// The namespace; a new one by default.
    pub namespace: Option<String>,
    /// Operators watch (and may watch) all namespaces: those of a control plane of their own, as on a shared one they would
    /// work on the objects of other tests.
    pub cluster_wide: bool,
    /// A control plane that no other test uses, so that it can be killed.
    pub own_control_plane: bool,
    /// That of another system ([`Stack::shared_control_plane`]), for several systems in one cluster.
    pub control_plane: Option<Arc<ControlPlane>>,
    /// The `results` table is on a separate server.
    pub separate_results_server: bool,
    /// Each operator and API server has its own proxy to each server ([`Service::proxy`]).
    pub proxies: bool,
    /// Database addresses are in files ([`Service::credentials`]), and not in environment variables.
    pub credential_files: bool,
    /// Postgres flushes to disk as in production.
    pub fsync: bool,
    /// The cache of each Postgres server.
    pub cache: Cache,
    /// Keeps all state in this folder (with its own control plane), and continues with the state that it contains.
    pub folder: Option<PathBuf>,
    /// The folder of the programs; near the running program by default.
    pub binaries: Option<PathBuf>,
    /// Port of the first API server; a free one by default.
    pub api_port: Option<u16>,
    /// Further environment variables of the operators and API servers.
    pub environment: Vec<(String, String)>,
}

impl Options {
    /// One operator without leader election, and no API server: a restarted operator need not wait for the lease of the
    /// killed one to expire, and of two operators both work.
    pub fn operator_only() -> Self {
        Self {
            api_servers: Vec::new(),
            environment: vec![("LEADER_ELECTION".into(), "false".into())],
            ..Self::default()
        }
    }

    /// Whether the API servers authenticate callers by Kubernetes (`ACCESS`).
    fn checks_access(&self) -> bool {
        let mut access = self.environment.iter().filter(|(name, _)| name == "ACCESS");
        access.any(|(_, value)| value != "off")
    }
}

impl Options {
    /// The class that the environment variables name.
    fn class_name(&self) -> Option<&str> {
        let mut classes = self.environment.iter().filter(|(name, _)| name == "CLASS_NAME");
        classes.next().map(|(_, class)| class.as_str())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            operators: 1,
            api_servers: vec!["all".into()],
            min_interval: Duration::ZERO,
            arxiv_url: None,
            namespace: None,
            cluster_wide: false,
            own_control_plane: false,
            control_plane: None,
            separate_results_server: false,
            proxies: false,
            credential_files: false,
            fsync: false,
            cache: Cache::default(),
            folder: None,
            binaries: None,
            api_port: None,
            environment: Vec::new(),
        }
    }
}

/// The running system. Dropping it ends everything at once, except a shared control plane.
#[derive(Debug)]
pub struct Stack {
    // Fields are dropped in this order: dependents first.
    /// The operators.
    pub operators: Vec<Service>,
    /// The API servers.
    pub api_servers: Vec<Service>,
    /// The database servers.
    pub databases: Databases,
    arxiv: Option<FakeArxiv>,
    arxiv_url: Url,
    control_plane: Plane,
    namespace: String,
    folder: PathBuf,
    _temp_dir: Option<TempDir>,
}

#[derive(Debug)]
enum Plane {
    Shared(&'static ControlPlane),
    Own(Arc<ControlPlane>),
}

impl Stack {
    /// Starts everything and waits until all of it is ready.
    pub async fn start(options: Options) -> Result<Self> {
        let temp_dir = match &options.folder {
            Some(_) => None,
            None if options.fsync => Some(TempDir::new("stack")?),
            None => Some(TempDir::in_memory("stack")?),
        };
        let folder = match (&options.folder, &temp_dir) {
            (Some(folder), _) => folder.clone(),
            (None, Some(temp_dir)) => temp_dir.path().to_owned(),
            (None, None) => unreachable!("one of them exists"),
        };
        fs::create_dir_all(&folder)?;
        for part in ["", "logs"] {
            create_passable(&folder.join(part))?;
        }
        let folder = folder.canonicalize()?;
        let binaries = binaries::Binaries::find(options.binaries.as_deref())?;
        // Boxed, as it would make the future of every test large.
        let databases = Box::pin(async {
            let separate = options.separate_results_server;
            if temp_dir.is_some() {
                migrated::copy_to(&folder, &binaries.operator, separate).await?;
            }
            let layout = Layout {
                fsync: options.fsync,
                separate_results_server: separate,
                cache: options.cache,
            };
            let databases = Databases::start(&folder, layout).await?;
            if temp_dir.is_none() {
                databases.migrate(&binaries.operator, &folder).await?;
            } else {
                // Copies of one database would be one installation.
                let new_id = "update public.arxiv_installation set id = gen_random_uuid()";
                databases.primary.execute("arxiv", new_id).await?;
            }
            Ok(databases)
        });
        let (control_plane, databases) = tokio::try_join!(plane(&options, &folder), databases)?;
        let namespace = match &options.namespace {
            Some(name) => control_plane
                .get()
                .ensure_namespace(name)
                .await
                .map(|()| name.clone())?,
            None => control_plane.get().namespace().await?,
        };
        let arxiv = options.arxiv_url.is_none().then(FakeArxiv::start).transpose()?;
        let arxiv_url = match (&options.arxiv_url, &arxiv) {
            (Some(url), _) => url.clone(),
            (None, Some(fake_arxiv)) => fake_arxiv.url(),
            (None, None) => unreachable!("one of them exists"),
        };
        let accounts =
            identities::Accounts::create(control_plane.get(), &namespace, &folder, &options).await?;
        let launcher = services::Launcher {
            options: &options,
            binaries: &binaries,
            databases: &databases,
            accounts: &accounts,
            plane: control_plane.get(),
            namespace: &namespace,
            arxiv_url: &arxiv_url,
            folder: &folder,
        };
        let operators = launcher.operators().await?;
        let api_servers = launcher.api_servers().await?;
        let stack = Self {
            operators,
            api_servers,
            databases,
            arxiv,
            arxiv_url,
            control_plane,
            namespace,
            folder,
            _temp_dir: temp_dir,
        };
        stack.ready().await?;
        Ok(stack)
    }

    /// Waits until every operator and API server reports that it is ready.
    pub async fn ready(&self) -> Result<()> {
        for service in self.services() {
            service.ready(READY_LIMIT).await?;
        }
        Ok(())
    }

    /// Root URL of the first API server.
    pub fn api_url(&self) -> Result<Url> {
        Ok(self.api_servers.first().context("there is no API server")?.url())
    }

    /// The fake arXiv, if it is used.
    pub fn arxiv(&self) -> Result<&FakeArxiv> {
        self.arxiv.as_ref().context("another arXiv is used")
    }

    /// The search endpoint in use.
    pub fn arxiv_url(&self) -> &Url {
        &self.arxiv_url
    }

    /// The control plane.
    pub fn control_plane(&self) -> &ControlPlane {
        self.control_plane.get()
    }

    /// The control plane, for other systems in the same cluster; nothing if all tests share it.
    pub fn shared_control_plane(&self) -> Option<Arc<ControlPlane>> {
        match &self.control_plane {
            Plane::Shared(_) => None,
            Plane::Own(plane) => Some(Arc::clone(plane)),
        }
    }

    /// The namespace of the API servers' objects.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The folder of state and logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends everything in an orderly way, dependents first.
    pub async fn stop(&self) -> Result<()> {
        let ends = self
            .services()
            .map(|service| service.child().terminate(STOP_LIMIT));
        for end in futures::future::join_all(ends).await {
            end?;
        }
        if let Plane::Own(plane) = &self.control_plane {
            plane.stop().await?;
        }
        self.databases.stop().await
    }

    /// All operators and API servers.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.operators.iter().chain(&self.api_servers)
    }
}

impl Plane {
    fn get(&self) -> &ControlPlane {
        match self {
            Self::Shared(plane) => plane,
            Self::Own(plane) => plane,
        }
    }
}

async fn plane(options: &Options, folder: &Path) -> Result<Plane> {
    if let Some(plane) = &options.control_plane {
        return Ok(Plane::Own(Arc::clone(plane)));
    }
    if options.folder.is_some() {
        let plane = ControlPlane::start_in(&folder.join("control-plane")).await?;
        return Ok(Plane::Own(Arc::new(plane)));
    }
    if options.own_control_plane || options.cluster_wide {
        return Ok(Plane::Own(Arc::new(ControlPlane::start().await?)));
    }
    Ok(Plane::Shared(ControlPlane::shared().await?))
}
