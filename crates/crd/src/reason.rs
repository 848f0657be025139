//! Why a query waits or how it ended, in one word: the `reason` of conditions, Events and tombstones.
//!
//! The operator writes them and the API server maps them to error codes. Both match without a wildcard, so a
//! new reason does not compile until both sides handle it.

use crate::Phase;

words! {
    /// The `reason` of a condition, an Event or a tombstone. Written in CamelCase, as Kubernetes wants it.
    pub enum Reason {
        // Not finished.
        /// The query waits for its turn. Nothing to do.
        Pending,
        /// The query has had a turn and needs more: further slices, or a retry. Nothing to do.
        Running,
        /// `spec.suspend` is true. The query goes on when it is false.
        Suspended,
        /// arXiv throttles, and every process pauses until `status.retryAfter`. Nothing to do. If it happens
        /// often, another program with the same address may be querying arXiv; the operator of the system can
        /// check that.
        UpstreamThrottled,
        /// arXiv does not answer. Retried until it does. If it lasts, the operator of the system checks the
        /// network, the proxy and arXiv's status page.
        UpstreamUnreachable,
        /// A database does not answer. Retried until it does. The operator of the system checks the database.
        DatabaseUnavailable,
        /// Only in Events: a request failed in a way that counts against `spec.backoffLimit`, and is retried.
        /// Nothing to do.
        Retrying,

        // Finished.
        /// The rows are recorded.
        Succeeded,
        /// The query failed for a reason that this version does not know: a newer version recorded it, before a
        /// rollback. The message says why.
        Failed,

        // Failed before any request.
        /// The spec is not a search that can be sent to arXiv. The caller changes the search.
        InvalidSearch,

        // Failed at arXiv.
        /// arXiv refused the search (status 400). The caller changes the search.
        SearchRefused,
        /// arXiv throttles (429, 503, or its "Rate exceeded" page), and the query does not wait. The caller comes
        /// back after `status.retryAfter`.
        Throttled,
        /// There was no connection to arXiv. The caller tries later; the operator of the system checks network
        /// and proxy.
        Unreachable,
        /// The connection to arXiv broke before or within the answer. The caller tries later.
        ConnectionLost,
        /// arXiv did not answer within `ARXIV_TIMEOUT_MS`. The caller tries later, or asks for fewer papers.
        TimedOut,
        /// The request was cancelled, because nobody waited for it or the process ended. The caller tries again.
        Cancelled,
        /// This process could not send a request. The operator of the system reads the log.
        NotSent,
        /// arXiv answered with a status that has no reason of its own, as 403, 404 or 500. The caller tries
        /// later.
        UnexpectedStatus,
        /// arXiv answered with a redirect that is not followed, to another host for example. The operator of the
        /// system checks `ARXIV_API_URL`.
        BadRedirect,
        /// The answer is not XML. The operator of the system checks `ARXIV_API_URL` and the proxy.
        NotAFeed,
        /// The answer is a feed that reports an error, under a status other than 400. The caller changes the
        /// search if it fails again.
        ErrorFeed,
        /// The answer is not a well-formed feed, or exceeds the limits for one. The caller changes the search if
        /// it fails again.
        BrokenFeed,
        /// The answer lacks entries that it says exist, after several requests. The caller tries later.
        IncompleteFeed,

        // Failed on this side.
        /// The query waited `spec.pendingDeadlineSeconds` without a request to arXiv. The caller tries later, or allows
        /// a longer wait or a higher priority.
        PendingDeadlineExceeded,
        /// The query was not done `spec.activeDeadlineSeconds` after its first request. The caller tries later,
        /// or sets a longer deadline. The papers that were fetched stay stored, so the next query starts from
        /// there.
        DeadlineExceeded,
        /// arXiv answered, and the database refused to store the answer. The caller tries later; the operator of
        /// the system reads the log and checks the database.
        NotStored,
    }
}

impl Reason {
    /// The reason that a failed query was recorded with; [`Self::Failed`] if this version does not know it.
    pub fn of_failure(text: &str) -> Self {
        let mut all = Self::ALL.iter().copied();
        all.find(|reason| reason.as_str() == text).unwrap_or(Self::Failed)
    }
}

/// The reason that says no more than the phase.
impl From<Phase> for Reason {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Pending => Self::Pending,
            Phase::Running => Self::Running,
            Phase::Suspended => Self::Suspended,
            Phase::Succeeded => Self::Succeeded,
            Phase::Failed => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_parsed_from_its_text() {
        for reason in Reason::ALL {
            assert_eq!(Reason::of_failure(reason.as_str()), *reason);
            // What Kubernetes accepts as a condition's reason.
            let is_camel_case = reason.as_str().starts_with(|c: char| c.is_ascii_uppercase())
                && reason.as_str().chars().all(|c| c.is_ascii_alphanumeric());
            assert!(is_camel_case, "{reason}");
        }
    }

    #[test]
    fn unknown_reason_of_a_failed_query_is_failed() {
        assert_eq!(Reason::of_failure("FromTheFuture"), Reason::Failed);
        assert_eq!(Reason::of_failure("NotStored"), Reason::NotStored);
    }

    #[test]
    fn every_phase_is_a_reason_of_the_same_text() {
        use Phase::{Failed, Pending, Running, Succeeded, Suspended};
        for phase in [Pending, Running, Suspended, Succeeded, Failed] {
            assert_eq!(Reason::from(phase).as_str(), phase.as_str());
        }
    }
}
