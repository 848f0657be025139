//! What can go wrong with a request, and what it means for the caller.

use std::io;
use std::time::Duration;

use crate::{FeedError, RedirectError};

/// The classes of failed requests, by what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// arXiv refuses the search itself: another request would fail too.
    Invalid,
    /// arXiv throttles: everybody has to slow down.
    Throttled,
    /// There was no answer.
    Unreachable,
    /// The answer is unusable; the next one may be better.
    Broken,
}

/// Why there is no answer. The text is fit for users: it names no host and no address.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// arXiv answered with status 400, with its reason if it gave one.
    #[error("arXiv refused the search{}", .reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    Refused {
        /// arXiv's own words.
        reason: Option<String>,
    },
    /// arXiv answered with status 429 or 503, or says so with status 200.
    #[error("arXiv asked to slow down (status {status})")]
    Throttled {
        /// The status; 429 for an answer that carried status 200.
        status: u16,
        /// The pause that the answer asks for.
        retry_after: Option<Duration>,
    },
    /// There was no connection.
    #[error("arXiv could not be reached")]
    Connect(#[source] reqwest::Error),
    /// The connection broke before the answer's head came.
    #[error("the connection to arXiv broke before the answer")]
    Dropped(#[source] reqwest::Error),
    /// The connection broke within the answer.
    #[error("the connection to arXiv broke within the answer")]
    Interrupted(#[source] io::Error),
    /// The deadline passed.
    #[error("arXiv did not answer in time")]
    TimedOut,
    /// The caller took the request back.
    #[error("the request to arXiv was dropped")]
    Cancelled,
    /// This process could not send a request.
    #[error("no request could be sent to arXiv")]
    NotSent(#[source] io::Error),
    /// arXiv answered with a status that is none of the above.
    #[error("arXiv answered with status {0}")]
    Status(u16),
    /// The answer is a redirect that is not followed.
    #[error("arXiv's answer is a redirect {0}")]
    Redirect(RedirectError),
    /// The answer is said not to be XML.
    #[error("arXiv's answer is not a feed")]
    ContentType,
    /// The answer is compressed in a way that is not known here.
    #[error("arXiv's answer has an unknown content encoding")]
    ContentEncoding,
    /// The answer's body is not the feed that it should be.
    #[error("arXiv's answer {0}")]
    Feed(#[source] FeedError),
    /// The answer is a feed without entries although it says that there are more, time and again.
    #[error("arXiv's answer lacks entries that it says exist")]
    Incomplete,
}

impl FetchError {
    /// The class, which says what to do next.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Refused { .. } => FailureClass::Invalid,
            Self::Throttled { .. } => FailureClass::Throttled,
            Self::Connect(_)
            | Self::Dropped(_)
            | Self::Interrupted(_)
            | Self::TimedOut
            | Self::Cancelled
            | Self::NotSent(_) => FailureClass::Unreachable,
            Self::Status(_)
            | Self::Redirect(_)
            | Self::ContentType
            | Self::ContentEncoding
            | Self::Feed(_)
            | Self::Incomplete => FailureClass::Broken,
        }
    }

    /// The HTTP status for the caller who asked for this search.
    pub fn caller_status(&self) -> u16 {
        match (self, self.class()) {
            (Self::Throttled { status, .. } | Self::Status(status @ (403 | 404 | 500)), _) => *status,
            (_, FailureClass::Invalid) => 400,
            (_, FailureClass::Broken) => 502,
            (_, FailureClass::Throttled | FailureClass::Unreachable) => 503,
        }
    }

    /// The pause that arXiv asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<FeedError> for FetchError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Read(error) => Self::Interrupted(error),
            error => Self::Feed(error),
        }
    }
}
