//! A log file of the run's events.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The file, and the time that all others count from.
#[derive(Debug)]
pub(crate) struct Timeline {
    start: Instant,
    path: PathBuf,
    file: Mutex<File>,
}

impl Timeline {
    /// Creates an empty file.
    pub(crate) fn begin(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            start: Instant::now(),
            path,
            file: Mutex::new(file),
        })
    }

    /// The time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// A point in time as time since the start.
    pub(crate) fn at(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.start)
    }

    /// Writes a line. Errors (a full disk) do not end the run.
    pub(crate) fn log(&self, line: &str) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(file, "{:9.3} {line}", self.now().as_secs_f64());
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
