//! Webhooks of feeds: what receivers get, and what the status says when they do not.

use crd::FeedCondition;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use kube::Api;
use serde_json::{Value, json};
use testbed::{
    TestEnv,
    arxiv::Behaviour,
    net::{Received, Receiver, Reply},
    stack::Options,
    test_env::{LIMIT, WEBHOOK_SECRET, within},
};
use webhooks::Secrets;

use super::{Feeds, condition};

/// A system whose webhooks may be on loopback.
pub(super) async fn start() -> Feeds {
    let mut options = Options::operator_only();
    let environment = [
        ("WEBHOOK_NETWORKS", "127.0.0.0/8"),
        // Nobody is there: it must not be used.
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("http_proxy", "http://127.0.0.1:9"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    options.environment.extend(environment);
    let env = TestEnv::start(options).await;
    let api = Api::namespaced(env.kube.clone(), env.stack.namespace());
    let feeds = Feeds { env, api };
    feeds
        .env
        .create_secret("hooks", "chat", WEBHOOK_SECRET)
        .await
        .unwrap();
    feeds
}

/// A schedule with one time a day, so many minutes ago.
fn minutes_ago(minutes: i64) -> String {
    let at = (Timestamp::now() - SignedDuration::from_mins(minutes)).to_zoned(TimeZone::UTC);
    format!("{} {} * * *", at.minute(), at.hour())
}

fn webhook(name: &str, receiver: &Receiver) -> Value {
    json!({"name": name, "url": receiver.url(), "secretRef": {"name": "hooks", "key": "chat"}})
}

impl Feeds {
    /// Creates a feed with webhooks, whose first run was due half an hour ago.
    pub(super) async fn create_with(&self, name: &str, webhooks: &[Value]) {
        let template = json!({"spec": {"cachePolicy": "Refresh"}});
        let spec = json!({
            "schedule": minutes_ago(30), "suspend": true, "webhooks": webhooks, "queryTemplate": template,
        });
        self.create(name, spec).await;
        self.observed(name).await;
        self.find(5);
        self.backdate(name, 300).await;
        self.patch_spec(name, json!({"suspend": false})).await;
        self.items(name, 5).await;
    }

    /// arXiv finds so many papers.
    fn find(&self, total: u32) {
        let found = Behaviour {
            total: Some(total),
            ..Behaviour::default()
        };
        self.env.stack.arxiv().unwrap().set(found);
    }

    /// Waits until the feed has so many items.
    async fn items(&self, name: &str, items: i64) {
        self.status_when(name, "so long", |_, status| status.items == Some(items))
            .await;
    }

    async fn execute(&self, sql: &str) {
        self.env.primary().execute("arxiv", sql).await.unwrap();
    }

    /// The next attempt of this webhook is due now. For a webhook that has none under way, which would set the time of the next one.
    async fn attempt_now(&self, webhook: &str) {
        self.execute(&format!(
            "update arxiv_feed_webhooks set next_attempt_at = now() where name = '{webhook}'"
        ))
        .await;
    }

    /// Makes attempts of this webhook due until this is found. One that is under way sets the time of the next one, minutes from
    /// now, so there may be more of them than one.
    async fn attempt_until<T>(&self, webhook: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
        let found = within(LIMIT, async || {
            self.attempt_now(webhook).await;
            found().await
        });
        let found = found.await;
        found.unwrap_or_else(|| panic!("no attempt of {webhook} has led to what is expected"))
    }

    /// All deliveries, each with its webhook, its first position, and its state.
    async fn deliveries(&self) -> Option<String> {
        let states = "select string_agg(concat_ws(' ', webhook, first_position, state), ', ' order by webhook, first_position)
            from arxiv_feed_deliveries";
        let mut connection = self.env.primary().connect("arxiv").await.ok()?;
        sqlx::query_scalar(states).fetch_one(&mut connection).await.ok()
    }

    /// Waits until the condition says this; returns its message.
    pub(super) async fn delivered(&self, name: &str, expected: (&str, &str)) -> String {
        let feed = self.status_when(name, expected.1, |feed, _| {
            condition(feed, FeedCondition::Delivered) == Some(expected)
        });
        let feed = feed.await;
        feed.condition(FeedCondition::Delivered).unwrap().message.clone()
    }

    /// Waits until the receiver got so many requests; returns them.
    pub(super) async fn received(&self, receiver: &Receiver, count: usize) -> Vec<Received> {
        let found = within(LIMIT, async || {
            Some(receiver.received()).filter(|received| received.len() >= count)
        });
        found.await.unwrap_or_else(|| {
            panic!(
                "{:?} and no more\n{}",
                receiver.received(),
                self.env.operator_logs()
            )
        })
    }

    fn log_has_no_secret(&self) {
        let log = std::fs::read_to_string(self.env.operator().child().log()).unwrap();
        assert!(log.contains("new items are "), "{log}");
        for secret in [WEBHOOK_SECRET, &WEBHOOK_SECRET["whsec_".len()..], "path-secret"] {
            assert!(!log.contains(secret), "{log}");
        }
    }
}

/// The positions of the items of a request.
fn positions(received: &Received) -> Vec<i64> {
    let body = received.json();
    let items = body["data"]["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["position"].as_i64().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_items_are_delivered_with_signatures_and_once() {
    let feeds = start().await;
    feeds.env.let_webhooks_read_secrets().await.unwrap();
    let receiver = Receiver::start().unwrap();
    feeds.create_with("knuth", &[webhook("chat", &receiver)]).await;
    let request = feeds.received(&receiver, 1).await.remove(0);
    feeds.delivered("knuth", ("True", "AllDelivered")).await;

    assert_eq!(request.path, "/hook");
    assert_eq!(request.header("content-type"), "application/cloudevents+json");
    let (id, timestamp) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    let signature =
        Secrets::parse(WEBHOOK_SECRET)
            .unwrap()
            .sign(id, timestamp.parse().unwrap(), &request.body);
    assert_eq!(request.header("webhook-signature"), signature);
    let body = request.json();
    assert_eq!(body["id"], id);
    assert_eq!(body["data"]["feed"]["name"], "knuth");
    assert_eq!(body["data"]["feed"]["namespace"], feeds.env.stack.namespace());
    assert_eq!(positions(&request), [1, 2, 3, 4, 5]);
    for item in body["data"]["items"].as_array().unwrap() {
        let paper = &item["paper"];
        assert!(paper["title"].is_string() && paper["links"].is_array(), "{item}");
    }
    // Whatever is killed, it is not sent again once that is recorded, and a run without new papers sends nothing.
    feeds.env.operator().kill9_and_start().unwrap();
    feeds.attempt_now("chat").await;
    feeds
        .patch_spec("knuth", json!({"schedule": minutes_ago(20)}))
        .await;
    feeds
        .status_when("knuth", "after its second run", |_, status| {
            status.last_new_items == Some(0) && status.active.is_none()
        })
        .await;
    feeds.find(7);
    feeds
        .patch_spec("knuth", json!({"schedule": minutes_ago(10)}))
        .await;
    feeds.items("knuth", 7).await;
    let all = feeds.received(&receiver, 2).await;
    assert_eq!((all.len(), positions(&all[1])), (2, vec![6, 7]));
    assert_ne!(all[1].header("webhook-id"), id);
    feeds.log_has_no_secret();
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_that_cannot_be_read_is_named_with_what_to_do_and_nothing_is_lost() {
    let feeds = start().await;
    let receiver = Receiver::start().unwrap();
    let mut no_key = webhook("other", &receiver);
    no_key["secretRef"]["key"] = json!("nope");
    feeds
        .create_with("knuth", &[webhook("chat", &receiver), no_key])
        .await;
    // Each webhook has its own attempts: the status may say of one first.
    let feed = feeds.status_when("knuth", "of both webhooks", |feed, _| {
        let condition = feed.condition(FeedCondition::Delivered);
        condition.is_some_and(|condition| condition.message.contains("; other: "))
    });
    let feed = feed.await;
    let delivered = condition(&feed, FeedCondition::Delivered);
    assert_eq!(delivered, Some(("False", "DeliveryRetried")));
    let message = &feed.condition(FeedCondition::Delivered).unwrap().message;
    for webhook in ["chat", "other"] {
        let expected = format!("{webhook}: the Secret hooks may not be read");
        assert!(message.contains(&expected), "{message}");
    }
    assert!(message.contains("webhooks.namespaces"), "{message}");
    // No attempt is under way when the next ones are made due, so there is one of each.
    feeds.env.operator().child().kill9();
    feeds.env.let_webhooks_read_secrets().await.unwrap();
    for webhook in ["chat", "other"] {
        feeds.attempt_now(webhook).await;
    }
    feeds.env.operator().child().start_again().unwrap();
    let requests = feeds.received(&receiver, 1).await;
    assert_eq!(positions(&requests[0]), [1, 2, 3, 4, 5]);
    let says = within(LIMIT, async || {
        let message = feeds.delivered("knuth", ("False", "DeliveryRetried")).await;
        message
            .contains("other: the Secret hooks has no key nope (1 wait)")
            .then_some(())
    });
    assert!(says.await.is_some());
    assert_eq!(receiver.received().len(), 1);
    feeds.log_has_no_secret();
}

#[tokio::test(flavor = "multi_thread")]
async fn receiver_that_fails_holds_back_only_itself_and_is_given_up_after_three_days() {
    let feeds = start().await;
    feeds.env.let_webhooks_read_secrets().await.unwrap();
    let (failing, good) = (Receiver::start().unwrap(), Receiver::start().unwrap());
    failing.set(Reply::status(503));
    let both = [webhook("failing", &failing), webhook("good", &good)];
    feeds.create_with("knuth", &both).await;
    feeds.received(&good, 1).await;
    let message = feeds.delivered("knuth", ("False", "DeliveryRetried")).await;
    assert_eq!(message, "failing: it answered with status 503 (1 wait)");

    feeds.find(7);
    feeds
        .patch_spec("knuth", json!({"schedule": minutes_ago(20)}))
        .await;
    feeds.items("knuth", 7).await;
    let to_good = feeds.received(&good, 2).await;
    assert_eq!(positions(&to_good[1]), [6, 7]);
    let first = failing.received()[0].header("webhook-id").to_owned();
    let tried = feeds.attempt_until("failing", async || {
        Some(failing.received()).filter(|received| received.len() > 1)
    });
    let tried = tried.await;
    assert!(
        tried
            .iter()
            .all(|received| received.header("webhook-id") == first)
    );

    // Three days later.
    feeds
        .execute("update arxiv_feed_deliveries set requested_at = now() - interval '73 hours' where first_position = 1")
        .await;
    let given_up = feeds.attempt_until("failing", async || {
        let deliveries = feeds.deliveries().await;
        deliveries.filter(|deliveries| deliveries.contains("failing 1 Failed"))
    });
    given_up.await;
    feeds.delivered("knuth", ("False", "DeliveryFailed")).await;
    feeds.until_events("knuth", &["DeliveryFailed"]).await;
    failing.set(Reply::status(200));
    let last = feeds.attempt_until("failing", async || {
        let received = failing.received().into_iter();
        received
            .rev()
            .find(|received| received.header("webhook-id") != first)
    });
    let last = last.await;
    assert_eq!(positions(&last), [6, 7]);
    let expected = "failing 1 Failed, failing 6 Delivered, good 1 Delivered, good 6 Delivered";
    let recorded = within(LIMIT, async || {
        feeds.deliveries().await.filter(|states| states == expected)
    });
    assert!(recorded.await.is_some());
    assert_eq!(good.received().len(), 2);
    feeds.log_has_no_secret();
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_that_was_not_recorded_is_repeated_and_a_receiver_that_is_gone_gets_nothing_more() {
    let feeds = start().await;
    feeds.env.let_webhooks_read_secrets().await.unwrap();
    let receiver = Receiver::start().unwrap();
    receiver.set(Reply::Stall);
    feeds.create_with("knuth", &[webhook("chat", &receiver)]).await;
    let first = feeds.received(&receiver, 1).await.remove(0);
    feeds.env.operator().kill9_and_start().unwrap();
    feeds.attempt_now("chat").await;
    let second = feeds.received(&receiver, 2).await.remove(1);
    for header in ["webhook-id", "content-type"] {
        assert_eq!(first.header(header), second.header(header), "{header}");
    }
    assert_eq!(first.body, second.body);
    feeds.env.operator().child().kill9();

    receiver.set(Reply::status(410));
    feeds.env.operator().child().start_again().unwrap();
    feeds.attempt_now("chat").await;
    let message = feeds.delivered("knuth", ("False", "ReceiverGone")).await;
    assert!(message.contains("410"), "{message}");
    feeds.until_events("knuth", &["ReceiverGone"]).await;
    let before = receiver.received().len();
    receiver.set(Reply::status(200));
    feeds.find(7);
    feeds
        .patch_spec("knuth", json!({"schedule": minutes_ago(20)}))
        .await;
    feeds.items("knuth", 7).await;
    // The author gives another address.
    let mut moved = webhook("chat", &receiver);
    moved["url"] = json!(format!("{}&moved", receiver.url()));
    feeds.patch_spec("knuth", json!({"webhooks": [moved]})).await;
    feeds.delivered("knuth", ("False", "DeliveryFailed")).await;
    feeds.find(9);
    feeds
        .patch_spec("knuth", json!({"schedule": minutes_ago(10)}))
        .await;
    feeds.items("knuth", 9).await;
    let after = feeds.received(&receiver, before + 1).await;
    assert_eq!(positions(&after[before]), [8, 9]);
}
