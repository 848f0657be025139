//! Step 6: the object's number. Needs the ledger.

use crate::controller::{
    context::{Context, Query},
    error::Error,
};

/// The number that the ledger holds for this object, or a new one.
pub(crate) async fn number(context: &Context, query: &Query) -> Result<i64, Error> {
    let number = context.ledger.assign(query.uid).await;
    number.map_err(|source| Error::Storage {
        step: "taking a number",
        source,
    })
}

/// Another number, as rows of others carry `taken`.
pub(crate) async fn replace(context: &Context, query: &Query, taken: i64) -> Result<i64, Error> {
    let number = context.ledger.reassign(query.uid, taken).await;
    number.map_err(|source| Error::Storage {
        step: "taking another number",
        source,
    })
}
