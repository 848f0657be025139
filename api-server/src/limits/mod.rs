//! What one process accepts at a time. [`table`] has all limits, [`slots`] the type of most of them and the rule that
//! divides each of them among clients.

pub(crate) mod client;
pub(crate) mod connections;
pub(crate) mod content_coding;
pub(crate) mod headers;
pub(crate) mod rate;
pub(crate) mod request_body;
pub(crate) mod response_memory;
pub(crate) mod slots;
pub(crate) mod streams;
pub(crate) mod table;

use std::sync::LazyLock;

use crate::{
    error::{ApiError, Code},
    limits::{response_memory::ResponseBudget, slots::Slots},
};

/// The slots of compressed responses: one set for the process, since the middleware has no other state.
pub(crate) static COMPRESSIONS: LazyLock<Slots> = LazyLock::new(|| Slots::new(&table::COMPRESSIONS));

/// The limits of this process that are not of one endpoint alone. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct ProcessLimits {
    pub(crate) request_bodies: Slots,
    pub(crate) decodings: Slots,
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
            request_bodies: Slots::new(&table::REQUEST_BODIES),
            decodings: Slots::new(&table::DECODINGS),
            rows: ResponseBudget::new(&table::ROWS, 2),
            papers: ResponseBudget::new(&table::PAPERS, 1),
            waiters: Slots::new(&table::WAITERS),
            streams: Slots::new(&table::STREAMS),
            list_pages: Slots::new(&table::LIST_PAGES),
            long_bodies: Slots::new(&table::LONG_BODIES),
            kubernetes_requests: Slots::new(&table::KUBERNETES_REQUESTS),
            reviews: Slots::new(&table::REVIEWS),
        }
    }
}

/// 503: a limit is used up.
fn overloaded() -> ApiError {
    ApiError::unavailable(Code::Overloaded)
}
