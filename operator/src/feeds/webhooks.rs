//! The webhooks of a feed: registered before its runs, and what its status says of them.

use std::time::Duration;

use crd::{ArxivFeed, FeedCondition, FeedReason};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use storage::feeds::{FeedState, WebhookSpec, WebhookState};
use webhooks::address_hash;

use super::{
    reconcile::Context,
    report::{Truth, condition},
};
use crate::controller::{error::Error, report::conditions::truncated_message};

/// How soon the status is brought up to date while something is to be delivered, and while something has failed.
const PENDING_WAIT: Duration = Duration::from_secs(5);
const FAILED_WAIT: Duration = Duration::from_secs(30);

/// Registers the webhooks of a feed; how they do.
pub(super) async fn register(
    context: &Context,
    feed: &ArxivFeed,
    state: &FeedState,
) -> Result<Vec<WebhookState>, Error> {
    let addresses = feed
        .spec
        .webhooks
        .iter()
        .map(|webhook| address_hash(&webhook.url));
    let addresses: Vec<_> = addresses.collect();
    let specs = feed.spec.webhooks.iter().zip(&addresses);
    let specs = specs.map(|(webhook, address)| WebhookSpec {
        name: &webhook.name,
        address,
    });
    let specs: Vec<_> = specs.collect();
    let feeds = context.with.records.feeds();
    let registered = feeds.set_webhooks(state.id, &specs).await;
    registered.map_err(Error::storage("registering the webhooks of a feed"))
}

/// When their state is looked at again, if it may change soon.
pub(super) fn next_look(webhooks: &[WebhookState]) -> Option<Duration> {
    let has_failed = webhooks
        .iter()
        .any(|webhook| webhook.failures > 0 || webhook.failed > 0);
    let is_pending = webhooks.iter().any(|webhook| webhook.pending > 0);
    has_failed
        .then_some(FAILED_WAIT)
        .or(is_pending.then_some(PENDING_WAIT))
}

/// The condition about webhooks, if there are some.
pub(super) fn delivered(feed: &ArxivFeed, webhooks: &[WebhookState], now: Timestamp) -> Option<Condition> {
    if webhooks.is_empty() {
        return None;
    }
    let worst = webhooks.iter().map(of_one).max_by_key(|(rank, _)| *rank)?.1;
    let notes: Vec<_> = webhooks.iter().filter_map(note).collect();
    let truth = match worst {
        FeedReason::AllDelivered => Truth::True,
        FeedReason::Delivering => Truth::Unknown,
        _ => Truth::False,
    };
    let message = truncated_message(&notes.join("; "));
    Some(condition(
        feed,
        FeedCondition::Delivered,
        truth,
        worst,
        &message,
        now,
    ))
}

/// How bad it is, and the reason.
fn of_one(webhook: &WebhookState) -> (u8, FeedReason) {
    if webhook.is_gone {
        (4, FeedReason::ReceiverGone)
    } else if webhook.failed > 0 {
        (3, FeedReason::DeliveryFailed)
    } else if webhook.failures > 0 {
        (2, FeedReason::DeliveryRetried)
    } else if webhook.pending > 0 {
        (1, FeedReason::Delivering)
    } else {
        (0, FeedReason::AllDelivered)
    }
}

/// One line for people, if there is something to say.
fn note(webhook: &WebhookState) -> Option<String> {
    let (_, reason) = of_one(webhook);
    let name = &webhook.name;
    let why = webhook
        .last_failure
        .as_deref()
        .unwrap_or("earlier attempts failed");
    let counts = |what: &str, count: i64| (count > 0).then(|| format!("{count} {what}"));
    let counts = [counts("wait", webhook.pending), counts("failed", webhook.failed)];
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    let counts = counts.join(", ");
    match reason {
        FeedReason::AllDelivered | FeedReason::Delivering => None,
        FeedReason::ReceiverGone => Some(format!(
            "{name}: the receiver wants nothing any more (status 410)"
        )),
        _ if webhook.failures == 0 => Some(format!("{name}: works again ({counts})")),
        _ => Some(format!("{name}: {why} ({counts})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(failures: i32, is_gone: bool, pending: i64, failed: i64) -> WebhookState {
        WebhookState {
            name: "chat".to_owned(),
            failures,
            last_failure: (failures > 0).then(|| "no answer in 10 s".to_owned()),
            is_gone,
            pending,
            failed,
        }
    }

    #[test]
    fn condition_says_the_worst_of_all_webhooks_and_is_looked_at_again_while_it_may_change() {
        let feed = ArxivFeed::new("knuth", crd::ArxivFeedSpec::default());
        let good = state(0, false, 0, 0);
        for (webhook, expected, message, next) in [
            (good.clone(), "True AllDelivered", "", None),
            (
                state(0, false, 2, 0),
                "Unknown Delivering",
                "",
                Some(PENDING_WAIT),
            ),
            (
                state(1, false, 2, 0),
                "False DeliveryRetried",
                "chat: no answer in 10 s (2 wait)",
                Some(FAILED_WAIT),
            ),
            (
                state(9, false, 1, 3),
                "False DeliveryFailed",
                "chat: no answer in 10 s (1 wait, 3 failed)",
                Some(FAILED_WAIT),
            ),
            (
                state(0, false, 0, 3),
                "False DeliveryFailed",
                "chat: works again (3 failed)",
                Some(FAILED_WAIT),
            ),
            (
                state(1, true, 0, 3),
                "False ReceiverGone",
                "chat: the receiver wants nothing any more (status 410)",
                Some(FAILED_WAIT),
            ),
        ] {
            let both = [good.clone(), webhook];
            let condition = delivered(&feed, &both, Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(format!("{} {}", condition.status, condition.reason), expected);
            assert_eq!(condition.message, message);
            assert_eq!(next_look(&both), next, "{expected}");
        }
        assert_eq!(delivered(&feed, &[], Timestamp::UNIX_EPOCH), None);
    }
}
