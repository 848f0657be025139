//! Limits of memory.

use std::sync::Arc;

use tokio::time::timeout;

use crate::{
    error::{ApiError, Code},
    limits::{
        client::Client,
        fair::{FairSemaphore, Permit},
        table::LimitSpec,
    },
};

/// An amount of memory, shared by all clients of this process. Counted in KiB.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: &'static LimitSpec,
    kib: FairSemaphore,
}

impl Budget {
    pub(crate) fn new(limit: &'static LimitSpec) -> Self {
        Self(Arc::new(Inner {
            limit,
            kib: FairSemaphore::new(limit.size.units()),
        }))
    }

    /// The row of the table.
    pub(crate) fn limit(&self) -> &'static LimitSpec {
        self.0.limit
    }

    /// How many bytes are reserved.
    pub(crate) fn used(&self) -> usize {
        self.0.kib.used() * 1024
    }

    /// What one client may have, in KiB.
    pub(super) fn share_kib(&self) -> usize {
        self.0.kib.share()
    }

    /// Memory, if it is free now.
    pub(super) fn try_reserve(&self, client: Option<&Client>, kib: usize) -> Option<Permit> {
        self.0.kib.try_acquire(client, kib).ok()
    }

    /// Memory, now or within the limit's waiting time; 503 after that.
    pub(super) async fn reserve(&self, client: Option<&Client>, kib: usize) -> Result<Permit, ApiError> {
        if let Some(permit) = self.try_reserve(client, kib) {
            return Ok(permit);
        }
        let permit = timeout(self.0.limit.when_full.wait(), self.0.kib.acquire(client, kib)).await;
        permit.ok().flatten().ok_or_else(overloaded)
    }

    #[cfg(test)]
    pub(super) fn clients(&self) -> usize {
        self.0.kib.clients()
    }
}

/// 503: the limit is used up.
pub(super) fn overloaded() -> ApiError {
    ApiError::unavailable(Code::Overloaded)
}
