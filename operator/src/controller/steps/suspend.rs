//! Step 3: a suspended query is left alone, whatever it waits for.

use crd::Phase;
use kube::runtime::controller::Action;

use super::status;
use crate::controller::{
    context::{Context, Query},
    error::Error,
};

/// Takes the query out of everything, and tells so once. What was fetched for it stays stored, so that it goes on from there
/// when it is resumed on the same day; its deadline counts anew then.
pub(crate) async fn suspend(context: &Context, query: &Query, sent: &str) -> Result<Action, Error> {
    if query.object.phase() != Phase::Suspended {
        status::suspended(context, query, sent).await?;
    }
    Ok(Action::await_change())
}
