//! Backups of etcd, and what a restore is: the API server and etcd stop, etcd gets earlier data, both start again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::ControlPlane;

/// The state of the cluster at some time.
#[derive(Debug)]
pub struct EtcdBackup(PathBuf);

impl ControlPlane {
    /// Copies the data of etcd, which is frozen meanwhile: the copy is what a kill would leave.
    pub fn back_up(&self) -> Result<EtcdBackup> {
        let copy = self.folder.join(format!("etcd-{}", uuid::Uuid::new_v4()));
        self.etcd().freeze();
        let copied = copy_folder(&self.etcd_data(), &copy);
        self.etcd().thaw();
        copied.map(|()| EtcdBackup(copy))
    }

    /// Brings back the state of a backup, as it is: versions of objects that were given since are given again.
    pub async fn restore(&self, backup: &EtcdBackup) -> Result<()> {
        self.api_server().kill9();
        self.etcd().kill9();
        fs::remove_dir_all(self.etcd_data())?;
        copy_folder(&backup.0, &self.etcd_data())?;
        self.etcd().start_again()?;
        self.start_api_server().await
    }

    fn etcd_data(&self) -> PathBuf {
        self.folder.join("etcd")
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(status.success(), "cannot copy {}", from.display());
    Ok(())
}
