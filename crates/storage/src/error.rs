//! Failures of a database, distinguished by what the caller can do about them.

use std::sync::Arc;

use std::{error, fmt};

use sqlx::Error;

/// A failed operation on a database. Its `Display` is safe for users (no SQL, hosts or names); the cause is its source, shared by
/// clones: one statement may fail for several callers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// The database is unreachable, overloaded, starting, stopping, in recovery, or refuses the credential: worth another try.
    #[error("the database is not available")]
    Unavailable(#[source] Arc<Cause>),
    /// The database did not answer in time, or no connection was free in time.
    #[error("the database did not answer in time")]
    TimedOut,
    /// A URL that is not a usable `postgresql://` one; says what is wrong with it, and never shows it.
    #[error("the database URL cannot be used: {0}")]
    Url(&'static str),
    /// The tables, or this user's rights to them, are missing: the migrations have not run.
    #[error("the database is not prepared: its migrations have not run")]
    NotPrepared(#[source] Arc<Cause>),
    /// Anything else: a defect of ours or of the data.
    #[error("the database refused the operation")]
    Refused(#[source] Arc<Cause>),
    /// A value in a table does not have the form that it should have.
    #[error("the database holds a value that cannot be read")]
    Unreadable,
    /// A stored page that was found before does not exist any more, or is another version.
    #[error("a stored page no longer exists")]
    PageGone,
    /// A run belongs to a feed that is not registered, or no longer.
    #[error("the feed of this run is not registered")]
    FeedUnknown,
    /// A migration failed; the text is for the operator of the database.
    #[error("{message}")]
    Migration {
        /// What failed and what to do about it.
        message: String,
        /// The cause, if the database gave one.
        #[source]
        source: Option<Arc<dyn error::Error + Send + Sync>>,
    },
}

/// What sqlx says, with the SQLSTATE or the kind of an I/O error, by which the failure can be looked up. For logs.
#[derive(Debug)]
pub struct Cause(pub(crate) Error);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match &self.0 {
            Error::Io(error) => write!(f, " ({:?})", error.kind()),
            error => sqlstate(error).map_or(Ok(()), |code| write!(f, " (SQLSTATE {code})")),
        }
    }
}

impl error::Error for Cause {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source()
    }
}

impl StorageError {
    /// Whether the same operation may succeed later without a change to it.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::TimedOut | Self::NotPrepared(_))
    }

    /// Whether the database rejected a value that it was given: too long or too large, or not one of its type
    /// (SQLSTATE classes 22, data exception, and 54, program limit exceeded).
    pub fn is_invalid_value(&self) -> bool {
        let code = self.sqlstate().filter(|_| matches!(self, Self::Refused(_)));
        code.is_some_and(|code| code.starts_with("22") || code.starts_with("54"))
    }

    /// Whether the connection broke, was closed by an administrator (SQLSTATE 57P01), or leads to a server that is read-only (25006):
    /// the next one may be as good as new.
    pub(crate) fn is_about_connection(&self) -> bool {
        matches!(self, Self::Unavailable(cause) if matches!(cause.0, Error::Io(_)))
            || matches!(self.sqlstate().as_deref(), Some("25006" | "57P01"))
    }

    /// Whether one of several things that were done together may be the reason, and the others may succeed without it: not where the
    /// database is unavailable to all. A deadlock (40P01), a lock that another has (55P03), a statement that takes too long (57014).
    pub(crate) fn may_be_of_one(&self) -> bool {
        !self.is_unavailable() || matches!(self.sqlstate().as_deref(), Some("40P01" | "55P03" | "57014"))
    }

    /// The SQLSTATE that the database answered with, if it did.
    pub(crate) fn sqlstate(&self) -> Option<String> {
        match self {
            Self::Unavailable(error) | Self::NotPrepared(error) | Self::Refused(error) => sqlstate(&error.0),
            _ => None,
        }
    }

    pub(crate) fn migration(message: impl Into<String>) -> Self {
        Self::Migration {
            message: message.into(),
            source: None,
        }
    }
}

pub(crate) fn sqlstate(error: &Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

impl From<Error> for StorageError {
    fn from(error: Error) -> Self {
        match &error {
            Error::PoolTimedOut => Self::TimedOut,
            // Configuration: an address, or a part of it, that cannot be read at present.
            Error::Io(_)
            | Error::Tls(_)
            | Error::Protocol(_)
            | Error::Configuration(_)
            | Error::PoolClosed
            | Error::WorkerCrashed => Self::Unavailable(Arc::new(Cause(error))),
            Error::Database(answer) => match answer.code().as_deref() {
                Some(code) if is_passing(code) => Self::Unavailable(Arc::new(Cause(error))),
                Some("42P01" | "42703" | "42883" | "3F000" | "42501") => {
                    Self::NotPrepared(Arc::new(Cause(error)))
                }
                _ => Self::Refused(Arc::new(Cause(error))),
            },
            _ => Self::Refused(Arc::new(Cause(error))),
        }
    }
}

/// SQLSTATEs of conditions that end by themselves, or that an administrator ends
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn is_passing(code: &str) -> bool {
    // 25006: read-only (a demoted primary); 40001: also a replica's recovery conflict; 40P01: deadlock;
    // 55P03: lock time-out; 3D000: the database is not created yet.
    const CODES: [&str; 5] = ["25006", "40001", "40P01", "55P03", "3D000"];
    // 08 connection, 28 credential (being rotated), 53 resources, 57 operator's intervention, 58 system error.
    const CLASSES: [&str; 5] = ["08", "28", "53", "57", "58"];
    CODES.contains(&code) || CLASSES.iter().any(|class| code.starts_with(class))
}
