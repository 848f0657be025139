//! The thread that starts all children.

use std::fs::File;
use std::sync::{LazyLock, mpsc};

use anyhow::{Context, Result};

use super::Spec;

type Job = Box<dyn FnOnce() + Send>;

/// A child gets its death signal when the *thread* that started it ends, and tests run on threads that end early. So this
/// thread, which lives as long as the process, starts all children.
static STARTER: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
    let (sender, jobs) = mpsc::channel::<Job>();
    std::thread::spawn(move || {
        for job in jobs {
            job();
        }
    });
    sender
});

/// Starts a process with its output appended to its log.
pub(super) fn launch(spec: &Spec) -> Result<std::process::Child> {
    let log = File::options().create(true).append(true).open(spec.log());
    let log = log.with_context(|| format!("cannot write {}", spec.log().display()))?;
    let mut command = spec.command();
    command.stdout(log.try_clone()?).stderr(log);
    let (reply, answer) = mpsc::sync_channel(1);
    let job: Job = Box::new(move || {
        let _ = reply.send(command.spawn());
    });
    STARTER.send(job).ok().context("the starter thread is gone")?;
    answer
        .recv()?
        .with_context(|| format!("cannot start {}", spec.program().display()))
}
