//! Step 2: rows of an earlier try are the truth. Needs the database of `queries`.
//!
//! An earlier try may have ended between its commit and its status, in this process, in one before it, or in another
//! one; nothing else is decided before the rows were looked for.

use storage::Recorded;

use crate::{
    context::{Context, Query},
    error::Error,
};

/// What stands in `queries` for this object.
pub(crate) async fn recorded(context: &Context, query: &Query) -> Result<Option<Recorded>, Error> {
    let found = context.records.find(query.uid).await;
    found.map_err(|source| Error::Storage {
        step: "looking for rows",
        source,
    })
}
