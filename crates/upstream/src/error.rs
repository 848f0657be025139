//! Why there is no page.

use std::time::Duration;

use arxiv::FetchError;
use jiff::Timestamp;
use storage::{GateError, StorageError};

/// Why there is no page. The text is fit for users; for [`Self::Fetch`] that of its source says more.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// arXiv was asked, and did not answer as it should.
    #[error("there is no page from arXiv")]
    Fetch {
        /// What went wrong.
        source: FetchError,
        /// The end of the pause that everybody makes, if this failure began or prolonged one.
        cooling_until: Option<Timestamp>,
    },
    /// Too many others want to ask arXiv. arXiv was not asked.
    #[error("too many requests are waiting for arXiv")]
    Busy {
        /// When another try may have better luck.
        retry_after: Duration,
    },
    /// Everybody makes a pause because arXiv throttles. arXiv was not asked.
    #[error("requests to arXiv are paused because it throttles")]
    CoolingDown {
        /// The end, by the database's clock.
        until: Timestamp,
        /// The end, from now.
        retry_after: Duration,
    },
    /// The turn was lost in the middle of the request, which was dropped: nothing is known of its outcome.
    #[error("the database was lost while arXiv was asked")]
    Lost(#[source] StorageError),
    /// A database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl UpstreamError {
    /// When another try may have better luck, as far as it is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Fetch { source, .. } => source.retry_after(),
            Self::Busy { retry_after } | Self::CoolingDown { retry_after, .. } => Some(*retry_after),
            Self::Lost(_) | Self::Storage(_) => None,
        }
    }
}

impl From<GateError> for UpstreamError {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Busy { retry_after } => Self::Busy { retry_after },
            GateError::CoolingDown { until, retry_after } => Self::CoolingDown { until, retry_after },
            GateError::Storage(error) => Self::Storage(error),
        }
    }
}
