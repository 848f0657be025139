//! What one process accepts at a time. [`table`] has all limits, [`fair`] the rule that divides each of them among clients,
//! [`budget`] and [`slots`] the two types: memory, and numbers of things at once.

pub(crate) mod budget;
pub(crate) mod client;
pub(crate) mod connections;
pub(crate) mod fair;
pub(crate) mod headers;
mod metrics;
pub(crate) mod rate;
pub(crate) mod request_body;
pub(crate) mod response_memory;
pub(crate) mod slots;
pub(crate) mod streams;
pub(crate) mod table;

use std::sync::LazyLock;

use crate::limits::{request_body::BodyBudget, response_memory::ResponseBudget, slots::Slots};

/// The slots of compressed responses: one set for the process, since the middleware has no other state.
pub(crate) static COMPRESSIONS: LazyLock<Slots> = LazyLock::new(|| Slots::new(&table::COMPRESSIONS));

/// The limits of this process that are not of one endpoint alone. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct ProcessLimits {
    pub(crate) request_bodies: BodyBudget,
    pub(crate) rows: ResponseBudget,
    pub(crate) papers: ResponseBudget,
    pub(crate) waiters: Slots,
    pub(crate) streams: Slots,
    pub(crate) list_pages: Slots,
    pub(crate) long_bodies: Slots,
    pub(crate) kubernetes_requests: Slots,
    pub(crate) reviews: Slots,
}

impl Default for ProcessLimits {
    fn default() -> Self {
        Self {
            request_bodies: BodyBudget::new(),
            rows: ResponseBudget::rows(),
            papers: ResponseBudget::papers(),
            waiters: Slots::new(&table::WAITERS),
            streams: Slots::new(&table::STREAMS),
            list_pages: Slots::new(&table::LIST_PAGES),
            long_bodies: Slots::new(&table::LONG_BODIES),
            kubernetes_requests: Slots::new(&table::KUBERNETES_REQUESTS),
            reviews: Slots::new(&table::REVIEWS),
        }
    }
}
