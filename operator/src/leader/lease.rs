//! The Lease that the processes of one installation share: its content, and when it may be taken. By the
//! rules of client-go, so that differing clocks do no harm: a lease has expired when this process has seen no
//! change of it for its whole duration. The times in it are for people.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::MicroTime};
use tokio::time::Instant;

/// How long a lease is valid after its last renewal.
pub(crate) const DURATION: Duration = Duration::from_secs(10);
/// How often its holder renews it.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(3);
/// After so long without a renewal its holder gives up: before others may take it, with time to abort its
/// work.
pub(crate) const GIVE_UP_AFTER: Duration = Duration::from_secs(8);
/// The longest duration that is accepted from a lease.
const MAX_DURATION: Duration = Duration::from_mins(5);

/// The latest change of the lease that this process has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen(Option<(Option<String>, Instant)>);

impl Seen {
    /// Whether `me` may take the lease, which was read at `now`.
    pub(crate) fn is_free(&mut self, lease: &Lease, me: &str, now: Instant) -> bool {
        let holder = holder(lease);
        // Ours, from a leadership whose renewals failed.
        if holder.is_empty() || holder == me {
            return true;
        }
        let version = &lease.metadata.resource_version;
        match &self.0 {
            Some((seen, since)) if seen == version => {
                let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
                let lasts = seconds.and_then(|seconds| u64::try_from(seconds).ok());
                let lasts = lasts.map_or(DURATION, Duration::from_secs).min(MAX_DURATION);
                now.duration_since(*since) >= lasts
            }
            _ => {
                self.0 = Some((version.clone(), now));
                false
            }
        }
    }
}

/// The name of the lease of the processes of a class.
pub(crate) fn name(base: &str, class: &str) -> String {
    match class {
        crd::DEFAULT_CLASS => base.to_owned(),
        class => format!("{base}-{class}"),
    }
}

/// The process that holds the lease; empty if none does.
pub(crate) fn holder(lease: &Lease) -> &str {
    let spec = lease.spec.as_ref();
    spec.and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default()
}

/// The first lease.
pub(crate) fn new(name: &str, me: &str, now: Timestamp) -> Lease {
    let mut lease = Lease::default();
    lease.metadata.name = Some(name.to_owned());
    taken(lease, me, now)
}

/// The lease with a new holder. The resourceVersion stays, so that the first of several writers gets it.
pub(crate) fn taken(lease: Lease, me: &str, now: Timestamp) -> Lease {
    let mut lease = renewed(lease, now);
    let spec = lease.spec.get_or_insert_default();
    spec.lease_transitions = match spec.holder_identity.replace(me.to_owned()) {
        None => Some(0),
        Some(_) => Some(spec.lease_transitions.unwrap_or(0).saturating_add(1)),
    };
    spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
    spec.acquire_time = Some(MicroTime(now));
    lease
}

/// The lease, renewed.
pub(crate) fn renewed(mut lease: Lease, now: Timestamp) -> Lease {
    lease.spec.get_or_insert_default().renew_time = Some(MicroTime(now));
    lease
}

/// The lease without a holder, so that the next process can take it without delay.
pub(crate) fn released(lease: Lease, now: Timestamp) -> Lease {
    let mut lease = renewed(lease, now);
    lease.spec.get_or_insert_default().holder_identity = Some(String::new());
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(by: &str, version: &str, seconds: Option<i32>) -> Lease {
        let mut lease = new("lease", by, Timestamp::UNIX_EPOCH);
        lease.metadata.resource_version = Some(version.to_owned());
        lease.spec.as_mut().unwrap().lease_duration_seconds = seconds;
        lease
    }

    #[test]
    fn lease_is_free_when_unchanged_for_its_duration() {
        let start = Instant::now();
        let mut seen = Seen::default();
        #[rustfmt::skip]
        let cases = [
            // Seconds, the lease that is read then, whether it is free.
            (0, held("other", "1", Some(10)), false),
            (9, held("other", "1", Some(10)), false),
            (10, held("other", "1", Some(10)), true),
            (11, held("other", "2", Some(10)), false),
            (20, held("other", "2", Some(10)), false),
            (20, held("third", "3", Some(2)), false),
            (22, held("third", "3", Some(2)), true),
            (23, held("", "4", Some(10)), true),
            (24, held("me", "5", Some(10)), true),
            (25, held("other", "6", None), false),
            (34, held("other", "6", None), false),
            (35, held("other", "6", None), true),
            (36, held("other", "7", Some(i32::MAX)), false),
            (335, held("other", "7", Some(i32::MAX)), false),
            (336, held("other", "7", Some(i32::MAX)), true),
            (337, Lease::default(), true),
        ];
        for (seconds, lease, free) in cases {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(
                seen.is_free(&lease, "me", now),
                free,
                "after {seconds} s: {lease:?}"
            );
        }
    }

    #[test]
    fn taken_and_released_leases_keep_their_version() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = held("first", "7", Some(10));
        let second = taken(first, "second", at(20));
        assert_eq!(second.metadata.resource_version.as_deref(), Some("7"));
        let spec = second.spec.clone().unwrap();
        assert_eq!(spec.holder_identity.as_deref(), Some("second"));
        assert_eq!(spec.lease_transitions, Some(1));
        assert_eq!(spec.acquire_time, Some(MicroTime(at(20))));
        let free = released(renewed(second, at(23)), at(24));
        let spec = free.spec.clone().unwrap();
        assert_eq!(spec.holder_identity.as_deref(), Some(""));
        assert_eq!(spec.acquire_time, Some(MicroTime(at(20))));
        assert_eq!(spec.renew_time, Some(MicroTime(at(24))));
        assert_eq!(
            taken(free, "third", at(25)).spec.unwrap().lease_transitions,
            Some(2)
        );
    }
}
