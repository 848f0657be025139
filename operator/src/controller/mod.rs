//! The controller: which objects are reconciled when, and how.

mod answer;
mod conditions;
pub(crate) mod context;
mod decision;
mod error;
pub(crate) mod events;
mod progress_report;
mod steps;
pub(crate) mod watch;

use std::{sync::Arc, time::Duration};

use crd::ArxivQuery;
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture};
use jiff::Timestamp;
use kube::runtime::{
    Config, applier,
    controller::{Action, ReconcileRequest},
    reflector::Store,
};
use service::health::Heartbeat;
use storage::Ending;
use tokio_util::sync::CancellationToken;

use crate::{
    controller::{
        context::{Context, Query},
        error::Error,
        steps::{
            ended::ended,
            number::number,
            pages::{self, Pages},
            record::record,
            stands::stands,
            status,
            suspend::suspend,
            validate::validate,
        },
    },
    fetch::tracker::Object,
    process::backoff::Backoff,
};

/// The waits after reconciliations that ended in an error. Short at first: most of these are a database that restarts.
const RETRY: Backoff = Backoff {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(30),
};
/// An object that has changed is looked at again when the watch tells of the change, and after this time in any case.
const CHANGED: Duration = Duration::from_secs(30);
/// How often the controller shows that it is alive while there is nothing to do.
const BEAT: Duration = Duration::from_secs(5);

/// Brings one query one step further:
///
/// 1. `validate`: the spec becomes a search, or the query fails.
/// 2. `ended`: the end that an earlier try came to is the truth; if it stands in the database, only the status is left to
///    write.
/// 3. `suspend`: a suspended query is left alone.
/// 4. `pages`: while a page is missing, the query fails, waits, or stands in the upstream queue, as [`decision`]
///    says. Waiting holds nothing and costs nothing; the fetcher wakes it.
/// 5. `stands`: an object that has changed since it was read is left to the reconciliation that the change brings.
/// 6. `number`: the ledger gives the object its number.
/// 7. `record`: all rows in one go.
/// 8. `close`: a query that fails is closed first, so that no rows follow, from whomever.
/// 9. `status`: the end is told.
///
/// Every step may be done again after any crash, and by two operators at once.
async fn reconcile(query: &Query, context: &Context) -> Result<Action, Error> {
    let validated = match validate(&query.object) {
        Ok(validated) => validated,
        Err(verdict) => return status::fail(context, query, None, &verdict).await,
    };
    let sent = &validated.search.sent();
    if query.object.spec.suspend {
        // At once, whatever is away: nothing more is asked for it.
        context.tracker.forget(query.uid);
    }
    match ended(context, query).await? {
        Some(Ending::Recorded(recorded)) => return status::succeed(context, query, sent, &recorded).await,
        Some(Ending::Failed(closing)) => {
            return status::failed(context, query, Some(sent), &closing.into()).await;
        }
        None => {}
    }
    if query.object.spec.suspend {
        return suspend(context, query, sent).await;
    }
    let answer = match pages::collect(context, query, &validated).await? {
        Pages::Complete(answer) => answer,
        Pages::Missing { request, there, all } => {
            return pages::go_on(context, query, &validated, (request, there, all)).await;
        }
    };
    if !stands(context, query).await? {
        return Ok(Action::requeue(CHANGED));
    }
    let number = number(context, query).await?;
    match record(context, query, number, &answer).await? {
        Ending::Recorded(recorded) => status::succeed(context, query, sent, &recorded).await,
        // Whoever closed it has told so, or has been killed in between; then this write tells it.
        Ending::Failed(closing) => status::failed(context, query, Some(sent), &closing.into()).await,
    }
}

/// Reconciles what `triggers` names, until `stop` is cancelled and what has begun is done.
pub(crate) async fn run(
    context: Arc<Context>,
    store: Store<ArxivQuery>,
    triggers: impl Stream<Item = Object> + Send + 'static,
    concurrency: u16,
    heartbeat: Heartbeat,
    stop: CancellationToken,
) {
    let queue = triggers.map(|object| Ok::<_, kube::Error>(ReconcileRequest::from(object)));
    let queue = queue.take_until(stop.cancelled_owned());
    let config = Config::default().concurrency(concurrency);
    let retry =
        |object: Arc<ArxivQuery>, error: &Error, context: Arc<Context>| retry(&object, error, &context);
    let outcomes = applier(begin, retry, context, store, queue, config);
    let mut outcomes = std::pin::pin!(outcomes);
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            // Each outcome was dealt with where it came from; an object that has left meanwhile needs nothing.
            outcome = outcomes.next() => if outcome.is_none() { return },
            _ = beat.tick() => {}
        }
        heartbeat.beat();
    }
}

/// Starts a reconciliation. What is known of the query is read before anything is awaited, so that its object cannot
/// leave the watch in between.
fn begin(object: Arc<ArxivQuery>, context: Arc<Context>) -> BoxFuture<'static, Result<Action, Error>> {
    let query = Query::begin(object, &context.tracker, Timestamp::now());
    async move {
        let query = query?;
        let outcome = reconcile(&query, &context).await;
        match &outcome {
            Ok(_) => {
                context.tracker.went_well(query.uid);
                context.metrics.reconciled("ok");
            }
            Err(error) => {
                context.metrics.reconciled("error");
                context.metrics.failed(error.category());
                if error.is_database_away() {
                    tell_of_database(&query, &context).await;
                }
            }
        }
        outcome
    }
    .boxed()
}

/// A database that is away for long is told of in the status, once.
async fn tell_of_database(query: &Query, context: &Context) {
    let Some(telling) = progress_report::database_away(&query.object, query.known.errors_in_a_row) else {
        return;
    };
    let Ok(validated) = validate(&query.object) else {
        return;
    };
    // If this does not get through either, the next try tells.
    if let Err(error) = status::tell(context, query, &validated.search.sent(), &telling).await {
        context.metrics.failed(error.category());
    }
}

/// When a failed reconciliation is tried again.
fn retry(object: &ArxivQuery, error: &Error, context: &Context) -> Action {
    let failures = context::uid(object).map_or(1, |uid| context.tracker.errored(uid));
    let delay = RETRY.delay(failures);
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    if error.is_passing() {
        tracing::debug!(object = name, namespace, "{error}; next try in {delay:?}");
    } else {
        tracing::warn!(object = name, namespace, "{error}; next try in {delay:?}");
    }
    Action::requeue(delay)
}
