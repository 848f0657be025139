//! Why a reconciliation did not end well. A failure of the query itself is no error: it is the query's
//! result.

use storage::StorageError;

use crate::process::{claims::ClaimError, kubernetes::CallError};

/// A reconciliation that is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A database operation failed.
    #[error("{operation}: {source}")]
    Storage {
        operation: &'static str,
        source: StorageError,
    },
    /// A call to Kubernetes failed.
    #[error("calling Kubernetes: {0}")]
    Kubernetes(#[from] CallError),
    /// Foreign rows carried many numbers of the sequence, one after the other.
    #[error("{0} numbers in a row are taken by foreign rows; is the sequence behind its table?")]
    NumbersTaken(u32),
    /// A run of a feed, for a reason that its status has.
    #[error("a run cannot be created: {0}")]
    RunNotCreated(String),
    /// What validation or Kubernetes rules out.
    #[error("{0}")]
    Defect(&'static str),
}

impl From<ClaimError> for Error {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Storage(source) => Self::storage("reading the id of this installation")(source),
            ClaimError::Kubernetes(error) => Self::Kubernetes(error),
        }
    }
}

impl Error {
    /// Adds to a storage error which operation failed.
    pub(crate) fn storage(operation: &'static str) -> impl FnOnce(StorageError) -> Self {
        move |source| Self::Storage { operation, source }
    }

    /// The value of the metric label `category`, from a fixed set.
    pub(crate) fn category(&self) -> &'static str {
        match self {
            Self::Storage { .. } if self.is_database_unavailable() => "database_unavailable",
            Self::Storage { .. } => "database",
            Self::Kubernetes(_) | Self::RunNotCreated(_) => "kubernetes",
            Self::NumbersTaken(_) => "numbers_taken",
            Self::Defect(_) => "defect",
        }
    }

    /// Whether a database is unavailable: it comes back without any change to the query.
    pub(crate) fn is_database_unavailable(&self) -> bool {
        matches!(self, Self::Storage { source, .. } if source.is_unavailable())
    }

    /// Whether it is temporary and shown by readiness: then it is not logged for each query. A refusal of Kubernetes is
    /// about one object: a policy or a missing right.
    pub(crate) fn is_temporary(&self) -> bool {
        self.is_database_unavailable() || matches!(self, Self::Kubernetes(error) if !error.is_refused())
    }
}
