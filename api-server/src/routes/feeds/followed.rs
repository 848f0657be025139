//! The feeds that clients follow: one statement reads them all, at most once in a while, however many clients follow.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use storage::{Reads, feeds::Feed};
use tokio::time::Instant;
use uuid::Uuid;

/// A feed changes a few times a day.
pub(super) const PERIOD: Duration = Duration::from_secs(2);

/// What was read last.
#[derive(Default)]
struct LastRead {
    at: Option<Instant>,
    /// None for those that were not there.
    feeds: HashMap<Uuid, Option<Arc<Feed>>>,
}

/// The feeds that are followed, each with the number of its followers.
pub(super) struct Followed {
    reads: Reads,
    followers: Mutex<HashMap<Uuid, usize>>,
    last: tokio::sync::Mutex<LastRead>,
}

/// What a follower of a feed learns.
pub(super) enum News {
    /// Nothing new is known.
    None,
    /// The feed as it is now.
    Feed(Arc<Feed>),
    /// It is there no more.
    Gone,
}

impl Followed {
    pub(super) fn new(reads: Reads) -> Self {
        Self {
            reads,
            followers: Mutex::default(),
            last: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn follow(self: Arc<Self>, feed: Uuid) -> Follower {
        *self.followers().entry(feed).or_default() += 1;
        Follower { followed: self, feed }
    }

    fn followers(&self) -> MutexGuard<'_, HashMap<Uuid, usize>> {
        self.followers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self, last: &mut LastRead) {
        // A read that fails, or is given up with its stream, is repeated after the same time as any other.
        last.at = Some(Instant::now());
        let uids: Vec<_> = self.followers().keys().copied().collect();
        let Ok(found) = self.reads.feeds_by_uid(&uids).await else {
            return;
        };
        last.feeds = uids.into_iter().map(|uid| (uid, None)).collect();
        let found = found.into_iter().map(|feed| (feed.uid, Some(Arc::new(feed))));
        last.feeds.extend(found);
    }
}

/// One client that follows a feed.
pub(super) struct Follower {
    followed: Arc<Followed>,
    feed: Uuid,
}

impl Follower {
    /// What is new, compared with what this one knows.
    pub(super) async fn news(&self, known: &Feed) -> News {
        let mut last = self.followed.last.lock().await;
        if last.at.is_none_or(|at| at.elapsed() >= PERIOD) {
            self.followed.read(&mut last).await;
        }
        match last.feeds.get(&self.feed) {
            Some(Some(feed)) if **feed != *known => News::Feed(Arc::clone(feed)),
            Some(None) => News::Gone,
            // It was not followed yet at that time, or has not changed.
            None | Some(Some(_)) => News::None,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut followers = self.followed.followers();
        if let Some(number) = followers.get_mut(&self.feed) {
            *number -= 1;
            if *number == 0 {
                followers.remove(&self.feed);
            }
        }
    }
}
