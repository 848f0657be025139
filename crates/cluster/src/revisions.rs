//! Notices that the database of Kubernetes (etcd) went back in time, because it was restored from a backup.
//!
//! A watch continues from the version of the last object that it saw. If the restored database has not reached that version
//! yet, such a watch reports nothing until it has, and the watcher is not notified: objects that went back to an earlier state, or
//! were changed since, are missed. So the version of a list is compared with the highest one seen before: it can only be
//! lower if the database went back, since versions are those of the whole database and lists are up to date.
//!
//! A database that is written to may reach that version before the next list, and then the watch continues with a gap. So the version
//! that a write of this process gives to an object is compared, too: nothing that this process has changed since the restore is missed.

use std::sync::{Arc, LazyLock};

use kube::core::ListMeta;
use metrics::Metrics;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;

static RESTORES: LazyLock<Counter> = LazyLock::new(Counter::default);

pub(crate) fn register_metrics(metrics: &Metrics) {
    let help = "How often the database of Kubernetes was found to have gone back in time: it was restored from a backup";
    metrics.register("kubernetes_restores", &[], help, &*RESTORES);
}

/// What one process has seen; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Revisions(Arc<watch::Sender<Seen>>);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    highest: u64,
    /// How often the database went back.
    restores: u64,
}

/// The highest version at some time.
#[derive(Clone, Copy, Debug)]
pub struct Highest(u64);

/// Waits for restores.
#[derive(Clone, Debug)]
pub struct Restores(watch::Receiver<Seen>, u64);

impl Revisions {
    /// Notes the version of an object that a watch reported.
    pub fn saw(&self, version: Option<&str>) {
        let Some(version) = number(version) else { return };
        // Nobody needs to wake up for it.
        self.0.send_if_modified(|seen| {
            seen.highest = seen.highest.max(version);
            false
        });
    }

    /// The highest version so far. To be taken before a list is asked for: events may overtake its answer.
    pub fn highest(&self) -> Highest {
        Highest(self.0.borrow().highest)
    }

    /// Compares the version of a list, which was asked for without a version after `before` was taken; whether the database
    /// went back.
    pub fn check(&self, Highest(before): Highest, list: &ListMeta) -> bool {
        let version = number(list.resource_version.as_deref());
        version.is_some_and(|version| self.compare(before, version))
    }

    /// Compares the version that a write, which began after `before` was taken, has given to an object of the version `read`; whether
    /// the database went back. A write that changes nothing gives none.
    pub fn check_write(&self, Highest(before): Highest, read: Option<&str>, written: Option<&str>) -> bool {
        let version = number(written).filter(|_| read != written);
        version.is_some_and(|version| self.compare(before, version))
    }

    fn compare(&self, before: u64, version: u64) -> bool {
        let went_back = version < before;
        self.0.send_if_modified(|seen| {
            // Another check may have noticed it already.
            let is_news = went_back && seen.highest >= before;
            if is_news {
                seen.highest = version;
                seen.restores += 1;
            } else {
                seen.highest = seen.highest.max(version);
            }
            is_news
        });
        if went_back {
            RESTORES.inc();
            tracing::warn!(
                version,
                before,
                "the database of Kubernetes went back in time (it was restored from a backup): everything is listed again"
            );
        }
        went_back
    }

    /// To wait for restores from now on.
    pub fn restores(&self) -> Restores {
        let receiver = self.0.subscribe();
        let restores = receiver.borrow().restores;
        Restores(receiver, restores)
    }
}

impl Restores {
    /// Resolves when the database went back since the last time.
    pub async fn next(&mut self) {
        let Self(receiver, known) = self;
        let seen = receiver.wait_for(|seen| seen.restores != *known).await;
        let seen = seen.map(|seen| seen.restores);
        match seen {
            Ok(restores) => *known = restores,
            // The process ends.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Versions are decimal numbers that can be compared (Kubernetes 1.35, and in fact long before).
fn number(version: Option<&str>) -> Option<u64> {
    version?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(version: &str) -> ListMeta {
        ListMeta {
            resource_version: Some(version.to_owned()),
            ..ListMeta::default()
        }
    }

    #[test]
    fn event_that_overtakes_a_list_is_no_restore() {
        let revisions = Revisions::default();
        revisions.saw(Some("10"));
        let before = revisions.highest();
        revisions.saw(Some("12"));
        assert!(!revisions.check(before, &list("11")));
        assert_eq!(revisions.highest().0, 12);
    }

    #[test]
    fn lower_version_of_a_changed_object_is_a_restore_and_one_that_is_as_it_was_is_none() {
        let revisions = Revisions::default();
        revisions.saw(Some("20"));
        for (read, written, went_back) in [
            ("5", "21", false),
            ("5", "5", false),
            ("5", "x", false),
            ("5", "18", true),
            ("18", "19", false),
        ] {
            let highest = revisions.highest();
            assert_eq!(
                revisions.check_write(highest, Some(read), Some(written)),
                went_back,
                "{read} {written}"
            );
        }
        assert!(!revisions.check_write(revisions.highest(), Some("19"), None));
    }

    #[tokio::test]
    async fn lower_version_of_a_list_is_a_restore_and_wakes_every_watch_once() {
        let revisions = Revisions::default();
        let (mut one, mut two) = (revisions.restores(), revisions.restores());
        for (seen, listed, went_back) in [
            (Some("5"), "10", false),
            (Some("12"), "12", false),
            (Some("20"), "19", true),
            (None, "19", false),
            (Some("7"), "18", true),
            (Some("x"), "18", false),
            (None, "", false),
        ] {
            revisions.saw(seen);
            assert_eq!(
                revisions.check(revisions.highest(), &list(listed)),
                went_back,
                "{seen:?} {listed}"
            );
        }
        for waiting in [&mut one, &mut two] {
            waiting.next().await;
            let again = tokio::time::timeout(std::time::Duration::from_millis(1), waiting.next());
            assert!(again.await.is_err(), "it was reported already");
        }
    }
}
