//! How long tests took the last time, kept in the target folder: it decides what is started first.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

/// Seconds by name: `storage storage gate::one`.
#[derive(Debug, Default)]
pub(super) struct Times {
    file: PathBuf,
    seconds: BTreeMap<String, f64>,
}

impl Times {
    /// Those of the last run; none where there was none, or where the file cannot be read.
    pub(super) fn load(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        Self {
            file: file.to_owned(),
            seconds: serde_json::from_str(&text).unwrap_or_default(),
        }
    }

    /// How long this took, if it was ever run.
    pub(super) fn of(&self, name: &str) -> Option<Duration> {
        Duration::try_from_secs_f64(*self.seconds.get(name)?).ok()
    }

    /// Remembers.
    pub(super) fn set(&mut self, name: String, time: Duration) {
        // Milliseconds: more digits would only change the file.
        self.seconds
            .insert(name, (time.as_secs_f64() * 1e3).round() / 1e3);
    }

    /// Keeps them for the next run.
    pub(super) fn save(&self) -> Result<()> {
        Ok(fs::write(
            &self.file,
            serde_json::to_string_pretty(&self.seconds)?,
        )?)
    }
}
