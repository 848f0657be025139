//! When finished objects expire.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crd::ArxivQuery;
use jiff::Timestamp;

/// When the object's time to live has passed since its end. Without a time to live in the spec it is kept: GitOps would create a
/// deleted object again, as a new search.
pub(super) fn expires_at(object: &ArxivQuery) -> Option<Timestamp> {
    let ttl = object.spec.ttl_seconds_after_finished?;
    let ttl = Duration::from_secs(u64::try_from(ttl).ok()?);
    let status = object.status.as_ref().filter(|status| status.phase.is_final())?;
    let ended = status.completion_time.as_ref()?;
    ended.0.checked_add(ttl).ok()
}

/// When the next object expires. Until then no listing finds one, however many objects there are: a listing makes Kubernetes read
/// all of them.
pub(crate) struct NextExpiry(Mutex<Timestamp>);

impl Default for NextExpiry {
    /// Nothing is known to expire.
    fn default() -> Self {
        Self(Mutex::new(Timestamp::MAX))
    }
}

impl NextExpiry {
    /// An object expires then.
    pub(super) fn add(&self, at: Timestamp) {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *next = at.min(*next);
    }

    /// Whether it is time for a listing. If so, all that it finds and does not delete is to be added again.
    pub(super) fn take(&self, now: Timestamp) -> bool {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = *next <= now;
        if is_due {
            *next = Timestamp::MAX;
        }
        is_due
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

    #[test]
    fn listing_is_due_when_the_first_of_the_objects_expires() {
        let next = NextExpiry::default();
        assert!(!next.take(at(1_000)), "nothing is known");
        next.add(at(30));
        next.add(at(20));
        next.add(at(40));
        assert!(!next.take(at(19)));
        assert!(next.take(at(20)));
        assert!(!next.take(at(1_000)), "it is for the listing to say what is left");
    }
}
