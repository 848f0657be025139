//! One attempt to deliver.

use std::time::Duration;

use crd::{ArxivFeed, FeedReason, Webhook};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use storage::feeds::{AttemptEnd, DueDelivery};
use tokio::time::timeout;
use webhooks::{Event, EventFeed, EventItem, Retry, Secrets, Target, address_hash, after_failure};

use super::failure::{Failure, Postponed};
use crate::{
    controller::{
        error::Error,
        report::events::{Events, Kind},
    },
    process::{dependencies::Dependencies, kubernetes::within},
};

/// No attempt takes longer.
pub(super) const LIMIT: Duration = Duration::from_secs(40);
/// After what is soon over.
const SHORT_WAIT: Duration = Duration::from_secs(5);
/// After what usually lasts.
const LONG_WAIT: Duration = Duration::from_mins(1);
/// The most characters of a failure that are kept.
const MAX_FAILURE: usize = 500;

/// Attempts to deliver, and records what came of it. A failure to record is harmless: the attempt is repeated.
pub(super) async fn attempt(with: &Dependencies, events: &Events, due: &DueDelivery) {
    let tried = timeout(LIMIT, prepare_and_send(with, due)).await;
    let tried = tried.unwrap_or_else(|_| Err(postponed("it took too long", SHORT_WAIT, None)));
    let metrics = &with.metrics.deliveries;
    let (object, namespace, webhook, id) = (&due.name, &due.namespace, &due.webhook, due.id);
    let recorded = match tried {
        Ok((_, Ok(()))) => {
            metrics.attempted("accepted");
            let recorded = record(with, due, AttemptEnd::Delivered).await;
            if recorded {
                metrics.ended("delivered");
            }
            tracing::info!(object, namespace, webhook, delivery = %id, "new items are delivered");
            recorded
        }
        Ok((feed, Err(failure))) => {
            metrics.attempted(failure.outcome());
            let why: String = failure.to_string().chars().take(MAX_FAILURE).collect();
            let end = end_of(&failure, due, &why);
            tracing::warn!(object, namespace, webhook, delivery = %id, "new items are not delivered: {why}");
            let recorded = record(with, due, end).await;
            let reason = match end {
                AttemptEnd::Gone(_) => Some(FeedReason::ReceiverGone),
                AttemptEnd::Failed(_) => Some(FeedReason::DeliveryFailed),
                _ => None,
            };
            if let Some(reason) = reason.filter(|_| recorded) {
                metrics.ended("failed");
                let note = format!("the webhook {webhook} did not get the delivery {id}: {why}");
                events.send_about(&feed, Kind::Warning, "Deliver", reason.as_str(), &note);
            }
            recorded
        }
        Err(postponed) => {
            metrics.attempted("postponed");
            let why = service::logs::with_causes(&postponed);
            tracing::debug!(object, namespace, webhook, delivery = %id, "new items are delivered later: {why}");
            record(with, due, AttemptEnd::Postponed(postponed.wait)).await
        }
    };
    if !recorded {
        tracing::debug!(delivery = %id, "an attempt is not recorded and will be repeated");
    }
}

/// Whether it is recorded.
async fn record(with: &Dependencies, due: &DueDelivery, end: AttemptEnd<'_>) -> bool {
    let recorded = with.records.feeds().end_attempt(due, end).await;
    if let Err(error) = &recorded {
        let problem = "what came of a delivery is not recorded";
        with.metrics.task_failed("deliveries", problem, error);
    }
    recorded.is_ok()
}

fn end_of<'a>(failure: &Failure, due: &DueDelivery, why: &'a str) -> AttemptEnd<'a> {
    if failure.is_gone() {
        return AttemptEnd::Gone(why);
    }
    match after_failure(due.age, due.failures.saturating_add(1), failure.pause()) {
        Retry::After(wait) if !failure.is_final() => AttemptEnd::Retried(why, wait),
        _ => AttemptEnd::Failed(why),
    }
}

type Tried = Result<(ArxivFeed, Result<(), Failure>), Postponed>;

/// Reads the feed as it is now, the Secret that it names and the items, and sends them.
async fn prepare_and_send(with: &Dependencies, due: &DueDelivery) -> Tried {
    let holds = with.claims.holds(&due.namespace).await;
    let holds =
        holds.map_err(|error| postponed("the claim cannot be read", SHORT_WAIT, Some(error.into())))?;
    if !holds {
        return Err(postponed(
            "another installation runs its namespace",
            LONG_WAIT,
            None,
        ));
    }
    let feeds: Api<ArxivFeed> = Api::namespaced(with.client.clone(), &due.namespace);
    let feed = within(feeds.get_opt(&due.name)).await;
    let feed = feed.map_err(|error| postponed("the feed cannot be read", SHORT_WAIT, Some(error.into())))?;
    let is_present = |feed: &ArxivFeed| {
        feed.metadata.uid.as_deref() == Some(&due.object.to_string()) && !feed.is_being_deleted()
    };
    // Its object may come back out of a backup: until then, and until it is known to be gone, nothing is sent.
    let Some(feed) = feed.filter(is_present) else {
        return Err(postponed("its object is gone", LONG_WAIT, None));
    };
    let mut webhooks = feed.spec.webhooks.iter();
    let webhook =
        webhooks.find(|webhook| webhook.name == due.webhook && address_hash(&webhook.url) == due.address);
    // The controller of feeds is about to register the change.
    let Some(webhook) = webhook.cloned() else {
        return Err(postponed("the webhook has changed", SHORT_WAIT, None));
    };
    let sent = send(with, due, &webhook).await?;
    Ok((feed, sent))
}

async fn send(
    with: &Dependencies,
    due: &DueDelivery,
    webhook: &Webhook,
) -> Result<Result<(), Failure>, Postponed> {
    let target = match Target::parse(&webhook.url) {
        Ok(target) => target,
        Err(error) => return Ok(Err(error.into())),
    };
    let secrets = match secrets(with, due, webhook).await? {
        Ok(secrets) => secrets,
        Err(failure) => return Ok(Err(failure)),
    };
    let items = with.records.feeds().delivery_items(due).await;
    let items = items.map_err(Error::storage("reading the items of a delivery"));
    let items = items.map_err(|error| postponed("the items cannot be read", SHORT_WAIT, Some(error)))?;
    if items.is_empty() {
        return Ok(Err(Failure::Expired));
    }
    let items = items.into_iter().map(|(item, paper)| EventItem {
        position: item.position,
        added: item.recorded_at,
        paper,
    });
    let items: Vec<_> = items.collect();
    let id = due.id.to_string();
    let event = Event {
        id: &id,
        time: due.recorded_at,
        feed: EventFeed {
            namespace: &due.namespace,
            name: &due.name,
            search: &due.title,
        },
        items: &items,
    };
    let body = event.body();
    let body = body.map_err(|_| postponed("the items cannot be written as JSON", LONG_WAIT, None))?;
    drop(items);
    Ok(match with.sender.send(&target, &secrets, &id, body).await {
        Ok(answer) if answer.is_accepted() => Ok(()),
        Ok(answer) => Err(Failure::Refused(answer)),
        Err(error) => Err(error.into()),
    })
}

/// The secrets of a webhook, as they are now.
async fn secrets(
    with: &Dependencies,
    due: &DueDelivery,
    webhook: &Webhook,
) -> Result<Result<Secrets, Failure>, Postponed> {
    let (secret, key) = (webhook.secret_ref.name.clone(), webhook.secret_ref.key.clone());
    let all: Api<Secret> = Api::namespaced(with.client.clone(), &due.namespace);
    let found = match within(all.get_opt(&secret)).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Err(Failure::NoSecret(secret))),
        Err(error) if error.code() == Some(403) => return Ok(Err(Failure::SecretForbidden(secret))),
        Err(error) => {
            return Err(postponed(
                "the Secret cannot be read",
                SHORT_WAIT,
                Some(error.into()),
            ));
        }
    };
    let Some(value) = found.data.unwrap_or_default().remove(&key) else {
        return Ok(Err(Failure::NoKey { secret, key }));
    };
    let secrets = Secrets::parse(&String::from_utf8_lossy(&value.0));
    Ok(secrets.map_err(|cause| Failure::Secret { secret, key, cause }))
}

fn postponed(why: &'static str, wait: Duration, cause: Option<Error>) -> Postponed {
    Postponed { why, wait, cause }
}
