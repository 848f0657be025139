//! Why there is no page, and the reason for it in conditions and Events.

use arxiv::{FeedError, FetchError};
use crd::Reason;
use jiff::Timestamp;
use storage::{GateError, StorageError};

/// Why there is no page. The text is fit for users; for [`Self::Fetch`] that of its source says more.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// A request was sent to arXiv, and its answer is missing or unusable.
    #[error("there is no page from arXiv")]
    Fetch {
        /// What went wrong.
        source: FetchError,
        /// The end of the pause of all processes, if this failure began or prolonged one.
        cooling_until: Option<Timestamp>,
    },
    /// The gate did not let the request through. No request was sent.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The gate's lock was lost during the request, which was dropped. Its outcome is unknown.
    #[error("the database was lost during a request to arXiv")]
    Lost(#[source] StorageError),
    /// The page store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<FetchError> for UpstreamError {
    fn from(source: FetchError) -> Self {
        Self::Fetch {
            source,
            cooling_until: None,
        }
    }
}

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
        FetchError::ContentEncoding | FetchError::Feed(_) => Reason::BrokenFeed,
        FetchError::Incomplete => Reason::IncompleteFeed,
    }
}
