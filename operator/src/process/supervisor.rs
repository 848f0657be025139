//! The tasks of the process. None of them ends by itself while the process is to run; when one does, by a panic or a
//! defect, the process ends too, so that whoever started it sees it.

use std::future::Future;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Running tasks.
pub(crate) struct Tasks {
    set: JoinSet<&'static str>,
    ended: Vec<&'static str>,
    stop: CancellationToken,
}

impl Tasks {
    /// No tasks yet; `stop` tells them, and this, that they may end.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self {
            set: JoinSet::new(),
            ended: Vec::new(),
            stop,
        }
    }

    /// Starts a task.
    pub(crate) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.set.spawn(async move {
            task.await;
            name
        });
    }

    /// Resolves with an error when a task ends that should not, and without one when the process was asked to end.
    pub(crate) async fn supervise(&mut self) -> anyhow::Result<()> {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            Some(ended) = self.set.join_next() => match ended {
                // It has seen it first that the process is asked to end.
                Ok(name) if stop.is_cancelled() => {
                    self.ended.push(name);
                    Ok(())
                }
                Ok(name) => anyhow::bail!("the {name} has ended by itself, which is a defect"),
                Err(error) => anyhow::bail!("a task has failed, which is a defect: {error}"),
            },
        }
    }

    /// Drops all tasks where they are.
    pub(crate) async fn cancel(mut self) {
        self.set.shutdown().await;
    }

    /// Resolves when the task of this name has ended; with an error if one has failed meanwhile.
    pub(crate) async fn until_ended(&mut self, name: &'static str) -> anyhow::Result<()> {
        while !self.ended.contains(&name) {
            match self.set.join_next().await {
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
    async fn a_task_that_ends_ends_the_process() {
        for panics in [false, true] {
            let stop = CancellationToken::new();
            let mut tasks = Tasks::new(stop.clone());
            tasks.spawn("patient one", stop.clone().cancelled_owned());
            tasks.spawn("hasty one", async move { assert!(!panics, "on purpose") });
            assert!(tasks.supervise().await.is_err(), "panics: {panics}");
        }
    }

    #[tokio::test]
    async fn a_process_that_is_asked_to_end_ends_well() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        tasks.spawn("patient one", stop.clone().cancelled_owned());
        stop.cancel();
        tasks.supervise().await.unwrap();
        tasks.until_ended("patient one").await.unwrap();
    }
}
