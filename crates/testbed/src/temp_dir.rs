//! Temporary folders for the state of one run, and the lock files that show whether their owner is alive.
//!
//! A killed process cannot clean up, and neither can a value in a `static`. So each folder has a lock file next to it, which
//! is locked as long as its owner lives. Each new folder first removes those whose lock is free.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Linux's file system in memory. The thousand small files of each database server come and go with its test; creating them on a
/// disk took a third of the CPU time of all tests (ext4 searches long for an inode that was not in use a moment ago).
const MEMORY: &str = "/dev/shm";
/// Free space there that is enough for all tests that run at the same time.
const ENOUGH: u64 = 4 << 30;

/// A folder that is removed when this value is dropped (or by a later run, if it never was).
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl TempDir {
    /// A new empty folder, whose name starts with `name`.
    pub fn new(name: &str) -> Result<Self> {
        Self::new_in(&std::env::temp_dir(), name)
    }

    /// The same for many small files that need not survive a power failure: in memory, where there is enough of it.
    pub(crate) fn in_memory(name: &str) -> Result<Self> {
        match rustix::fs::statvfs(MEMORY) {
            Ok(memory) if memory.f_bavail * memory.f_frsize >= ENOUGH => {
                Self::new_in(Path::new(MEMORY), name)
            }
            _ => Self::new(name),
        }
    }

    fn new_in(temp: &Path, name: &str) -> Result<Self> {
        let runs = per_user(temp, "runs")?;
        // Held while folders are created and swept, so that a folder that is just being created is not taken for an abandoned one.
        let _guard = lock(&per_user(temp, "")?.join("runs.lock"))?;
        sweep(&runs)?;
        let id = format!("{name}-{}", &uuid::Uuid::new_v4().simple().to_string()[..10]);
        let lock_path = runs.join(format!("{id}.lock"));
        let held = lock(&lock_path)?;
        let path = runs.join(id);
        create_passable(&path)?;
        Ok(Self {
            path,
            lock_path,
            _lock: held,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A later run's sweep removes what cannot be removed now.
        if fs::remove_dir_all(&self.path).is_ok() {
            let _ = fs::remove_file(&self.lock_path);
        }
    }
}

/// A folder of this user in a folder for temporary files of all users. Other users may traverse it, but not list or write it:
/// Postgres, started by root, runs as another user and must reach its data.
pub(crate) fn per_user(temp: &Path, folder: &str) -> Result<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let base = temp.join(format!("arxiv-operator-testbed-{uid}"));
    create_passable(&base)?;
    // The name can be guessed, so another user may have created it first.
    let owner = fs::symlink_metadata(&base)?;
    ensure!(
        owner.is_dir() && owner.uid() == uid,
        "{} belongs to another user",
        base.display()
    );
    let path = base.join(folder);
    create_passable(&path)?;
    Ok(path)
}

/// The cache folder, outside of the repository, for what takes long to build: `$XDG_CACHE_HOME/arxiv-operator` or `~/.cache/arxiv-operator`.
pub fn cache() -> Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home);
    let path = base
        .context("neither XDG_CACHE_HOME nor HOME is set")?
        .join("arxiv-operator");
    fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

/// Waits for the lock on `path`; it is released when the file is dropped or the process ends.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = open_lock(path)?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// The lock on `path`, or nothing when another process, or another part of this one, holds it.
pub(crate) fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = open_lock(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

fn open_lock(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

/// Creates a folder that others can traverse (mode 0711), if it does not exist yet.
pub(crate) fn create_passable(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o711).create(path) {
        // The umask may have removed that permission.
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o711))?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
    }
    Ok(())
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    Ok(())
}

fn sweep(runs: &Path) -> Result<()> {
    for file in fs::read_dir(runs)? {
        let lock_path = file?.path();
        if lock_path.extension().is_some_and(|extension| extension == "lock")
            && let Some(_held) = try_lock(&lock_path)?
        {
            let folder = lock_path.with_extension("");
            if !folder.exists() || fs::remove_dir_all(&folder).is_ok() {
                match fs::remove_file(&lock_path) {
                    // Another process is sweeping too, and removed it first.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    removed => removed?,
                }
            }
        }
    }
    Ok(())
}
