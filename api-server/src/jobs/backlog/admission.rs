//! Admission: whether one more query may be created.

use std::{sync::Arc, time::Duration};

use crate::{
    error::{ApiError, Code},
    jobs::backlog::Backlog,
};

/// When to come back if too many queries are pending: several turns at arXiv later.
const PENDING_RETRY_AFTER: Duration = Duration::from_secs(15);

/// Maximum numbers of pending queries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quotas {
    /// In the namespace, of all clients.
    pub(crate) total: usize,
    /// Of one client, created by any process.
    pub(crate) per_client: usize,
}

/// The quota that is used up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum QuotaExceeded {
    Total(usize),
    PerClient(usize),
}

impl From<QuotaExceeded> for ApiError {
    fn from(quota: QuotaExceeded) -> Self {
        let (code, detail, name, most) = match quota {
            QuotaExceeded::Total(most) => (
                Code::TooManyPending,
                "Too many queries are waiting for their turn",
                "pending",
                most,
            ),
            QuotaExceeded::PerClient(most) => (
                Code::TooManyPendingOfClient,
                "Too many of your queries are waiting for their turn",
                "pending-of-client",
                most,
            ),
        };
        Self::too_many(code, detail, name, most).retry_after(PENDING_RETRY_AFTER)
    }
}

/// Counts a query as pending before Kubernetes has its object; dropping it undoes that, unless it was committed.
pub(crate) struct Admission {
    backlog: Arc<Backlog>,
    name: String,
    committed: bool,
}

impl Backlog {
    /// Admits a query of this name for the client with this label. This process does not see yet what other processes
    /// are about to create: several together may exceed the quota by the number of creates in flight.
    pub(crate) fn admit(
        self: &Arc<Self>,
        name: &str,
        client: Option<&str>,
    ) -> Result<Admission, QuotaExceeded> {
        let mut state = self.lock();
        if state.pending() >= self.quotas.total {
            return Err(QuotaExceeded::Total(self.quotas.total));
        }
        let of_client = client.and_then(|client| state.of_client.get(client)).copied();
        if of_client.unwrap_or(0) >= self.quotas.per_client {
            return Err(QuotaExceeded::PerClient(self.quotas.per_client));
        }
        // Two requests with one key are about one object.
        if !state.has(name) && !state.creating.contains_key(name) {
            state.count_client(client);
            state.creating.insert(name.to_owned(), client.map(str::to_owned));
        }
        Ok(Admission {
            backlog: Arc::clone(self),
            name: name.to_owned(),
            committed: false,
        })
    }
}

impl Admission {
    /// The query was created: it counts until the watch has seen it.
    pub(crate) fn commit(mut self) {
        self.committed = true;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.committed {
            self.backlog.lock().forget_creating(&self.name);
        }
    }
}
