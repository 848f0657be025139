//! One control plane for the tests of many programs: its start costs about ten seconds of CPU time, and its memory is
//! about half a gigabyte.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::certificates::Certificates;
use super::{ControlPlane, Toolchain};

/// The environment variable with the folder of a running control plane ([`ControlPlane::share`]) that the tests of several
/// programs share.
pub const SHARED: &str = "TESTBED_CONTROL_PLANE";

/// What another process needs in addition to the files in the folder.
#[derive(Deserialize, Serialize)]
struct Address {
    port: u16,
    etcd_port: u16,
}

impl ControlPlane {
    /// The control plane that all tests share, each in a namespace of its own ([`ControlPlane::namespace`]): the one that
    /// [`SHARED`] names, or one that the tests of this process share. Nobody may stop it or change what all see.
    pub async fn shared() -> Result<&'static Self> {
        static INSTANCE: tokio::sync::OnceCell<ControlPlane> = tokio::sync::OnceCell::const_new();
        INSTANCE
            .get_or_try_init(async || match std::env::var_os(SHARED) {
                Some(folder) => Self::attach(PathBuf::from(folder)).await,
                None => Self::start().await,
            })
            .await
    }

    /// Lets other processes use it; gives the value of [`SHARED`] for them.
    pub fn share(&self) -> Result<&Path> {
        let address = Address {
            port: self.port,
            etcd_port: self.etcd_port,
        };
        fs::write(address_file(&self.folder), serde_json::to_string(&address)?)?;
        Ok(&self.folder)
    }

    /// The control plane that another process has started in this folder.
    async fn attach(folder: PathBuf) -> Result<Self> {
        let file = address_file(&folder);
        let text = fs::read_to_string(&file)
            .with_context(|| format!("{SHARED} names no control plane: {}", file.display()))?;
        let Address { port, etcd_port } = serde_json::from_str(&text)?;
        Ok(Self {
            processes: None,
            port,
            etcd_port,
            certificates: Certificates::in_folder(&folder.join("certificates"), None)?,
            toolchain: Toolchain::ready().await?,
            folder,
            _temp_dir: None,
        })
    }
}

fn address_file(folder: &Path) -> PathBuf {
    folder.join("address.json")
}
