//! The spec of a feed.

use crd::{ArxivFeed, ArxivFeedSpec};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::ApiResource,
};
use serde_json::{Value, json};
use testbed::ControlPlane;

use super::refusal;

async fn feeds() -> Api<DynamicObject> {
    let plane = ControlPlane::shared().await.unwrap();
    let (client, namespace) = (plane.client().await.unwrap(), plane.namespace().await.unwrap());
    Api::namespaced_with(client, &namespace, &ApiResource::erase::<ArxivFeed>(&()))
}

fn feed(name: &str, changes: &Value) -> DynamicObject {
    let mut object = json!({
        "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivFeed", "metadata": {"name": name},
        "spec": {"schedule": "17 6 * * 1-5", "search": {"author": "knuth"}},
    });
    for (field, value) in changes.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

/// A feed with these changes is refused, in these words.
async fn refuses(feeds: &Api<DynamicObject>, changes: &Value, words: &str) {
    let (status, message) = refusal(feeds.create(&creation(), &feed("bad", changes)).await);
    assert_eq!(status, 422, "{changes}: {message}");
    assert!(message.contains(words), "{changes}: {message}");
}

fn creation() -> PostParams {
    PostParams {
        field_manager: Some("test".to_owned()),
        ..PostParams::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn admission_accepts_schedules_of_cronjobs_and_fills_in_the_defaults() {
    let feeds = feeds().await;
    for (number, schedule) in [
        "* * * * *",
        "*/5 0-6/2 1,15 JAN-mar mon",
        "17 6 * * 1-5",
        "5/20 0 ? * 7",
        "59 23 31 12 6",
        "@hourly",
        "@daily",
        "@weekly",
        "@monthly",
        "@yearly",
        "@annually",
        "@midnight",
    ]
    .into_iter()
    .enumerate()
    {
        let object = feed(&format!("feed-{number}"), &json!({"schedule": schedule}));
        let created = feeds.create(&creation(), &object).await.unwrap();
        let expected = ArxivFeedSpec {
            schedule: schedule.to_owned(),
            search: crd::ArxivSearch {
                author: Some("knuth".to_owned()),
                ..crd::ArxivSearch::default()
            },
            ..ArxivFeedSpec::default()
        };
        let spec: ArxivFeedSpec = serde_json::from_value(created.data["spec"].clone()).unwrap();
        assert_eq!(spec, expected);
        assert_eq!(created.data["spec"]["maxResultsPerRun"], 2_000);
        assert_eq!(created.data["status"], json!({"observedGeneration": -1}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn admission_refuses_invalid_feeds_in_words_that_say_what_is_expected() {
    let feeds = feeds().await;
    for schedule in [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "* * * foo *",
        "0 0 L * *",
        "0 0 15W * *",
        "0 0 * * 5#2",
        "*/0 * * * *",
        "@every 1h",
        "@reboot",
        "TZ=UTC 0 0 * * *",
        "CRON_TZ=UTC 0 0 * * *",
    ] {
        refuses(&feeds, &json!({"schedule": schedule}), "must be five fields").await;
    }
    for (changes, words) in [
        (json!({"schedule": null}), "spec.schedule"),
        (json!({"timeZone": ""}), "must be the name of a time zone"),
        (
            json!({"timeZone": "Europe/Buda pest"}),
            "must be the name of a time zone",
        ),
        (json!({"search": null}), "spec.search"),
        (json!({"search": {}}), "at least one search field is needed"),
        (json!({"search": {"author": " "}}), "must not be blank"),
        (
            json!({"search": {"author": "a", "submittedAfter": "yesterday"}}),
            "must be a date",
        ),
        (
            json!({"maxResultsPerRun": 0}),
            "should be greater than or equal to 1",
        ),
        (
            json!({"maxResultsPerRun": 30_001}),
            "should be less than or equal to 30000",
        ),
        (json!({"lookbackDays": 0}), "should be greater than or equal to 1"),
        (
            json!({"jitterSeconds": -1}),
            "should be greater than or equal to 0",
        ),
        (
            json!({"startingDeadlineSeconds": 9}),
            "should be greater than or equal to 10",
        ),
        (json!({"initialItems": "Some"}), "Unsupported value"),
        (json!({"revisions": "Skip"}), "Unsupported value"),
        (
            json!({"successfulQueriesHistoryLimit": -1}),
            "should be greater than or equal to 0",
        ),
        (
            json!({"failedQueriesHistoryLimit": 101}),
            "should be less than or equal to 100",
        ),
        (
            json!({"itemRetentionDays": 0}),
            "should be greater than or equal to 1",
        ),
        (
            json!({"queryTemplate": {"spec": {"priority": 1_001}}}),
            "should be less than or equal to 1000",
        ),
        (
            json!({"queryTemplate": {"spec": {"cachePolicy": "Never"}}}),
            "Unsupported value",
        ),
        (
            json!({"queryTemplate": {"metadata": {"labels": {"a b": "c"}}}}),
            "must be names of labels",
        ),
        (
            json!({"queryTemplate": {"metadata": {"labels": {"a": "b c"}}}}),
            "must have values of labels",
        ),
        (
            json!({"queryTemplate": {"metadata": {"labels": {"arxiv-operator.dev/feed": "x"}}}}),
            "labels of arxiv-operator.dev/ are set by the operator",
        ),
        (json!({"className": "A"}), "spec.className"),
    ] {
        refuses(&feeds, &changes, words).await;
    }
}

fn webhook(changes: &Value) -> Value {
    let mut webhook = json!({
        "name": "chat", "url": "https://chat.example.org/arxiv", "secretRef": {"name": "chat", "key": "secret"},
    });
    for (member, value) in changes.as_object().unwrap() {
        webhook[member] = value.clone();
    }
    webhook
}

#[tokio::test(flavor = "multi_thread")]
async fn admission_accepts_webhooks_with_usual_names_addresses_and_secrets() {
    let feeds = feeds().await;
    let longest = "x".repeat(63);
    let (name, key) = ("s".repeat(253), "K".repeat(253));
    let url = format!("https://example.org/{}", "p".repeat(2_048 - 20));
    for (number, changes) in [
        json!({"name": "a"}),
        json!({"name": longest}),
        json!({"name": "9-to-5"}),
        json!({"url": "https://example.org"}),
        json!({"url": "https://example.org:8443/a/b?c=d&e=@f#g"}),
        json!({"url": "https://example.org?c=d"}),
        json!({"url": "http://chat.papers.svc:8080/"}),
        json!({"url": "https://[2001:db8::1]/"}),
        json!({"url": url}),
        json!({"secretRef": {"name": name, "key": key}}),
        json!({"secretRef": {"name": "a.b-c", "key": "._-Key"}}),
    ]
    .iter()
    .enumerate()
    {
        let object = feed(
            &format!("feed-{number}"),
            &json!({"webhooks": [webhook(changes)]}),
        );
        let created = feeds.create(&creation(), &object).await;
        assert!(created.is_ok(), "{changes}: {created:?}");
    }
    let five = (0..5).map(|number| webhook(&json!({"name": format!("chat-{number}")})));
    let object = feed("five", &json!({"webhooks": five.collect::<Vec<_>>()}));
    feeds.create(&creation(), &object).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn admission_refuses_webhooks_in_words_that_say_what_is_expected() {
    let feeds = feeds().await;
    let (name, url, key) = (
        "must be lower-case letters, digits and hyphens",
        "must be a URL that begins with https://, without a user",
        "must be a key of a Secret",
    );
    let secret = "must be the name of a Secret";
    let (short, long) = ("should be at least 1 chars long", "Too long");
    let of_secret = |name: &str, key: &str| json!({"secretRef": {"name": name, "key": key}});
    #[rustfmt::skip]
    let cases = [
        (json!({"name": null}), "webhooks[0].name"),
        (json!({"name": ""}), short),
        (json!({"name": "x".repeat(64)}), long),
        (json!({"name": "Chat"}), name),
        (json!({"name": "chat room"}), name),
        (json!({"name": "-chat"}), name),
        (json!({"name": "chat-"}), name),
        (json!({"name": "chat\n"}), name),
        (json!({"url": null}), "webhooks[0].url"),
        (json!({"url": ""}), url),
        (json!({"url": "chat.example.org"}), url),
        (json!({"url": "ftp://example.org/"}), url),
        (json!({"url": "HTTPS://example.org/"}), url),
        (json!({"url": "https://"}), url),
        (json!({"url": "https:///path"}), url),
        (json!({"url": "https://user:password@example.org/"}), url),
        (json!({"url": "https://user@example.org/"}), url),
        (json!({"url": "https://example.org/a b\n"}), url),
        (json!({"url": format!("https://example.org/{}", "p".repeat(2_048))}), long),
        (json!({"secretRef": null}), "webhooks[0].secretRef"),
        (json!({"secretRef": {"key": "secret"}}), "secretRef.name"),
        (json!({"secretRef": {"name": "chat"}}), "secretRef.key"),
        (of_secret("", "secret"), short),
        (of_secret("Chat", "secret"), secret),
        (of_secret("team/chat", "secret"), secret),
        (of_secret(&"s".repeat(254), "secret"), long),
        (of_secret("chat", ""), short),
        (of_secret("chat", "a key"), key),
        (of_secret("chat", "a/key"), key),
        (of_secret("chat", &"k".repeat(254)), long),
    ];
    for (changes, words) in cases {
        refuses(&feeds, &json!({"webhooks": [webhook(&changes)]}), words).await;
    }
    let all =
        |names: &[&str]| -> Vec<Value> { names.iter().map(|name| webhook(&json!({"name": name}))).collect() };
    for (names, words) in [
        (&["a", "b", "c", "d", "e", "f"][..], "must have at most 5 items"),
        (&["a", "b", "a"][..], "Duplicate value"),
    ] {
        refuses(&feeds, &json!({"webhooks": all(names)}), words).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn name_of_a_feed_leaves_room_for_those_of_its_runs_and_is_told_from_a_format() {
    let feeds = feeds().await;
    let long = "x".repeat(53);
    let (_, message) = refusal(feeds.create(&creation(), &feed(&long, &json!({}))).await);
    assert!(message.contains("must have at most 52 characters"), "{message}");
    for name in ["x.atom", "x.rss", "x.json"] {
        let (_, message) = refusal(feeds.create(&creation(), &feed(name, &json!({}))).await);
        assert!(
            message.contains("must not end with .atom, .rss or .json"),
            "{message}"
        );
    }
    feeds
        .create(&creation(), &feed(&long[1..], &json!({})))
        .await
        .unwrap();
    feeds
        .create(&creation(), &feed("x.json.y", &json!({})))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn feed_may_change_but_for_its_class_and_what_runs_set_is_not_in_its_search() {
    let feeds = feeds().await;
    feeds
        .create(&creation(), &feed("changing", &json!({})))
        .await
        .unwrap();
    let change = async |spec: Value| {
        let patch = Patch::Merge(json!({"spec": spec}));
        feeds.patch("changing", &PatchParams::default(), &patch).await
    };
    change(
        json!({"search": {"author": "erdos", "category": "math.CO"}, "schedule": "@daily", "suspend": true}),
    )
    .await
    .unwrap();
    for class in [json!({"className": "a"})] {
        let (_, message) = refusal(change(class).await);
        assert!(
            message.contains("className cannot be changed; create a new ArxivFeed"),
            "{message}"
        );
    }
    let applied = json!({
        "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivFeed", "metadata": {"name": "applied"},
        "spec": {"schedule": "@daily", "search": {"author": "knuth", "sortBy": "Relevance"}},
    });
    let patch = Patch::Apply(&applied);
    let outcome = feeds.patch("applied", &PatchParams::apply("test"), &patch).await;
    let Err(kube::Error::Api(refused)) = outcome else {
        panic!("it was not refused: {outcome:?}")
    };
    assert!(refused.message.contains("sortBy"), "{}", refused.message);
    feeds.delete("changing", &DeleteParams::default()).await.unwrap();
}
