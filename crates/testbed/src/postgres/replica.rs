//! Streaming replicas: made from a running primary, delayed, promoted.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Postgres, SUPERUSER, Settings, account, binaries, folder_for};
use crate::process::{Account, Spec};
use crate::wait;

const BACKUP_LIMIT: Duration = Duration::from_mins(1);
/// The limit for replaying, pausing or promoting.
const REPLAY_LIMIT: Duration = Duration::from_mins(2);

impl Postgres {
    /// A new streaming replica of this primary, which answers reads.
    pub async fn replica(&self) -> Result<Self> {
        self.replica_with(&Settings {
            fsync: self.fsync,
            ..Settings::default()
        })
        .await
    }

    /// A streaming replica with other settings. It continues with data that its folder already contains.
    pub async fn replica_with(&self, settings: &Settings) -> Result<Self> {
        let (folder, temp_dir) = folder_for(settings, "replica")?;
        let data = folder.join("data");
        if !data.exists() {
            self.base_backup(&folder, &data).await?;
        }
        // On the command line, because the primary's port may have changed since the backup.
        let source = format!(
            "primary_conninfo=host=127.0.0.1 port={} user={SUPERUSER}",
            self.port()
        );
        Self::launch(settings, folder, temp_dir, vec!["-c".into(), source]).await
    }

    /// Copies all data into a new folder, from which a replica can start.
    pub(super) async fn base_backup(&self, folder: &Path, data: &Path) -> Result<()> {
        let account = account::to_run_as()?;
        DirBuilder::new().mode(0o700).create(data)?;
        if let Some(Account { uid, gid }) = account {
            std::os::unix::fs::chown(data, Some(uid), Some(gid))?;
        }
        Spec::new(binaries::find("pg_basebackup")?, folder.join("basebackup.log"))
            .args([
                "--host=127.0.0.1",
                "--checkpoint=fast",
                "--wal-method=stream",
                "--no-sync",
            ])
            .arg("--write-recovery-conf")
            .arg(format!("--port={}", self.port()))
            .arg(format!("--username={SUPERUSER}"))
            .arg("--pgdata")
            .arg(data.as_os_str())
            .env("PGPASSWORD", &self.password)
            .user(account)
            .run(BACKUP_LIMIT)
            .await
    }

    /// Waits until this replica has replayed everything that `primary` has written up to now.
    pub async fn wait_replayed(&self, primary: &Postgres) -> Result<()> {
        let mut source = primary.connect("postgres").await?;
        // The insert position includes what is not flushed yet: locks, commits with synchronous_commit = off. The next
        // transaction flushes it at once, because it writes (a bare transaction number would be left to the WAL writer), and it
        // advances the log when the position is at the very end of a page, which is never replayed.
        let written: String = sqlx::query_scalar("select pg_current_wal_insert_lsn()::text")
            .fetch_one(&mut source)
            .await?;
        sqlx::query("select pg_logical_emit_message(true, '', '')")
            .execute(&mut source)
            .await?;
        let mut replica = self.connect("postgres").await?;
        wait::until("replica catching up", REPLAY_LIMIT, async || {
            let replayed: Option<bool> =
                sqlx::query_scalar("select pg_last_wal_replay_lsn() >= $1::text::pg_lsn")
                    .bind(&written)
                    .fetch_one(&mut replica)
                    .await?;
            Ok((replayed == Some(true)).then_some(()))
        })
        .await
    }

    /// Pauses the replay: this replica shows old data until [`Postgres::resume_replay`].
    pub async fn pause_replay(&self) -> Result<()> {
        let mut replica = self.connect("postgres").await?;
        sqlx::query("select pg_wal_replay_pause()")
            .execute(&mut replica)
            .await?;
        wait::until("pause of the replay", REPLAY_LIMIT, async || {
            let state: String = sqlx::query_scalar("select pg_get_wal_replay_pause_state()")
                .fetch_one(&mut replica)
                .await?;
            Ok((state == "paused").then_some(()))
        })
        .await
    }

    /// Resumes the replay.
    pub async fn resume_replay(&self) -> Result<()> {
        self.execute("postgres", "select pg_wal_replay_resume()").await
    }

    /// Makes `primary` confirm a commit only when this replica, its only one, has it on disk. Waits until that takes effect.
    pub async fn confirm_commits_of(&self, primary: &Postgres) -> Result<()> {
        for sql in [
            "alter system set synchronous_standby_names = '*'",
            "select pg_reload_conf()",
        ] {
            primary.execute("postgres", sql).await?;
        }
        let mut source = primary.connect("postgres").await?;
        wait::until("replica confirming commits", REPLAY_LIMIT, async || {
            let confirms: bool = sqlx::query_scalar(
                "select exists (select from pg_stat_replication where sync_state = 'sync' and state = 'streaming')",
            )
            .fetch_one(&mut source)
            .await?;
            Ok(confirms.then_some(()))
        })
        .await?;
        self.wait_replayed(primary).await
    }

    /// Rebuilds this server, on its port, as a replica of another one. (Its log may contain more than the new primary had when it
    /// took over.)
    pub async fn rebuild_as_replica_of(&self, primary: &Postgres) -> Result<()> {
        if self.child.is_running() {
            self.kill9().await?;
        }
        std::fs::remove_dir_all(&self.data)?;
        let folder = self.data.parent().context("a data folder in a folder")?;
        primary.base_backup(folder, &self.data).await?;
        self.start_again().await?;
        self.wait_replayed(primary).await
    }

    /// Promotes this replica to a primary.
    pub async fn promote(&self) -> Result<()> {
        let limit = i32::try_from(REPLAY_LIMIT.as_secs())?;
        let mut replica = self.connect("postgres").await?;
        let promoted: bool = sqlx::query_scalar("select pg_promote(true, $1)")
            .bind(limit)
            .fetch_one(&mut replica)
            .await?;
        anyhow::ensure!(promoted, "the replica was not promoted within {limit} s");
        Ok(())
    }
}
