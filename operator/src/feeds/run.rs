//! Watches feeds and their runs, and reconciles the feeds: in each watched namespace, or everywhere.

use std::{sync::Arc, time::Duration};

use crd::{ArxivFeed, ArxivQuery, FEED_LABEL, QueryWithoutManagedFields};
use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::{BoxFuture, join_all},
    stream,
};
use kube::{
    Api,
    runtime::{
        WatchStreamExt, applier,
        controller::{self, Action, trigger_owners, trigger_self},
        reflector, watcher,
    },
};
use service::backoff::Backoff;
use tokio_util::sync::CancellationToken;

use super::{
    failures::Failures,
    overview::{self, Overview},
    reconcile::{Context, Followed, reconcile},
};
use crate::{
    controller::{error::Error, report::events::Events, spawned, watch::stripped},
    process::{dependencies::Dependencies, kubernetes::WATCH_SECONDS},
};

/// Objects in one page of a listing.
const LIST_PAGE: u32 = 500;
/// Feeds that are reconciled at once, in each namespace that is watched by itself.
const CONCURRENCY: u16 = 16;
/// The waits after reconciliations that failed.
const RETRY: Backoff = Backoff {
    base: Duration::from_secs(1),
    cap: Duration::from_mins(1),
};

/// Runs feeds until it is stopped.
pub(crate) async fn run(with: Arc<Dependencies>, events: Events, stop: CancellationToken) {
    let context = Arc::new(Context {
        events,
        failures: Failures::default(),
        overview: Overview::default(),
        with: Arc::clone(&with),
    });
    let each = with.watched.iter().map(|queries| follow(&context, queries));
    let counted = overview::run(&context);
    let all = async { tokio::join!(join_all(each), counted) };
    // It may be dropped at any point.
    stop.run_until_cancelled(Box::pin(all)).await;
}

/// Runs the feeds of one namespace, or of all, for ever.
async fn follow(context: &Arc<Context>, queries: &Api<QueryWithoutManagedFields>) {
    let client = context.with.client.clone();
    let feeds: Api<ArxivFeed> = match queries.namespace() {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let mut restores = context.with.revisions.restores();
    let config = || {
        watcher::Config::default()
            .page_size(LIST_PAGE)
            .timeout(WATCH_SECONDS)
    };
    loop {
        let (store, writer) = reflector::store();
        let feeds = watcher(feeds.clone(), config().fields(&context.with.of_class))
            .default_backoff()
            .reflect(writer)
            .applied_objects();
        let (runs, writer) = reflector::store();
        // Each run is in the store before its feed is reconciled for it.
        let of_feeds = watcher(queries.clone(), config().labels(FEED_LABEL))
            .default_backoff()
            .map_ok(stripped(strip_unused))
            .reflect(writer)
            .touched_objects();
        context.overview.follow(queries.namespace(), store.clone());
        let changed = stream::select(
            trigger_self(feeds.boxed(), ()),
            trigger_owners(of_feeds.boxed(), (), ()),
        );
        let outcomes = applier(
            begin,
            retry,
            Arc::new(Followed {
                context: Arc::clone(context),
                runs,
            }),
            store,
            changed,
            controller::Config::default().concurrency(CONCURRENCY),
        );
        let all = outcomes.for_each(|outcome| {
            // Errors of reconciliations were handled where they came from.
            if let Err(controller::Error::QueueError(error)) = outcome {
                context.with.metrics.failed("watch");
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a watch on feeds or their runs is interrupted");
            }
            futures::future::ready(())
        });
        tokio::select! {
            // It ends only if its watches do.
            () = all => {}
            // What is known may not be there any more: everything is listed again.
            () = restores.next() => {}
        }
    }
}

/// Removes the parts of a run that are not used here.
fn strip_unused(run: &mut ArxivQuery) {
    run.metadata.annotations = None;
}

fn begin(feed: Arc<ArxivFeed>, followed: Arc<Followed>) -> BoxFuture<'static, Result<Action, Error>> {
    spawned(async move { reconcile(&feed, &followed).await }).boxed()
}

/// When a failed reconciliation is tried again.
#[allow(
    clippy::needless_pass_by_value,
    reason = "the controller passes its arguments by value"
)]
fn retry(feed: Arc<ArxivFeed>, error: &Error, followed: Arc<Followed>) -> Action {
    let uid = feed.metadata.uid.as_deref().unwrap_or_default();
    let delay = RETRY.delay(followed.context.failures.of(uid));
    let (object, namespace) = (feed.metadata.name.as_deref(), feed.metadata.namespace.as_deref());
    let is_temporary = error.is_temporary();
    let error = error as &dyn std::error::Error;
    if is_temporary {
        tracing::debug!(error, object, namespace, "feed: next try in {delay:?}");
    } else {
        tracing::warn!(error, object, namespace, "feed: next try in {delay:?}");
    }
    Action::requeue(delay)
}
