//! Why a reconciliation did not end well. What a query itself fails with is no error: that is its outcome.

use storage::StorageError;

use crate::process::kubernetes::CallError;

/// A reconciliation that is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A database did not do its part.
    #[error("{step}: {source}")]
    Storage {
        step: &'static str,
        #[source]
        source: StorageError,
    },
    /// The API server of Kubernetes did not do its part.
    #[error("asking Kubernetes: {0}")]
    Kubernetes(#[source] CallError),
    /// Row after row carried the numbers that the sequence gave.
    #[error("{0} numbers in a row are taken by rows of others; does the sequence lag behind the table?")]
    NumbersTaken(u32),
    /// A search without a single page to ask for, which validation does not let through.
    #[error("the search asks for no page")]
    NoPages,
    /// An object without a usable uid, which Kubernetes does not make.
    #[error("the object has no uid")]
    NoUid,
}

impl Error {
    /// A bounded word for metrics.
    pub(crate) fn category(&self) -> &'static str {
        match self {
            Self::Storage { .. } if self.is_database_away() => "database_away",
            Self::Storage { .. } => "database",
            Self::Kubernetes(_) => "kubernetes",
            Self::NumbersTaken(_) => "numbers_taken",
            Self::NoPages | Self::NoUid => "defect",
        }
    }

    /// Whether a database is away: it comes back without anybody touching the query.
    pub(crate) fn is_database_away(&self) -> bool {
        match self {
            Self::Storage { source, .. } => source.is_unavailable(),
            _ => false,
        }
    }

    /// Whether it passes by itself, and readiness tells of it: it is not logged for each query.
    pub(crate) fn is_passing(&self) -> bool {
        self.is_database_away() || matches!(self, Self::Kubernetes(_))
    }
}
