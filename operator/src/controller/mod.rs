//! The controller: which objects are reconciled when, and how.

pub(crate) mod apply;
mod context;
mod decision;
pub(crate) mod error;
mod pages;
mod reconcile;
mod reconcile_queue;
mod record;
pub(crate) mod report;
pub(crate) mod watch;

use std::{sync::Arc, time::Duration};

use crd::ArxivQuery;
use futures::{
    FutureExt, Stream, StreamExt,
    future::{BoxFuture, ready},
};
use jiff::Timestamp;
use kube::{
    api::DynamicObject,
    runtime::{
        Config, applier,
        controller::{Action, Error as NotReconciled, ReconcileRequest},
        reflector::ObjectRef,
    },
};
use service::backoff::Backoff;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;

pub(crate) use self::context::{Context, uid};
use self::{
    apply::{report_progress, report_suspension},
    context::Query,
    error::Error,
    reconcile::reconcile,
    reconcile_queue::{ReconcileQueue, Turn},
    report::progress_report::{report_database_outage, suspension_is_unreported},
};
use crate::{
    fetch::{progress::Progress, tracker::Object},
    process::correlation::{log_span_of, span_of},
};

/// The waits after reconciliations that failed. Short at first: most of these are a database that restarts.
const RETRY: Backoff = Backoff {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(30),
};
/// How often the controller reports that it is alive while there is nothing to do.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// A controller without a heartbeat for so long is stuck.
const STALL: Duration = Duration::from_mins(1);

/// Reconciles the objects of `triggers`, until `stop` is cancelled and the reconciliations that have begun
/// are done.
pub(crate) async fn run(
    context: Context,
    triggers: impl Stream<Item = Object> + Send + 'static,
    stop: CancellationToken,
) {
    let heartbeat = context.with.liveness.watch("controller", STALL);
    let store = context.unfinished.store.clone();
    let (objects, tracker) = (store.clone(), Arc::clone(&context.tracker));
    let queue = ReconcileQueue::new(context.with.concurrency, move |object| {
        let object = objects.get(object).filter(|object| !object.is_being_deleted())?;
        Some(tracker.reconcile_entry(uid(&object)?, &object, Timestamp::now()))
    });
    let turns = Arc::clone(&queue).turns(triggers);
    let turns = turns.map(|object| Ok::<_, kube::Error>(ReconcileRequest::from(object)));
    let turns = turns.take_until(stop.cancelled_owned());
    let waiting = Arc::clone(&queue);
    let begin = move |object: Arc<ArxivQuery>, context| match waiting.begin(Object::from_obj(&*object)) {
        Some(turn) => begin(object, context, turn),
        // The time has come that its last reconciliation asked for.
        None => ready(Ok(Action::await_change())).boxed(),
    };
    // The queue has the limit of those that run at once.
    let outcomes = applier(begin, retry, Arc::new(context), store, turns, Config::default());
    let mut outcomes = std::pin::pin!(outcomes);
    let mut interval = tokio::time::interval(HEARTBEAT_INTERVAL);
    loop {
        tokio::select! {
            // Each outcome was handled where it came from.
            outcome = outcomes.next() => match outcome {
                None => return,
                // An object that was deleted meanwhile needs nothing.
                Some(Err(NotReconciled::ObjectNotFound(gone))) => queue.ended(&of_queries(&gone)),
                Some(_) => {}
            },
            _ = interval.tick() => {}
        }
        heartbeat.beat();
    }
}

/// The same object, with its kind.
fn of_queries(object: &ObjectRef<DynamicObject>) -> Object {
    let mut query = Object::new(&object.name);
    query.namespace.clone_from(&object.namespace);
    query
}

/// Starts a reconciliation. The query's progress is read before the first await, so that its object cannot
/// leave the watch in between. It runs as a task of its own: the applier polls all that it has whenever one of them is
/// woken up.
fn begin(
    object: Arc<ArxivQuery>,
    context: Arc<Context>,
    turn: Turn,
) -> BoxFuture<'static, Result<Action, Error>> {
    let span = span_of(&object);
    let query = Query::begin(object, &context.tracker, Timestamp::now());
    let reconciliation = async move {
        let _turn = turn;
        let query = query?;
        // Not before this runs: the applier drops a future that it has not polled yet when its queue ends in the
        // meantime, and the end of this process waits for this call.
        context.tracker.begun(query.uid, query.notifications);
        let outcome = reconcile(&query, &context).await;
        let (metrics, tracker) = (&context.with.metrics, &context.tracker);
        match &outcome {
            Ok(_) => {
                tracker.update(query.uid, |query| query.errors_in_a_row = 0);
                metrics.reconciled("ok");
            }
            Err(error) => {
                metrics.reconciled("error");
                metrics.failed(error.category());
                if error.is_database_unavailable() {
                    report_outage(&query, &context).await;
                }
            }
        }
        outcome
    };
    spawned(reconciliation.instrument(span)).boxed()
}

/// Runs a reconciliation as a task of its own, until it ends or is dropped.
pub(crate) async fn spawned(
    reconciliation: impl Future<Output = Result<Action, Error>> + Send + 'static,
) -> Result<Action, Error> {
    match AbortOnDropHandle::new(tokio::spawn(reconciliation)).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Defect("the reconciliation was aborted")),
        },
    }
}

/// Reports in the query's status that it is suspended, for which no database is needed; or, once, that a
/// database has been unavailable for some time.
async fn report_outage(query: &Query, context: &Context) {
    let object = &query.object;
    let written = if object.spec.suspend {
        if !suspension_is_unreported(object) {
            return;
        }
        report_suspension(context, query).await
    } else {
        let Some(update) = report_database_outage(object, query.progress.errors_in_a_row) else {
            return;
        };
        report_progress(context, query, &update).await
    };
    // If this write fails as well, the next reconciliation tries again.
    if let Err(error) = written {
        context.with.metrics.failed(error.category());
        if !error.is_temporary() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a status was not written");
        }
    }
}

/// When a failed reconciliation is tried again.
#[allow(
    clippy::needless_pass_by_value,
    reason = "the controller passes its arguments by value"
)]
fn retry(object: Arc<ArxivQuery>, error: &Error, context: Arc<Context>) -> Action {
    let count = |query: &mut Progress| {
        query.errors_in_a_row = query.errors_in_a_row.saturating_add(1);
        query.errors_in_a_row
    };
    let failures = uid(&object).and_then(|uid| context.tracker.update(uid, count));
    let delay = RETRY.delay(failures.unwrap_or(1));
    let _span = log_span_of(&object).entered();
    let is_temporary = error.is_temporary();
    let error = error as &dyn std::error::Error;
    if is_temporary {
        tracing::debug!(error, "next try in {delay:?}");
    } else {
        tracing::warn!(error, "next try in {delay:?}");
    }
    Action::requeue(delay)
}
