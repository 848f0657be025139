//! Failures of other crates as answers to a client.

use http::StatusCode;
use storage::StorageError;

use crate::error::{ApiError, Code, Detail};
use wire::field_error::FieldErrors;

impl From<FieldErrors> for ApiError {
    fn from(problems: FieldErrors) -> Self {
        Self {
            detail: Detail::FieldErrors(problems),
            ..Self::new(Code::InvalidParameter, "").with_status(StatusCode::UNPROCESSABLE_ENTITY)
        }
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
