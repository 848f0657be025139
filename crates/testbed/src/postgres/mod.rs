//! Real Postgres servers on loopback: a primary, its streaming replicas, and their failures.

mod account;
mod backup;
mod binaries;
mod pooler;
mod replica;
pub(crate) mod template;
mod tls;

pub use backup::BaseBackup;
pub use pooler::Pooler;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;

use crate::net::Port;
use crate::process::{Child, Death, Signal, Spec};
use crate::temp_dir::TempDir;
use crate::wait;

/// The superuser of every server.
const SUPERUSER: &str = "postgres";
/// The file of the superuser's password, in the data folder and readable only by the server's user. Each template has a new one.
const PASSWORD_FILE: &str = "superuser-password";
const READY_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// How to start a server.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Flush to disk as in production. Without it a kill still loses nothing; only a power failure would.
    pub fsync: bool,
    /// Keep the data in this folder, and use existing data; a temporary folder by default.
    pub folder: Option<PathBuf>,
    /// The port; a free one by default.
    pub port: Option<u16>,
    /// Its cache.
    pub cache: Cache,
}

/// The cache of a server (`shared_buffers`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cache {
    /// Little, as many servers run at once in tests: 16 MiB.
    #[default]
    Small,
    /// As of a server with 4 GB of memory, of which Postgres recommends a quarter.
    Production,
}

/// A server. Dropping it stops it at once.
#[derive(Debug)]
pub struct Postgres {
    // Fields are dropped in this order: first the server, then its files.
    child: Child,
    port: Port,
    data: PathBuf,
    password: String,
    fsync: bool,
    _temp_dir: Option<TempDir>,
}

impl Postgres {
    /// A new primary with its data in a temporary folder.
    pub async fn start() -> Result<Self> {
        Self::start_with(&Settings::default()).await
    }

    /// A primary with other settings.
    pub async fn start_with(settings: &Settings) -> Result<Self> {
        let (folder, temp_dir) = folder_for(settings, "postgres")?;
        let data = folder.join("data");
        if !data.exists() {
            template::copy(&template::ready().await?, &data)?;
        }
        Self::launch(settings, folder, temp_dir, Vec::new()).await
    }

    /// A server with a copy of the data of this one, which has been stopped.
    pub async fn start_copy(&self) -> Result<Self> {
        let settings = Settings::default();
        let (folder, temp_dir) = folder_for(&settings, "postgres")?;
        template::copy(&self.data, &folder.join("data"))?;
        Self::launch(&settings, folder, temp_dir, Vec::new()).await
    }

    async fn launch(
        settings: &Settings,
        folder: PathBuf,
        temp_dir: Option<TempDir>,
        args: Vec<String>,
    ) -> Result<Self> {
        let data = folder.join("data");
        let port = settings.port.map_or_else(Port::reserve, Port::exactly)?;
        let password = fs::read_to_string(data.join(PASSWORD_FILE))?.trim().to_owned();
        // A killed server leaves this file behind, and its process id may be in use again.
        remove_if_there(&data.join("postmaster.pid"))?;
        let spec = Spec::new(binaries::find("postgres")?, folder.join("postgres.log"))
            .arg("-D")
            .arg(data.as_os_str())
            .args(
                options(port.number(), settings)
                    .iter()
                    .flat_map(|option| ["-c", option]),
            )
            .args(args)
            .env("PGPASSWORD", &password)
            .user(account::to_run_as()?)
            .stop_signal(Signal::INT)
            .death(Death::Quit);
        let child = Child::spawn(spec)?;
        let server = Self {
            child,
            port,
            data,
            password,
            fsync: settings.fsync,
            _temp_dir: temp_dir,
        };
        server.ready().await?;
        Ok(server)
    }

    /// The URL of a database for a user.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        let mut url = format!("postgresql://127.0.0.1:{}/{database}", self.port.number());
        if let Ok(mut parsed) = Url::parse(&url) {
            // Neither fails for a URL with a host. Both encode special characters.
            let _ = parsed.set_username(user);
            let _ = parsed.set_password(Some(password));
            url = parsed.into();
        }
        url
    }

    /// The URL of a database for the superuser.
    pub fn admin_url(&self, database: &str) -> String {
        self.url(SUPERUSER, &self.password, database)
    }

    /// Port on loopback.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The postmaster.
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// Process id of the postmaster.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Creates an empty database that belongs to the superuser.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        self.execute("postgres", &format!("create database \"{name}\""))
            .await
    }

    /// Runs statements as the superuser, on a new connection.
    pub async fn execute(&self, database: &str, sql: &str) -> Result<()> {
        let mut connection = self.connect(database).await?;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(())
    }

    /// The output of psql for a statement, as the superuser.
    pub async fn psql(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = tokio::process::Command::new(binaries::find("psql")?);
        // The URL contains the password, and every user of this machine can see arguments.
        command
            .env("PGPASSWORD", &self.password)
            .env("PSQLRC", "/dev/null");
        command.args([
            "--host=127.0.0.1",
            "--username",
            SUPERUSER,
            "--dbname",
            database,
            "--command",
            sql,
        ]);
        let output = command.arg(format!("--port={}", self.port())).output().await?;
        anyhow::ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The path of one of PostgreSQL's programs of the server's version, such as `pg_dump`.
    pub fn program(name: &str) -> Result<PathBuf> {
        binaries::find(name)
    }

    /// A connection as the superuser.
    pub async fn connect(&self, database: &str) -> Result<PgConnection> {
        PgConnection::connect(&self.admin_url(database))
            .await
            .context("cannot connect to Postgres")
    }

    /// Stops it in an orderly way: open transactions are rolled back, and clients are disconnected.
    pub async fn stop(&self) -> Result<()> {
        self.child.terminate(STOP_LIMIT).await?;
        Ok(())
    }

    /// Starts it again on the same port with the same data, after [`Postgres::stop`] or [`Postgres::kill9`].
    pub async fn start_again(&self) -> Result<()> {
        remove_if_there(&self.data.join("postmaster.pid"))?;
        self.child.start_again()?;
        self.ready().await
    }

    /// An orderly stop and a start.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// Kills all of its processes at once, as when its machine fails.
    pub async fn kill9(&self) -> Result<()> {
        // So that it starts no further backends.
        self.child.freeze();
        let backends = backends(self.child.pid());
        self.child.kill9();
        signal_all(&backends, Signal::KILL);
        wait::until("end of the killed backends", STOP_LIMIT, async || {
            Ok(backends
                .iter()
                .all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
                .then_some(()))
        })
        .await
    }

    /// Freezes all of its processes: connections stay open, but get no response.
    pub fn freeze(&self) {
        self.child.freeze();
        signal_all(&backends(self.child.pid()), Signal::STOP);
    }

    /// Ends [`Postgres::freeze`].
    pub fn thaw(&self) {
        signal_all(&backends(self.child.pid()), Signal::CONT);
        self.child.thaw();
    }

    async fn ready(&self) -> Result<()> {
        // Line 8 of this file contains the state, which pg_ctl reads too: cheaper than a connection attempt.
        let file = self.data.join("postmaster.pid");
        let pid = self.child.pid().to_string();
        let outcome = wait::until("Postgres accepting connections", READY_LIMIT, async || {
            anyhow::ensure!(self.child.is_running(), "Postgres ended");
            let text = fs::read_to_string(&file).unwrap_or_default();
            let mut lines = text.lines();
            let ours = lines.next() == Some(pid.as_str());
            Ok((ours && lines.nth(6).is_some_and(|state| state.trim() == "ready")).then_some(()))
        })
        .await;
        outcome.with_context(|| self.child.log_tail())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.thaw();
    }
}

/// Installs the server's programs if they are missing and this is root on Debian.
pub fn ensure_installed() -> Result<()> {
    binaries::find("postgres").map(drop)
}

fn options(port: u16, settings: &Settings) -> Vec<String> {
    let on_off = if settings.fsync { "on" } else { "off" };
    let cache = match settings.cache {
        Cache::Small => "16MB",
        Cache::Production => "1GB",
    };
    vec![
        format!("port={port}"),
        format!("fsync={on_off}"),
        format!("full_page_writes={on_off}"),
        "listen_addresses=127.0.0.1".into(),
        "unix_socket_directories=".into(),
        format!("shared_buffers={cache}"),
        "max_connections=200".into(),
        "max_wal_senders=10".into(),
        "wal_keep_size=512MB".into(),
        // How soon a replica tries again to reach its primary (5 s by default).
        "wal_retrieve_retry_interval=200ms".into(),
        "timezone=UTC".into(),
        "log_timezone=UTC".into(),
        "log_line_prefix=%m [%p] %u@%d %a ".into(),
    ]
}

fn folder_for(settings: &Settings, name: &str) -> Result<(PathBuf, Option<TempDir>)> {
    if let Some(folder) = &settings.folder {
        crate::temp_dir::create_passable(folder)?;
        return Ok((folder.clone(), None));
    }
    let temp_dir = if settings.fsync {
        TempDir::new(name)?
    } else {
        TempDir::in_memory(name)?
    };
    Ok((temp_dir.path().to_owned(), Some(temp_dir)))
}

fn remove_if_there(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// The processes that a postmaster has started.
fn backends(postmaster: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
    children
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn signal_all(pids: &[u32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| crate::process::pid_of(*pid)) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}
