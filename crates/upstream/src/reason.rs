//! The reason that a failed request has in conditions and Events. [`arxiv`] knows nothing of Kubernetes, so
//! the mapping is here, where both are known.

use arxiv::{FeedError, FetchError};
use crd::Reason;

/// The reason of a failed request to arXiv.
pub fn reason(error: &FetchError) -> Reason {
    match error {
        FetchError::Refused { .. } => Reason::SearchRefused,
        FetchError::Throttled { .. } => Reason::Throttled,
        FetchError::Connect(_) => Reason::Unreachable,
        FetchError::Dropped(_) | FetchError::Interrupted(_) => Reason::ConnectionLost,
        FetchError::TimedOut => Reason::TimedOut,
        FetchError::Cancelled => Reason::Cancelled,
        FetchError::NotSent(_) => Reason::NotSent,
        FetchError::Status(_) => Reason::UnexpectedStatus,
        FetchError::Redirect(_) => Reason::BadRedirect,
        FetchError::ContentType => Reason::NotAFeed,
        FetchError::Feed(FeedError::Reported(_)) => Reason::ErrorFeed,
        FetchError::Feed(_) => Reason::BrokenFeed,
        FetchError::Incomplete => Reason::IncompleteFeed,
    }
}
