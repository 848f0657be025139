//! Being asked to end.

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

/// Resolves on Ctrl-C or SIGTERM. Call it early: from then on these signals no longer end the process by themselves.
pub(crate) fn asked_to_end() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
