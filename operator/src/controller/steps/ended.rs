//! Step 2: an end that an earlier try has come to is the truth. Needs the database of `queries`.
//!
//! An earlier try may have ended between its commit and its status, in this process, in one before it, or in another
//! one; nothing else is decided before its end was looked for.

use storage::Ending;

use crate::controller::{
    context::{Context, Query},
    error::Error,
};

/// The end that stands in the database for this object: its rows, or that it was closed without.
pub(crate) async fn ended(context: &Context, query: &Query) -> Result<Option<Ending>, Error> {
    let found = context.records.find(query.uid).await;
    found.map_err(|source| Error::Storage {
        step: "looking for rows",
        source,
    })
}
