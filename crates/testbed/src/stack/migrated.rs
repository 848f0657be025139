//! Migrated databases, which are created once for each build of the operator and copied for each system: migrations and a base
//! backup take many times as long as a copy.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::databases::{PASSWORDS, POSTGRES, REPLICA, RESULTS};
use super::{Databases, Layout};
use crate::postgres::template;
use crate::temp_dir::{self, TempDir, create_passable};

/// Copies the data of all servers to `folder`, from which [`Databases::start`] starts them.
pub(super) async fn copy_to(folder: &Path, operator: &Path, separate_results_server: bool) -> Result<()> {
    let template = ready(operator, separate_results_server).await?;
    fs::copy(template.join(PASSWORDS), folder.join(PASSWORDS))?;
    let copy = |from: &str, to: &str| -> Result<PathBuf> {
        create_passable(&folder.join(to))?;
        let data = folder.join(to).join("data");
        template::copy(&template.join(from), &data)?;
        Ok(data)
    };
    copy(POSTGRES, POSTGRES)?;
    // A replica may start from the files of its stopped primary as well as from a base backup.
    let data = copy(POSTGRES, REPLICA)?;
    let signal = data.join("standby.signal");
    fs::write(&signal, "")?;
    let owner = fs::metadata(&data)?;
    chown(&signal, Some(owner.uid()), Some(owner.gid()))?;
    if separate_results_server {
        copy(RESULTS, RESULTS)?;
    }
    Ok(())
}

/// The folder with the data of this build's databases, which is created on first use. Those of the builds before are removed.
async fn ready(operator: &Path, separate_results_server: bool) -> Result<PathBuf> {
    let servers = template::ready().await?;
    let mut program = DefaultHasher::new();
    (operator, &servers, separate_results_server).hash(&mut program);
    let build = fs::metadata(operator)?;
    let kind = format!("databases-{:016x}", program.finish());
    let name = format!("{kind}-{}-{}-{}", build.ino(), build.mtime(), build.mtime_nsec());
    let cache = temp_dir::cache()?;
    let template = cache.join(name);
    if !template.exists() {
        let lock_file = cache.join(format!("{kind}.lock"));
        // Waiting for another process must not block this runtime's thread.
        let _lock = tokio::task::spawn_blocking(move || temp_dir::lock(&lock_file)).await??;
        if !template.exists() {
            remove_all(&cache, &format!("{kind}-"))?;
            create(&template, operator, separate_results_server).await?;
        }
    }
    Ok(template)
}

async fn create(template: &Path, operator: &Path, separate_results_server: bool) -> Result<()> {
    let temp_dir = TempDir::in_memory("migrated")?;
    let folder = temp_dir.path();
    create_passable(&folder.join("logs"))?;
    let layout = Layout {
        separate_results_server,
        ..Layout::default()
    };
    let databases = Databases::start(folder, layout).await?;
    databases.migrate(operator, folder).await?;
    databases.stop().await?;
    let unfinished = template.with_extension("unfinished");
    fs::create_dir(&unfinished).with_context(|| unfinished.display().to_string())?;
    for server in [POSTGRES, RESULTS] {
        let data = folder.join(server).join("data");
        if data.exists() {
            template::copy(&data, &unfinished.join(server))?;
        }
    }
    fs::copy(folder.join(PASSWORDS), unfinished.join(PASSWORDS))?;
    fs::rename(&unfinished, template)?;
    Ok(())
}

fn remove_all(cache: &Path, prefix: &str) -> Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
