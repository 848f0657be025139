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

/// Counts a query as pending before Kubernetes has its object; dropping it undoes that, unless it was committed.
pub(crate) struct Admission {
    backlog: Arc<Backlog>,
    name: String,
    committed: bool,
}

impl Backlog {
    /// Admits a query of this name for the client with this label; 429 when a quota is used up. This process does not
    /// see yet what other processes are about to create: several together may exceed the quota by the number of creates
    /// in flight.
    pub(crate) fn admit(self: &Arc<Self>, name: &str, client: Option<&str>) -> Result<Admission, ApiError> {
        let Quotas { total, per_client } = self.quotas;
        let mut state = self.lock();
        let (pending, pending_of_client) = state.pending(client);
        let too_many = |code, text, limit, most| {
            Err(ApiError::too_many(code, text, limit, most).retry_after(PENDING_RETRY_AFTER))
        };
        if pending >= total {
            let text = "Too many queries are waiting for their turn";
            return too_many(Code::TooManyPending, text, "pending", total);
        }
        if pending_of_client >= per_client {
            let text = "Too many of your queries are waiting for their turn";
            return too_many(
                Code::TooManyPendingOfClient,
                text,
                "pending-of-client",
                per_client,
            );
        }
        // Two requests with one key are about one object.
        if !state.has(name) && !state.creating.contains_key(name) {
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
            self.backlog.lock().creating.remove(&self.name);
        }
    }
}
