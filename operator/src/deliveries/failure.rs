//! Why an attempt to deliver did not succeed.

use std::time::Duration;

use webhooks::{Answer, SecretError, SendError, TargetError};

/// An attempt that failed. Its text is for the author of the feed: it has neither secrets nor paths of addresses.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The operator has no right.
    #[error(
        "the Secret {0} may not be read: the people who run the system allow that for namespaces (operator.webhooks.namespaces of the chart)"
    )]
    SecretForbidden(String),
    #[error("there is no Secret {0}")]
    NoSecret(String),
    #[error("the Secret {secret} has no key {key}")]
    NoKey { secret: String, key: String },
    #[error("the Secret {secret} has nothing that can be used at {key}: {cause}")]
    Secret {
        secret: String,
        key: String,
        cause: SecretError,
    },
    #[error("{0}")]
    Target(#[from] TargetError),
    #[error("its items are past their age")]
    Expired,
    #[error("{}", service::logs::with_causes(.0))]
    NotSent(#[from] SendError),
    #[error("it answered with status {}{}", .0.status, redirect_note(.0))]
    Refused(Answer),
}

fn redirect_note(answer: &Answer) -> &'static str {
    if (300..400).contains(&answer.status) {
        "; redirects are not followed"
    } else {
        ""
    }
}

/// No attempt, for a reason that has nothing to do with the receiver; after this time there is another one.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(super) struct Postponed {
    pub(super) why: &'static str,
    pub(super) wait: Duration,
    #[source]
    pub(super) cause: Option<crate::controller::error::Error>,
}

impl Failure {
    /// The value of the metric label `outcome`.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::SecretForbidden(_) | Self::NoSecret(_) | Self::NoKey { .. } | Self::Secret { .. } => {
                "secret"
            }
            Self::Target(_) | Self::Expired | Self::NotSent(SendError::Address | SendError::Insecure) => {
                "not_allowed"
            }
            Self::NotSent(SendError::TimedOut) => "timed_out",
            Self::NotSent(_) => "unreachable",
            Self::Refused(answer) if answer.is_gone() => "gone",
            Self::Refused(_) => "refused",
        }
    }

    /// How long the receiver wants to get nothing.
    pub(super) fn pause(&self) -> Option<Duration> {
        match self {
            Self::Refused(answer) => answer.pause,
            _ => None,
        }
    }

    /// Whether no further attempt can succeed before somebody asks for it.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Expired)
    }

    /// Whether the receiver wants nothing any more.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Refused(answer) if answer.is_gone())
    }
}
