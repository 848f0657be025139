//! One reconciliation: the facts, the decision, its effects.

use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::controller::Action;
use storage::Ending;
use upstream::ValidatedQuery;

use super::{
    apply::apply,
    context::{Context, Query},
    decision::{Facts, decide},
    error::Error,
    pages::{Depth, MissingPage, StoredPages, find_pages},
};

/// A tool that restores an object writes its status after it has created it. Nothing is written in between, as the tool's write
/// would be refused.
const STATUS_FOLLOWS_WITHIN: Duration = Duration::from_secs(30);
/// When the objects that another installation runs are looked at again.
const CLAIM_RETRY: Duration = Duration::from_secs(30);

/// Brings one query one step further. The steps are those of docs/ARCHITECTURE.md, "The life of one query";
/// steps 1 (Created), 2 (Received) and 10 (Delivered) happen outside of a reconciliation.
///
/// 3. Validated: the spec becomes a search, or the query fails.
/// 4. Outcome looked up: an end that is in the database is final; only the status is missing. An object that was restored from a
///    backup may have ended under another uid. Where all pages are stored, step 8 looks it up under its locks.
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
    if !context.with.claims.holds(query.namespace()).await? {
        context.tracker.untrack(query.uid);
        return Ok(Action::requeue(CLAIM_RETRY));
    }
    if query.object.spec.suspend {
        // Even if a database is unavailable: no more requests are sent for it.
        context.tracker.untrack(query.uid);
    }
    let facts = facts(query, context).await?;
    let snapshot = query.snapshot(&context.tracker);
    apply(context, query, decide(snapshot, facts)).await
}

/// How the query ended before it was restored from a backup, if its record exists.
async fn ending_before_restore(query: &Query, context: &Context) -> Result<Option<Ending>, Error> {
    let found = context.with.records.find_before_restore(&query.owner()).await;
    let found = found.map_err(Error::storage("looking up the outcome before a restore"))?;
    if let Some(Ending::Recorded(row)) = &found {
        let (object, namespace) = (query.name(), query.namespace());
        service::notice!({ query.id = row.query_id, object, namespace }, "restored query: its record exists");
    }
    Ok(found)
}

/// Steps 3 to 5, up to the first one that decides.
async fn facts(query: &Query, context: &Context) -> Result<Facts, Error> {
    let search = match &query.search {
        Ok(search) => search,
        Err(failure) => return Ok(Facts::Invalid(failure.clone())),
    };
    let mut looked_up = None;
    if may_be_recorded(query) {
        match stored_pages(query, context, search).await? {
            Ok(stored) => return Ok(Facts::Complete(stored)),
            Err(missing) => looked_up = Some(missing),
        }
    }
    // An earlier reconciliation, in this process or another one, may have been ended between its commit and
    // its status.
    let outcome = context.with.records.find(query.uid).await;
    if let Some(ending) = outcome.map_err(Error::storage("looking up the outcome"))? {
        return Ok(Facts::Ended(ending));
    }
    if let Some(missing) = looked_up {
        return Ok(Facts::Missing(missing));
    }
    if query.object.is_restored() {
        if let Some(ending) = ending_before_restore(query, context).await? {
            return Ok(Facts::Ended(ending));
        }
        // By this process's clock too, which may be behind that of Kubernetes.
        let (created, seen) = (&query.object.metadata.creation_timestamp, query.progress.seen);
        let since = created.as_ref().map_or(seen, |created| created.0.min(seen));
        let until = since.checked_add(STATUS_FOLLOWS_WITHIN).unwrap_or(since);
        if query.object.is_unobserved() && Timestamp::now() < until {
            return Ok(Facts::Restored { until });
        }
    }
    if query.object.spec.suspend {
        return Ok(Facts::Suspended);
    }
    Ok(match stored_pages(query, context, search).await? {
        Ok(stored) => Facts::Complete(stored),
        Err(missing) => Facts::Missing(missing),
    })
}

/// Whether the query is recorded at once if its pages are stored. Where the last try failed, its end may be in a database that is
/// there while another one is not.
fn may_be_recorded(query: &Query) -> bool {
    !query.object.is_restored() && !query.object.spec.suspend && query.progress.errors_in_a_row == 0
}

/// Step 5: its pages, or the first one that is missing.
async fn stored_pages(
    query: &Query,
    context: &Context,
    search: &ValidatedQuery,
) -> Result<Result<StoredPages, MissingPage>, Error> {
    let depth = match query.feed() {
        Some(_) => Depth::Papers,
        None => Depth::Heads,
    };
    let pages = find_pages(
        &context.with.pages,
        &context.buffered_papers,
        search,
        query.progress.selector(),
        depth,
    );
    pages.await.map_err(Error::storage("looking up stored pages"))
}
