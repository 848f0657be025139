//! `PgBouncer` in front of a server.

use std::{fs, os::unix::fs::chown, path::PathBuf, sync::Mutex, time::Duration};

use anyhow::{Context, Result};

use super::{Postgres, account};
use crate::{
    net::Port,
    process::{Child, Death, Spec, find_program},
    temp_dir::TempDir,
    tools::build_cache,
    wait,
};

const DEBIAN: &str = "/usr/sbin/pgbouncer";
const READY_LIMIT: Duration = Duration::from_secs(30);

/// A pooler. Dropping it stops it at once.
#[derive(Debug)]
pub struct Pooler {
    child: Child,
    port: Port,
    _folder: TempDir,
}

impl Pooler {
    /// Pools the sessions of these users, whose passwords are their names, in this `pool_mode`.
    pub async fn start(server: &Postgres, mode: &str, users: &[&str]) -> Result<Self> {
        let folder = TempDir::new("pgbouncer")?;
        let port = Port::reserve()?;
        let file = |name: &str| folder.path().join(name);
        let list: Vec<_> = users
            .iter()
            .map(|user| format!("\"{user}\" \"{user}\"\n"))
            .collect();
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = {mode}\n",
            server.port(),
            port.number(),
            file("users").display()
        );
        let account = account::to_run_as()?;
        for (name, text) in [("users", list.concat()), ("pgbouncer.ini", config)] {
            fs::write(file(name), text)?;
            if let Some(account) = account {
                chown(file(name), Some(account.uid), Some(account.gid))?;
            }
        }
        let spec = Spec::new(program()?, file("pgbouncer.log"))
            .arg(file("pgbouncer.ini"))
            .user(account)
            .death(Death::Quit);
        let child = Child::spawn(spec)?;
        let address = ("127.0.0.1", port.number());
        wait::until("PgBouncer accepting connections", READY_LIMIT, async || {
            anyhow::ensure!(child.is_running(), "PgBouncer ended: {}", child.log_tail());
            Ok(std::net::TcpStream::connect(address).ok().map(drop))
        })
        .await?;
        Ok(Self {
            child,
            port,
            _folder: folder,
        })
    }

    /// The address of a server, by way of this pooler.
    pub fn url(&self, server: &str) -> Result<String> {
        let mut url = url::Url::parse(server)?;
        url.set_port(Some(self.port.number())).ok().context("a port")?;
        Ok(url.into())
    }

    /// Its process.
    pub fn child(&self) -> &Child {
        &self.child
    }
}

fn program() -> Result<PathBuf> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = INSTALLING.lock();
    let look = || {
        let debian = Some(PathBuf::from(DEBIAN)).filter(|path| path.is_file());
        find_program("pgbouncer").or(debian)
    };
    if look().is_none() && build_cache::can_apt() {
        build_cache::apt(&["pgbouncer"], "a few seconds")?;
    }
    look().context("PgBouncer is not installed: `sudo apt-get install pgbouncer`")
}
