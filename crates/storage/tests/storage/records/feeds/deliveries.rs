//! Deliveries to webhooks: written with the items of a run, attempted in order, ended once.

use std::time::Duration;

use futures::future::join_all;
use storage::{
    Records,
    feeds::{AttemptEnd, DeliveryStats, DueDelivery, DueLimits, FeedSpec, Feeds, WebhookSpec, WebhookState},
};
use uuid::Uuid;

use super::{FEED, Papers, feeds, paper, record, run, searches, spec, state};
use crate::{records::objects::in_one, setup::Server};

const HOUR: Duration = Duration::from_hours(1);
/// Webhook, positions, state and attempts, in order.
const DELIVERIES: &str = "select coalesce(string_agg(
      concat_ws(' ', webhook, first_position || '-' || last_position, state, attempts), ', ' order by webhook, first_position), '')
    from arxiv_feed_deliveries";

fn webhook(name: &'static str) -> WebhookSpec<'static> {
    WebhookSpec {
        name,
        address: "hash",
    }
}

async fn set(feeds: &Feeds, webhooks: &[WebhookSpec<'_>]) -> Vec<WebhookState> {
    feeds.set_webhooks(FEED, webhooks).await.unwrap()
}

/// Records a run with so many new papers, of the feed with this uid.
async fn find(records: &Records, number: i64, count: i64, feed: Uuid) {
    let papers = (0..count).map(|n| paper(&format!("{number}.{n}v1"), n));
    let (papers, searches) = (Papers(papers.collect()), searches());
    let run = storage::feeds::FeedRun {
        feed,
        ..run(&searches)
    };
    records
        .record(&record(number, &papers, run))
        .await
        .unwrap()
        .unwrap();
}

fn limits(attempted: &[String]) -> DueLimits<'_> {
    DueLimits {
        all: 10,
        of_namespace: 10,
        attempted,
        lease: HOUR,
    }
}

async fn due(feeds: &Feeds) -> Vec<DueDelivery> {
    let mut due = feeds.take_due(limits(&[])).await.unwrap();
    due.sort_by(|a, b| a.webhook.cmp(&b.webhook));
    due
}

fn shown(due: &[DueDelivery]) -> String {
    let shown = due
        .iter()
        .map(|due| format!("{} {}-{}", due.webhook, due.positions.0, due.positions.1));
    shown.collect::<Vec<_>>().join(", ")
}

async fn deliveries(server: &Server) -> String {
    server.value("arxiv", DELIVERIES).await
}

#[tokio::test]
async fn items_of_a_run_are_written_with_their_deliveries_once_for_each_webhook() {
    let server = Server::migrated().await;
    let (feeds, records) = (feeds(&server), in_one(&server));
    state(&feeds).await;
    find(&records, 1, 2, FEED).await;
    assert_eq!(deliveries(&server).await, "", "no webhook");
    set(&feeds, &[webhook("log"), webhook("chat")]).await;
    for _ in 0..2 {
        find(&records, 2, 250, FEED).await;
    }
    find(&records, 3, 0, FEED).await;
    let expected = ["chat", "log"]
        .map(|name| format!("{name} 3-102 Pending 0, {name} 103-202 Pending 0, {name} 203-252 Pending 0"));
    assert_eq!(deliveries(&server).await, expected.join(", "));
    let times = "select count(distinct (recorded_at, requested_at)) from arxiv_feed_deliveries
        join arxiv_feed_items using (feed_uid, recorded_at) where position = first_position";
    assert_eq!(server.value::<i64>("arxiv", times).await, 1, "that of the run");
    let items = feeds.delivery_items(&due(&feeds).await[0]).await.unwrap();
    assert_eq!(items.len(), 100);
    // The newest of the results has the highest position.
    let (first, last) = (&items[0], &items[99]);
    assert_eq!(
        (first.0.position, first.1.title.as_str()),
        (3, "Title of 2.249v1")
    );
    assert_eq!(
        (last.0.position, last.1.title.as_str()),
        (102, "Title of 2.150v1")
    );
}

#[tokio::test]
async fn deliveries_of_a_webhook_are_attempted_in_their_order_and_those_of_others_do_not_wait() {
    let server = Server::migrated().await;
    let (feeds, records) = (feeds(&server), in_one(&server));
    state(&feeds).await;
    set(&feeds, &[webhook("chat"), webhook("log")]).await;
    find(&records, 1, 250, FEED).await;

    let first = due(&feeds).await;
    assert_eq!(shown(&first), "chat 1-100, log 1-100");
    assert_eq!(
        (first[0].object, first[0].feed, first[0].failures),
        (FEED, FEED, 0)
    );
    assert_eq!(shown(&due(&feeds).await), "", "taken");
    let why = "it answered with status 500";
    feeds
        .end_attempt(&first[0], AttemptEnd::Retried(why, HOUR))
        .await
        .unwrap();
    feeds.end_attempt(&first[1], AttemptEnd::Delivered).await.unwrap();
    let next = due(&feeds).await;
    assert_eq!(shown(&next), "log 101-200");
    feeds.end_attempt(&next[0], AttemptEnd::Delivered).await.unwrap();
    // One that is recorded late changes nothing.
    feeds
        .end_attempt(&next[0], AttemptEnd::Failed(why))
        .await
        .unwrap();
    let states = set(&feeds, &[webhook("chat"), webhook("log")]).await;
    assert_eq!(states[0].last_failure.as_deref(), Some(why));
    assert_eq!(
        (states[0].failures, states[0].pending, states[0].failed),
        (1, 3, 0)
    );
    assert_eq!((states[1].pending, states[1].failed), (1, 0));

    server
        .execute("arxiv", "update arxiv_feed_webhooks set next_attempt_at = now()")
        .await;
    let again = due(&feeds).await;
    assert_eq!(shown(&again), "chat 1-100, log 201-250");
    assert_eq!(again[0].id, first[0].id, "the same in each attempt");
    assert_eq!(again[0].failures, 1);
    feeds
        .end_attempt(&again[0], AttemptEnd::Failed(why))
        .await
        .unwrap();
    feeds
        .end_attempt(&again[1], AttemptEnd::Postponed(HOUR))
        .await
        .unwrap();
    assert_eq!(
        shown(&due(&feeds).await),
        "chat 101-200",
        "after one that was given up"
    );
    let counts = feeds.delivery_stats().await.unwrap();
    assert_eq!(
        (counts.pending, counts.failed, counts.oldest.is_some()),
        (3, 1, true)
    );
    let chat = "chat 1-100 Failed 2, chat 101-200 Pending 0, chat 201-250 Pending 0";
    let log = "log 1-100 Delivered 1, log 101-200 Delivered 1, log 201-250 Pending 0";
    assert_eq!(deliveries(&server).await, format!("{chat}, {log}"));
}

#[tokio::test]
async fn delivery_is_taken_by_one_process_and_no_namespace_takes_all() {
    let server = Server::migrated().await;
    let (feeds, records) = (feeds(&server), in_one(&server));
    for number in 1..=6 {
        let uid = Uuid::from_u128(number);
        let name = format!("feed-{number}");
        let of = FeedSpec {
            uid,
            name: &name,
            ..spec()
        };
        feeds.register(&of).await.unwrap();
        feeds.set_webhooks(uid, &[webhook("chat")]).await.unwrap();
        find(&records, i64::try_from(number).unwrap(), 1, uid).await;
    }
    // Runs are of their feed's namespace.
    let other = "update arxiv_feeds set namespace = 'arts' where name = 'feed-6'";
    server.execute("arxiv", other).await;
    let attempted = ["science".to_owned()];
    let narrow = DueLimits {
        of_namespace: 3,
        ..limits(&attempted)
    };
    let taken = feeds.take_due(narrow).await.unwrap();
    let mut namespaces: Vec<_> = taken.iter().map(|due| due.namespace.as_str()).collect();
    namespaces.sort_unstable();
    assert_eq!(namespaces, ["arts", "science", "science"]);

    server
        .execute("arxiv", "update arxiv_feed_webhooks set next_attempt_at = now()")
        .await;
    let processes: Vec<_> = (0..8).map(|_| super::feeds(&server)).collect();
    let all = join_all(processes.iter().map(|feeds| feeds.take_due(limits(&[])))).await;
    let mut names: Vec<_> = all
        .into_iter()
        .flat_map(Result::unwrap)
        .map(|due| due.name)
        .collect();
    names.sort_unstable();
    assert_eq!(names, (1..=6).map(|n| format!("feed-{n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn webhook_that_is_removed_gets_nothing_and_one_that_is_back_or_elsewhere_begins_anew() {
    let server = Server::migrated().await;
    let (feeds, records) = (feeds(&server), in_one(&server));
    state(&feeds).await;
    set(&feeds, &[webhook("chat"), webhook("log")]).await;
    find(&records, 1, 1, FEED).await;
    let taken = due(&feeds).await;
    let states = set(&feeds, &[webhook("log")]).await;
    assert_eq!(states.len(), 1);
    assert_eq!(deliveries(&server).await, "chat 1-1 Dropped 0, log 1-1 Pending 0");
    feeds.end_attempt(&taken[0], AttemptEnd::Delivered).await.unwrap();
    find(&records, 2, 1, FEED).await;
    let log = "log 1-1 Pending 0, log 2-2 Pending 0";
    assert_eq!(deliveries(&server).await, format!("chat 1-1 Dropped 0, {log}"));
    set(&feeds, &[webhook("log"), webhook("chat")]).await;
    find(&records, 3, 1, FEED).await;
    assert_eq!(
        deliveries(&server).await,
        format!("chat 1-1 Dropped 0, chat 3-3 Pending 0, {log}, log 3-3 Pending 0")
    );

    // The receiver of log wants nothing any more.
    feeds
        .end_attempt(&taken[1], AttemptEnd::Gone("it answered with status 410"))
        .await
        .unwrap();
    find(&records, 4, 1, FEED).await;
    let failed = "log 1-1 Failed 1, log 2-2 Failed 0, log 3-3 Failed 0";
    let chat = "chat 1-1 Dropped 0, chat 3-3 Pending 0, chat 4-4 Pending 0";
    assert_eq!(deliveries(&server).await, format!("{chat}, {failed}"));
    assert_eq!(shown(&due(&feeds).await), "chat 3-3");
    let both = [webhook("chat"), webhook("log")];
    let states = set(&feeds, &both).await;
    assert_eq!((states[1].is_gone, states[1].failed), (true, 3));
    // Another address is another receiver; what is recorded of the one before has no effect on it.
    let elsewhere = [
        both[0],
        WebhookSpec {
            address: "another",
            ..both[1]
        },
    ];
    let states = set(&feeds, &elsewhere).await;
    assert_eq!((states[1].is_gone, states[1].failures), (false, 0));
    feeds
        .end_attempt(&taken[1], AttemptEnd::Gone("it answered with status 410"))
        .await
        .unwrap();
    find(&records, 5, 1, FEED).await;
    assert_eq!(shown(&due(&feeds).await), "log 5-5");
}

#[tokio::test]
async fn feed_whose_object_is_gone_delivers_nothing_until_it_is_restored() {
    let server = Server::migrated().await;
    let (feeds, records) = (feeds(&server), in_one(&server));
    state(&feeds).await;
    set(&feeds, &[webhook("chat")]).await;
    find(&records, 1, 1, FEED).await;
    feeds.drop(FEED).await.unwrap();
    assert_eq!(shown(&due(&feeds).await), "");
    assert_eq!(feeds.delivery_stats().await.unwrap(), DeliveryStats::default());
    let restored = FeedSpec {
        uid: Uuid::from_u128(7),
        is_restored: true,
        ..spec()
    };
    let known = feeds.register(&restored).await.unwrap().unwrap();
    feeds.set_webhooks(known.id, &[webhook("chat")]).await.unwrap();
    let taken = due(&feeds).await;
    assert_eq!(shown(&taken), "chat 1-1");
    assert_eq!((taken[0].object, taken[0].feed), (restored.uid, FEED));
}

#[tokio::test]
async fn items_stay_while_they_are_to_be_delivered_and_what_has_ended_goes_after_a_month() {
    let server = Server::migrated().await;
    let (feeds, records) = (feeds(&server), in_one(&server));
    let aged = FeedSpec {
        retention_days: Some(30),
        ..spec()
    };
    feeds.register(&aged).await.unwrap();
    set(&feeds, &[webhook("chat")]).await;
    find(&records, 1, 2, FEED).await;
    find(&records, 2, 2, FEED).await;
    let taken = due(&feeds).await;
    feeds.end_attempt(&taken[0], AttemptEnd::Delivered).await.unwrap();
    server
        .execute(
            "arxiv",
            "update arxiv_feed_items set recorded_at = now() - interval '31 days'",
        )
        .await;
    let prune = async || while feeds.prune().await.unwrap() > 0 {};
    prune().await;
    let items = "select string_agg(position::text, ' ' order by position) from arxiv_feed_items";
    assert_eq!(server.value::<String>("arxiv", items).await, "3 4");
    assert_eq!(
        deliveries(&server).await,
        "chat 1-2 Delivered 1, chat 3-4 Pending 0"
    );

    server
        .execute("arxiv", "update arxiv_feed_deliveries set ended_at = now() - interval '31 days' where state = 'Delivered'")
        .await;
    set(&feeds, &[]).await;
    prune().await;
    assert_eq!(deliveries(&server).await, "chat 3-4 Dropped 0");
    feeds.drop(FEED).await.unwrap();
    server
        .execute(
            "arxiv",
            "update arxiv_feeds set dropped_at = now() - interval '8 days'",
        )
        .await;
    prune().await;
    let left =
        "select (select count(*) from arxiv_feed_deliveries) + (select count(*) from arxiv_feed_webhooks)
        + (select count(*) from arxiv_feeds)";
    assert_eq!(server.value::<i64>("arxiv", left).await, 0);
}
