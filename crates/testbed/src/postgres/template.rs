//! A data folder that is created once and copied for each server: a copy takes a twentieth of the time of `initdb`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{PASSWORD_FILE, SUPERUSER, account, binaries};
use crate::process::{Account, Spec};
use crate::temp_dir::{self, TempDir};

const INITDB_LIMIT: Duration = Duration::from_mins(1);

/// Path of the template, which is created on first use.
pub(crate) async fn ready() -> Result<PathBuf> {
    let version = Command::new(binaries::find("postgres")?)
        .arg("--version")
        .output()?
        .stdout;
    let version = String::from_utf8_lossy(&version);
    let number = version
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    let account = account::to_run_as()?;
    let owner = account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid);
    let name = format!(
        "postgres-template-{}-{owner}",
        number.context("Postgres prints no version")?
    );
    let template = temp_dir::cache()?.join(&name);
    if !template.exists() {
        let lock_file = temp_dir::cache()?.join(format!("{name}.lock"));
        // Waiting for another process's initdb must not block this runtime's thread.
        let _lock = tokio::task::spawn_blocking(move || temp_dir::lock(&lock_file)).await??;
        if !template.exists() {
            create(&template, account).await?;
        }
    }
    Ok(template)
}

async fn create(template: &Path, account: Option<Account>) -> Result<()> {
    let temp_dir = TempDir::in_memory("initdb")?;
    let password = uuid::Uuid::new_v4().simple().to_string();
    let password_file = temp_dir.path().join(PASSWORD_FILE);
    let data = temp_dir.path().join("data");
    fs::create_dir(&data)?;
    fs::write(&password_file, password)?;
    if let Some(Account { uid, gid }) = account {
        for path in [&password_file, &data] {
            std::os::unix::fs::chown(path, Some(uid), Some(gid))?;
        }
    }
    fs::set_permissions(
        &password_file,
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )?;
    Spec::new(binaries::find("initdb")?, temp_dir.path().join("initdb.log"))
        .arg("-D")
        .arg(data.as_os_str())
        .arg(format!("--username={SUPERUSER}"))
        .arg(format!("--pwfile={}", password_file.display()))
        // Passwords are checked, so that tests see the real rights of each user. Small WAL segments: less to copy.
        .args([
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--wal-segsize=1",
            "--no-sync",
        ])
        .user(account)
        .run(INITDB_LIMIT)
        .await?;
    fs::rename(&password_file, data.join(PASSWORD_FILE))?;
    let unfinished = template.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    copy(&data, &unfinished)?;
    fs::rename(&unfinished, template)?;
    Ok(())
}

/// Copies a data folder with its owner and modes.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let output = Command::new("cp").arg("-a").arg(from).arg(to).output()?;
    if !output.status.success() {
        bail!(
            "cannot copy {}: {}",
            from.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
