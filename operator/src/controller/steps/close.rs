//! Step 8, of a query that ends without rows: closed, so that nothing of it is recorded any more. Needs the database of
//! `queries`.
//!
//! Another operator, or this one before it was stopped for a while, may have rows in hand. Whether it or the closing is
//! first is decided in the database; only then is anybody told.

use storage::{Ending, FailureRecord};

use crate::controller::{
    conditions,
    context::{Context, Query},
    decision::Verdict,
    error::Error,
};

/// Closes the query, unless it has ended already: how it ended.
pub(crate) async fn close(context: &Context, query: &Query, verdict: &Verdict) -> Result<Ending, Error> {
    let closing = FailureRecord {
        reason: verdict.reason.as_str().to_owned(),
        message: conditions::line(&verdict.message),
        http_status: verdict.http_status,
    };
    let closed = context
        .records
        .write_tombstone(&query.recorded_of(), &closing)
        .await;
    closed.map_err(|source| Error::Storage {
        step: "closing",
        source,
    })
}
