//! Supervised tasks. No task ends by itself before the shutdown; if one does, by a panic or a defect, the
//! process ends too, so that Kubernetes restarts it.

use std::future::Future;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Running tasks.
pub(crate) struct Supervisor {
    running: JoinSet<&'static str>,
    ended: Vec<&'static str>,
    shutdown: CancellationToken,
}

impl Supervisor {
    /// Without tasks; once `shutdown` is cancelled, tasks may end.
    pub(crate) fn new(shutdown: CancellationToken) -> Self {
        Self {
            running: JoinSet::new(),
            ended: Vec::new(),
            shutdown,
        }
    }

    /// Starts a task.
    pub(crate) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(async move {
            task.await;
            name
        });
    }

    /// Resolves with an error when a task ends unexpectedly, and without one at the shutdown.
    pub(crate) async fn supervise(&mut self) -> anyhow::Result<()> {
        let shutdown = self.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            Some(ended) = self.running.join_next() => match ended {
                // It has seen the shutdown first.
                Ok(name) if shutdown.is_cancelled() => {
                    self.ended.push(name);
                    Ok(())
                }
                Ok(name) => anyhow::bail!("the task {name} has ended by itself, which is a defect"),
                Err(error) => anyhow::bail!("a task has failed, which is a defect: {error}"),
            },
        }
    }

    /// Aborts all tasks.
    pub(crate) async fn cancel(mut self) {
        self.running.shutdown().await;
    }

    /// Resolves when the task of this name has ended; with an error if a task has failed meanwhile.
    pub(crate) async fn join(&mut self, name: &'static str) -> anyhow::Result<()> {
        while !self.ended.contains(&name) {
            match self.running.join_next().await {
                Some(ended) => self.ended.push(ended?),
                None => anyhow::bail!("there is no task named {name}"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn supervise_fails_when_a_task_ends_or_panics() {
        for panics in [false, true] {
            let stop = CancellationToken::new();
            let mut tasks = Supervisor::new(stop.clone());
            tasks.spawn("waiting", stop.clone().cancelled_owned());
            tasks.spawn("ending", async move { assert!(!panics, "on purpose") });
            assert!(tasks.supervise().await.is_err(), "panics: {panics}");
        }
    }

    #[tokio::test]
    async fn supervise_and_join_succeed_at_shutdown() {
        let stop = CancellationToken::new();
        let mut tasks = Supervisor::new(stop.clone());
        tasks.spawn("waiting", stop.clone().cancelled_owned());
        stop.cancel();
        tasks.supervise().await.unwrap();
        tasks.join("waiting").await.unwrap();
    }
}
