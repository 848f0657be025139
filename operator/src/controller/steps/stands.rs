//! Step 5: before anything is recorded, the object must still stand as it was read. Needs Kubernetes.
//!
//! The watch may lag, or this process may have been stopped for a while; meanwhile the object may have been deleted or,
//! by another operator, finished. A failure that its user was told of is final: nothing of it is recorded later.

use crate::{
    controller::{
        context::{Context, Query},
        error::Error,
    },
    process::kubernetes::within,
};

/// Whether it does. If not, the change itself brings the next reconciliation.
pub(crate) async fn stands(context: &Context, query: &Query) -> Result<bool, Error> {
    let queries = context.queries(query.namespace());
    let now = within(queries.get_metadata_opt(query.name()))
        .await
        .map_err(Error::Kubernetes)?;
    let read = &query.object.metadata;
    Ok(now.is_some_and(|now| {
        now.metadata.uid == read.uid && now.metadata.resource_version == read.resource_version
    }))
}
