//! Whether one more query is taken.

use std::{sync::Arc, time::Duration};

use crate::{
    error::{ApiError, Code, Limit},
    jobs::backlog::Backlog,
};

/// When to come back if too many queries are pending: several turns at arXiv later.
const PENDING_RETRY_AFTER: Duration = Duration::from_secs(15);

/// Most queries that may be pending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// In the namespace, whoever made them.
    pub(crate) in_all: usize,
    /// Made for one client, by whichever process.
    pub(crate) of_client: usize,
}

/// The bound that is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Full {
    InAll(usize),
    OfClient(usize),
}

impl From<Full> for ApiError {
    fn from(full: Full) -> Self {
        let (code, detail, limit) = match full {
            Full::InAll(most) => (
                Code::TooManyPending,
                "Too many queries are waiting for their turn",
                Limit::Pending { most },
            ),
            Full::OfClient(most) => (
                Code::TooManyPendingOfClient,
                "Too many of your queries are waiting for their turn",
                Limit::PendingOfClient { most },
            ),
        };
        Self::new(code, detail)
            .retry_after(PENDING_RETRY_AFTER)
            .bound(limit)
    }
}

/// A query that counts as pending before Kubernetes has it; given back when dropped, unless it was made.
pub(crate) struct Admission {
    backlog: Arc<Backlog>,
    name: String,
    made: bool,
}

impl Backlog {
    /// Takes a query of this name for the client with this label. What other processes are about to make is not seen
    /// yet: several together may overshoot by what they have under way.
    pub(crate) fn admit(self: &Arc<Self>, name: &str, client: Option<&str>) -> Result<Admission, Full> {
        let mut state = self.lock();
        if state.pending() >= self.bounds.in_all {
            return Err(Full::InAll(self.bounds.in_all));
        }
        let of_client = client.and_then(|client| state.of_client.get(client)).copied();
        if of_client.unwrap_or(0) >= self.bounds.of_client {
            return Err(Full::OfClient(self.bounds.of_client));
        }
        // Two requests with one key are about one object.
        if !state.has(name) && !state.coming.contains_key(name) {
            state.count_client(client);
            state.coming.insert(name.to_owned(), client.map(str::to_owned));
        }
        Ok(Admission {
            backlog: Arc::clone(self),
            name: name.to_owned(),
            made: false,
        })
    }
}

impl Admission {
    /// The query was made: it counts until the watch has seen it.
    pub(crate) fn made(mut self) {
        self.made = true;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.made {
            self.backlog.lock().forget_coming(&self.name);
        }
    }
}
