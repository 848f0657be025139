//! Base backups of a server, and going back to one.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Postgres;

/// The data of a server at some time (`pg_basebackup`).
#[derive(Debug)]
pub struct BaseBackup(PathBuf);

impl Postgres {
    /// Makes a base backup of this running server.
    pub async fn back_up(&self) -> Result<BaseBackup> {
        let folder = self.data.parent().context("a data folder in a folder")?;
        let data = folder.join(format!("backup-{}", uuid::Uuid::new_v4()));
        self.base_backup(folder, &data).await?;
        // It is to be a primary.
        std::fs::remove_file(data.join("standby.signal"))?;
        Ok(BaseBackup(data))
    }

    /// Brings back the state of a backup, on the same port. Replicas have to be rebuilt.
    pub async fn restore(&self, backup: &BaseBackup) -> Result<()> {
        self.stop().await?;
        std::fs::remove_dir_all(&self.data)?;
        let status = Command::new("cp")
            .arg("-a")
            .arg(&backup.0)
            .arg(&self.data)
            .status()?;
        ensure!(status.success(), "cannot copy {}", backup.0.display());
        self.start_again().await
    }
}
