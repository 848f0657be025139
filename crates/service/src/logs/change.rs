//! Levels that change while the process runs: as a file says, such as the key of a mounted `ConfigMap`.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use tracing_subscriber::{Registry, filter::Targets, reload::Handle};

use super::level::{InvalidLevels, Levels};
use crate::notice;

/// How often the file is read. The kubelet itself takes up to a minute until it writes a changed `ConfigMap`.
const PERIOD: Duration = Duration::from_secs(2);
/// What is read of the file.
const MAX_BYTES: usize = 1024;

/// The levels of this process.
pub struct LevelControl {
    handle: Handle<Targets, Registry>,
    /// Without the file.
    configured: Levels,
    file: Option<PathBuf>,
}

/// Why the file does not count.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("the file is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("the file is not text")]
    NotText,
    #[error(transparent)]
    Invalid(#[from] InvalidLevels),
}

impl LevelControl {
    pub(super) fn new(handle: Handle<Targets, Registry>, configured: Levels, file: Option<PathBuf>) -> Self {
        Self {
            handle,
            configured,
            file,
        }
    }

    /// Keeps the levels as the file says. Without a file the configured ones count; a file that says nothing valid changes
    /// nothing. Never ends.
    pub async fn follow(self) {
        let Some(file) = &self.file else {
            return std::future::pending().await;
        };
        let (mut seen, mut used) = (None, self.configured.clone());
        loop {
            let read = read(file).await;
            let found = match &read {
                Ok(text) => Ok(text.clone()),
                Err(error) => Err(error.to_string()),
            };
            // Each state of the file is acted upon once.
            if seen.as_ref() != Some(&found) {
                self.apply(read, &mut used);
                seen = Some(found);
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    fn apply(&self, read: Result<Option<String>, FileError>, used: &mut Levels) {
        let levels = match read {
            Ok(Some(text)) => text.trim().parse().map_err(FileError::from),
            Ok(None) => Ok(self.configured.clone()),
            Err(error) => Err(error),
        };
        match levels {
            Ok(levels) if levels == *used => {}
            // Fails only if the subscriber is gone.
            Ok(levels) if self.handle.reload(levels.filter()).is_ok() => {
                notice!(%levels, "the log level is changed");
                *used = levels;
            }
            Ok(_) => {}
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                levels = %used,
                "LOG_LEVEL_FILE: the log level stays"
            ),
        }
    }
}

/// The text of the file; none if there is no file.
async fn read(path: &Path) -> Result<Option<String>, FileError> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_start(&path)).await;
    let bytes = match read.map_err(io::Error::other)? {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    if bytes.len() > MAX_BYTES {
        return Err(FileError::TooLong);
    }
    String::from_utf8(bytes).map(Some).map_err(|_| FileError::NotText)
}

fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_BYTES + 1).unwrap_or(u64::MAX);
    std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}
