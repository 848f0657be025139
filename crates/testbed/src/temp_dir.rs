//! Folders for the state of one run, and the lock files that tell a living run from a dead one.
//!
//! A process that is killed cannot clean up, and neither can a value in a `static`. So each folder has a lock file
//! beside it, held for as long as its owner lives; whoever makes the next folder removes those nobody holds.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

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
        let runs = per_user("runs")?;
        // Held while folders are made and swept, so that nobody takes a folder in the making for an abandoned one.
        let _guard = lock(&per_user("")?.join("runs.lock"))?;
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

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // What cannot be removed now is removed by a later run's sweep.
        if fs::remove_dir_all(&self.path).is_ok() {
            let _ = fs::remove_file(&self.lock_path);
        }
    }
}

/// A folder of this user's in the system's folder for temporary files; others may pass through, but not look or write
/// (Postgres, started by root, runs as another user and has to reach its data).
pub(crate) fn per_user(folder: &str) -> Result<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let base = std::env::temp_dir().join(format!("arxiv-operator-testbed-{uid}"));
    create_passable(&base)?;
    // The name can be guessed, so somebody else may have been here first.
    let owner = fs::symlink_metadata(&base)?;
    ensure!(
        owner.is_dir() && owner.uid() == uid,
        "{} belongs to somebody else",
        base.display()
    );
    let path = base.join(folder);
    create_passable(&path)?;
    Ok(path)
}

/// A folder outside the tree for what takes long to make: `$XDG_CACHE_HOME/arxiv-operator` or `~/.cache/arxiv-operator`.
pub fn cache() -> Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home);
    let path = base
        .context("neither XDG_CACHE_HOME nor HOME is set")?
        .join("arxiv-operator");
    fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

/// Waits for the lock on `path`; it is released when the file is dropped or the process ends.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = open_lock(path)?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// The lock on `path`, or nothing when another process (or another part of this one) holds it.
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

/// Makes a folder that others can pass through (mode 0711), if it is not there yet.
pub(crate) fn create_passable(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o711).create(path) {
        // The umask may have taken the right to pass away again.
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o711))?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make {}", path.display())),
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
                    // Another process swept it, as soon as it had listed it too.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    removed => removed?,
                }
            }
        }
    }
    Ok(())
}
