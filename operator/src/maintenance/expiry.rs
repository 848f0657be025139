//! When finished objects expire.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crd::ArxivQuery;
use jiff::Timestamp;
use uuid::Uuid;

use crate::controller::uid;

/// When the object's time to live has passed since its end. Without a time to live in the spec it is kept: GitOps would create a
/// deleted object again, as a new search.
fn expires_at(object: &ArxivQuery) -> Option<Timestamp> {
    let ttl = object.spec.ttl_seconds_after_finished?;
    let ttl = Duration::from_secs(u64::try_from(ttl).ok()?);
    let status = object.status.as_ref().filter(|status| status.phase.is_final())?;
    let ended = status.completion_time.as_ref()?;
    ended.0.checked_add(ttl).ok()
}

/// Objects that are known by name, some 300 bytes each.
const KNOWN: usize = 2_000;

/// A finished object, in the state in which it expires.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Expiring {
    pub(super) at: Timestamp,
    pub(super) uid: Uuid,
    pub(super) version: Box<str>,
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
}

impl Expiring {
    /// None for an object that does not expire, or of which this is not known.
    pub(super) fn of(object: &ArxivQuery) -> Option<Self> {
        let metadata = &object.metadata;
        Some(Self {
            at: expires_at(object)?,
            uid: uid(object)?,
            version: metadata.resource_version.as_deref()?.into(),
            namespace: metadata.namespace.as_deref()?.into(),
            name: metadata.name.as_deref()?.into(),
        })
    }
}

/// The objects that expire next, so that they are deleted without a listing, for which Kubernetes would read all finished ones. If
/// there are more than it holds, a listing is due when the first of the others expires.
pub(crate) struct ExpiryQueue {
    known: usize,
    state: Mutex<State>,
}

struct State {
    next: BTreeMap<(Timestamp, Uuid), Expiring>,
    /// When the first of those expires that are not in `next`.
    listing_at: Timestamp,
}

/// What expires now.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Due {
    /// These, by the time at which they expire.
    Objects(Vec<Expiring>),
    /// Only a listing can tell. All that it finds and does not delete is to be added again.
    Listing,
}

impl Default for ExpiryQueue {
    /// Nothing is known to expire.
    fn default() -> Self {
        Self::holding(KNOWN)
    }
}

impl ExpiryQueue {
    fn holding(known: usize) -> Self {
        let state = State {
            next: BTreeMap::new(),
            listing_at: Timestamp::MAX,
        };
        Self {
            known,
            state: Mutex::new(state),
        }
    }

    /// Adds an object. One that expires at the same time as it did takes the place of its earlier state.
    pub(super) fn add(&self, object: Expiring) {
        let mut state = self.state();
        state.next.insert((object.at, object.uid), object);
        if state.next.len() > self.known
            && let Some(((at, _), _)) = state.next.pop_last()
        {
            state.listing_at = state.listing_at.min(at);
        }
    }

    /// A listing is due then, or earlier.
    pub(super) fn list_at(&self, at: Timestamp) {
        let mut state = self.state();
        state.listing_at = state.listing_at.min(at);
    }

    /// Takes what has expired.
    pub(super) fn take(&self, now: Timestamp) -> Due {
        let mut state = self.state();
        let later = state.next.split_off(&(now, Uuid::max()));
        let expired = std::mem::replace(&mut state.next, later);
        if state.listing_at > now {
            return Due::Objects(expired.into_values().collect());
        }
        state.listing_at = Timestamp::MAX;
        Due::Listing
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use crd::{ArxivQuerySpec, ArxivQueryStatus, Phase};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn object_expires_when_its_time_to_live_has_passed_since_its_end() {
        let cases = [
            ("no time to live", Phase::Succeeded, Some(10), None, None),
            ("succeeded", Phase::Succeeded, Some(10), Some(90), Some(100)),
            ("failed", Phase::Failed, Some(10), Some(5), Some(15)),
            ("at once", Phase::Failed, Some(100), Some(0), Some(100)),
            ("unfinished", Phase::Running, Some(10), Some(5), None),
            ("no end", Phase::Succeeded, None, Some(5), None),
            ("a negative one", Phase::Succeeded, Some(10), Some(-5), None),
            (
                "beyond all times",
                Phase::Succeeded,
                Some(253_402_000_000),
                Some(i32::MAX),
                None,
            ),
        ];
        for (name, phase, ended, ttl, expires) in cases {
            let mut object = ArxivQuery::new("q", ArxivQuerySpec::default());
            object.spec.ttl_seconds_after_finished = ttl;
            object.status = Some(ArxivQueryStatus {
                phase,
                completion_time: ended.map(|ended| Time(at(ended))),
                ..Default::default()
            });
            assert_eq!(expires_at(&object), expires.map(at), "{name}");
        }
    }

    fn expiring(uid: u128, seconds: i64, version: &str) -> Expiring {
        Expiring {
            at: at(seconds),
            uid: Uuid::from_u128(uid),
            version: version.into(),
            namespace: "default".into(),
            name: uid.to_string().into(),
        }
    }

    fn taken(queue: &ExpiryQueue, seconds: i64) -> Option<Vec<(u128, String)>> {
        let Due::Objects(objects) = queue.take(at(seconds)) else {
            return None;
        };
        let objects = objects.into_iter();
        Some(
            objects
                .map(|object| (object.uid.as_u128(), object.version.into()))
                .collect(),
        )
    }

    #[test]
    fn objects_are_taken_when_they_expire_each_in_its_last_state() {
        let queue = ExpiryQueue::default();
        assert_eq!(taken(&queue, 1_000), Some(vec![]), "nothing is known");
        for (uid, seconds, version) in [
            (1, 30, "5"),
            (3, 20, "6"),
            (2, 20, "7"),
            (3, 20, "8"),
            (4, 21, "9"),
        ] {
            queue.add(expiring(uid, seconds, version));
        }
        assert_eq!(taken(&queue, 19), Some(vec![]));
        assert_eq!(taken(&queue, 20), Some(vec![(2, "7".into()), (3, "8".into())]));
        assert_eq!(taken(&queue, 20), Some(vec![]), "they are taken once");
        assert_eq!(taken(&queue, 30), Some(vec![(4, "9".into()), (1, "5".into())]));
    }

    #[test]
    fn listing_is_due_when_the_first_expires_that_is_not_known() {
        let queue = ExpiryQueue::holding(2);
        for (uid, seconds) in [(1, 40), (2, 20), (3, 30), (4, 50)] {
            queue.add(expiring(uid, seconds, ""));
        }
        assert_eq!(taken(&queue, 20), Some(vec![(2, String::new())]));
        assert_eq!(taken(&queue, 39), Some(vec![(3, String::new())]));
        assert_eq!(taken(&queue, 40), None);
        assert_eq!(
            taken(&queue, 1_000),
            Some(vec![]),
            "it is for the listing to say what is left"
        );
        queue.list_at(at(2_000));
        queue.list_at(at(3_000));
        assert_eq!(taken(&queue, 1_999), Some(vec![]));
        assert_eq!(taken(&queue, 2_000), None);
    }
}
