//! What the failures of the other parts are to a client.

use std::time::Duration;

use http::StatusCode;
use storage::StorageError;

use crate::error::{ApiError, Code, Detail};
use crate::{jobs::backlog::Full, limits::headers::Bound, wire::problem::Problems};

/// When to come back if too many queries are pending: several turns at arXiv later.
const PENDING_RETRY_AFTER: Duration = Duration::from_secs(15);

impl From<Problems> for ApiError {
    fn from(problems: Problems) -> Self {
        Self {
            detail: Detail::Problems(problems),
            ..Self::new(Code::InvalidParameter, "").with_status(StatusCode::UNPROCESSABLE_ENTITY)
        }
    }
}

impl From<Full> for ApiError {
    fn from(full: Full) -> Self {
        let (code, detail, bound) = match full {
            Full::InAll(most) => (
                Code::TooManyPending,
                "Too many queries are waiting for their turn",
                Bound::Pending { most },
            ),
            Full::OfClient(most) => (
                Code::TooManyPendingOfClient,
                "Too many of your queries are waiting for their turn",
                Bound::PendingOfClient { most },
            ),
        };
        Self::new(code, detail)
            .retry_after(PENDING_RETRY_AFTER)
            .bound(bound)
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        if error.is_unavailable() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a database is unavailable"
            );
            Self::unavailable(Code::DatabaseUnavailable)
        } else {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a database operation failed"
            );
            Self::internal()
        }
    }
}
