//! One reconciliation: the facts, the decision, its effects.

use kube::runtime::controller::Action;

use super::{
    apply::apply,
    context::{Context, Query},
    decision::{Facts, decide},
    error::Error,
    pages::find_pages,
};

/// Brings one query one step further. The steps are those of docs/ARCHITECTURE.md, "The life of one query";
/// steps 1 (Created), 2 (Received) and 10 (Delivered) happen outside of a reconciliation.
///
/// 3. Validated: the spec becomes a search, or the query fails.
/// 4. Outcome looked up: an end that is in the database is final; only the status is missing.
/// 5. Pages looked up. While one is missing, the query waits in the queue of the fetcher, which wakes it. A
///    waiting query holds no task and costs no requeues.
/// 6. Decided: a pure function of these facts and the time.
/// 7. Numbered: the ledger gives the object its number.
/// 8. Recorded: all rows in one transaction, or the tombstone of a query that fails.
/// 9. Status written.
///
/// Steps 3 to 5 only read, step 6 only computes, steps 7 to 9 write, in [`apply`]. Every step may be repeated
/// after any crash, and by two operators at once.
pub(crate) async fn reconcile(query: &Query, context: &Context) -> Result<Action, Error> {
    if query.object.is_being_deleted() {
        // As if it were gone already, also where a finalizer keeps it: nothing is requested or recorded for it.
        context.tracker.untrack(query.uid);
        return Ok(Action::await_change());
    }
    if query.object.spec.suspend {
        // Even if a database is unavailable: no more requests are sent for it.
        context.tracker.untrack(query.uid);
    }
    let facts = facts(query, context).await?;
    let snapshot = query.snapshot(&context.tracker);
    apply(context, query, decide(snapshot, facts)).await
}

/// Steps 3 to 5, up to the first one that decides.
async fn facts(query: &Query, context: &Context) -> Result<Facts, Error> {
    let search = match &query.search {
        Ok(search) => search,
        Err(failure) => return Ok(Facts::Invalid(failure.clone())),
    };
    // An earlier reconciliation, in this process or another one, may have been ended between its commit and
    // its status.
    let outcome = context.with.records.find(query.uid).await;
    if let Some(ending) = outcome.map_err(Error::storage("looking up the outcome"))? {
        return Ok(Facts::Ended(ending));
    }
    if query.object.spec.suspend {
        return Ok(Facts::Suspended);
    }
    let pages = find_pages(&context.with.pages, search, query.progress.selector()).await;
    Ok(match pages.map_err(Error::storage("looking up stored pages"))? {
        Ok(stored) => Facts::Complete(stored),
        Err(missing) => Facts::Missing(missing),
    })
}
