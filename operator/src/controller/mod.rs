//! The controller: which objects are reconciled when, and how.

mod apply;
pub(crate) mod claims;
mod context;
mod decision;
mod error;
pub(crate) mod finished;
mod pages;
mod reconcile;
mod record;
pub(crate) mod report;
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
use service::backoff::Backoff;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub(crate) use self::context::Context;
use self::{
    apply::{report_progress, report_suspension},
    context::{Query, uid},
    error::Error,
    reconcile::reconcile,
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
    store: Store<ArxivQuery>,
    triggers: impl Stream<Item = Object> + Send + 'static,
    stop: CancellationToken,
) {
    let heartbeat = context.with.liveness.watch("controller", STALL);
    let config = Config::default().concurrency(context.with.concurrency);
    let queue = triggers.map(|object| Ok::<_, kube::Error>(ReconcileRequest::from(object)));
    let queue = queue.take_until(stop.cancelled_owned());
    let outcomes = applier(begin, retry, Arc::new(context), store, queue, config);
    let mut outcomes = std::pin::pin!(outcomes);
    let mut interval = tokio::time::interval(HEARTBEAT_INTERVAL);
    loop {
        tokio::select! {
            // Each outcome was handled where it came from; an object that was deleted meanwhile needs
            // nothing.
            outcome = outcomes.next() => if outcome.is_none() { return },
            _ = interval.tick() => {}
        }
        heartbeat.beat();
    }
}

/// Starts a reconciliation. The query's progress is read before the first await, so that its object cannot
/// leave the watch in between.
fn begin(object: Arc<ArxivQuery>, context: Arc<Context>) -> BoxFuture<'static, Result<Action, Error>> {
    let span = span_of(&object);
    let query = Query::begin(object, &context.tracker, Timestamp::now());
    async move {
        let query = query?;
        // Not before this future is polled: the applier drops a future that it has not polled yet when its queue
        // ends in the meantime, and the end of this process waits for this call.
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
    }
    .instrument(span)
    .boxed()
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
