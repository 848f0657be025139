//! The one watch over all objects that this process made.

use std::{sync::Arc, time::Duration};

use crd::{ArxivQuery, INSTANCE_LABEL};
use futures::{StreamExt, pin_mut};
use kube::{
    Api,
    runtime::{
        WatchStreamExt,
        utils::{Backoff, ResetTimerBackoff},
        watcher::{self, Event},
    },
};

use super::waiters::Waiters;

/// How long the server keeps one watch open. Shorter than the read time-out of the client, so that a silent connection
/// is known to be dead.
const WATCH_SECONDS: u32 = 60;
/// Between tries; whoever waits looks by itself at its limit, so this need not be kept short at any price.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// A watch that lived so long was fine: the pauses begin anew.
const FINE_AFTER: Duration = Duration::from_secs(10);

/// Tells the waiters of whatever happens to the objects with this instance's label. Never returns: the end of a watch,
/// an API server that is away and "too many requests" mean to wait and go on from where it was.
pub(crate) async fn follow(api: Api<ArxivQuery>, instance: &str, waiters: Arc<Waiters>) {
    // By label and not by phase: an object that leaves a selected phase looks deleted, with its old status.
    let config = watcher::Config::default()
        .labels(&format!("{INSTANCE_LABEL}={instance}"))
        .timeout(WATCH_SECONDS);
    let events =
        watcher::watcher(api, config).backoff(ResetTimerBackoff::new(Pauses(FIRST_PAUSE), FINE_AFTER));
    pin_mut!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => waiters.seen(object),
            Ok(Event::Delete(object)) => waiters.gone(object.metadata.name.as_deref().unwrap_or_default()),
            Ok(Event::Init) => {}
            // What ended and went while nobody watched is in no list.
            Ok(Event::InitDone) => waiters.missed(),
            Err(error) => {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "the watch is interrupted"
                );
            }
        }
    }
}

/// Doubled from the first to the longest; the next one is held.
struct Pauses(Duration);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = FIRST_PAUSE;
    }
}
