//! What the failures of the other parts are to a client.

use http::StatusCode;
use storage::StorageError;

use super::{ApiError, Code, Detail};
use crate::wire::problem::Problems;

impl From<Problems> for ApiError {
    fn from(problems: Problems) -> Self {
        Self {
            detail: Detail::Problems(problems),
            ..Self::new(Code::InvalidParameter, "").with_status(StatusCode::UNPROCESSABLE_ENTITY)
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        if error.is_unavailable() {
            tracing::warn!(error = &error as &dyn std::error::Error, "a database is away");
            Self::unavailable(Code::DatabaseAway)
        } else {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a database operation failed"
            );
            Self::internal()
        }
    }
}
