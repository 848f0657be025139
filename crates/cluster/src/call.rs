//! One call in bounded time, and the classes of its errors.

use std::{iter::successors, time::Duration};

use kube::Error;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// An error of the client, or an error that the server answered.
    #[error(transparent)]
    Call(#[from] Error),
    /// The server did not answer in time; it may have got the call.
    #[error("no answer in {0:?}")]
    TimedOut(Duration),
}

impl CallError {
    /// The HTTP status, if the server answered.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Call(Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }

    /// Whether the server understood the call and will refuse it again.
    pub fn is_refused(&self) -> bool {
        self.code()
            .is_some_and(|code| (400..500).contains(&code) && code != 429 && code != 408)
    }

    /// Whether the call may have taken effect nevertheless.
    pub fn is_uncertain(&self) -> bool {
        match self {
            Self::TimedOut(_) => true,
            Self::Call(Error::Service(cause)) => !is_connect(cause.as_ref()),
            Self::Call(Error::Api(status)) => status.code >= 500,
            Self::Call(error) => !matches!(error, Error::BuildRequest(_) | Error::Auth(_)),
        }
    }

    /// Whether the same call may succeed soon. Not where the server asks to slow down: that takes longer.
    pub fn is_transient(&self) -> bool {
        self.code().is_none_or(|code| code >= 500)
    }
}

/// Whether no connection came about, so that nothing was sent.
fn is_connect(error: &(dyn std::error::Error + 'static)) -> bool {
    successors(Some(error), |error| error.source()).any(|error| {
        error
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect)
    })
}

/// A call that takes `limit` at most.
pub async fn within<T>(limit: Duration, call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(CallError::TimedOut(limit)),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn errors_are_classified_by_status() {
        for (code, refused, uncertain, transient) in [
            (403, true, false, false),
            (409, true, false, false),
            (408, false, false, false),
            (429, false, false, false),
            (500, false, true, true),
            (503, false, true, true),
        ] {
            let status = Status {
                code,
                ..Status::default()
            };
            let error = CallError::from(Error::Api(Box::new(status)));
            assert_eq!(
                (error.is_refused(), error.is_uncertain(), error.is_transient()),
                (refused, uncertain, transient),
                "{code}"
            );
        }
        let late = CallError::TimedOut(Duration::from_secs(1));
        assert!(!late.is_refused() && late.is_uncertain() && late.is_transient());
    }
}
