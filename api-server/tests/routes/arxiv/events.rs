//! /arxiv/NAME/events and the events of the list.

use serde_json::{Value, json};
use testbed::test_env::{eventually, json_body};

use crate::support::{Api, Events, Outcome, header};

async fn post(api: &Api, query: &Value) -> String {
    let asynchronous = [("prefer", "respond-async")];
    let response = api.post_with("/arxiv", query, &asynchronous).await;
    assert_eq!(response.status(), 202);
    header(&response, "location").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_query_lead_to_its_end_each_once() {
    let api = Api::start(&[]).await;
    api.operator.set(Outcome::None);
    let location = post(&api, &json!({"search": {"title": "followed"}})).await;
    let path = format!("{location}/events");
    let mut events = Events::open(&api, &path, None).await;
    let first = events.next().await.unwrap();
    assert_eq!(
        (first.name.as_str(), &first.data["phase"]),
        ("state", &json!("Pending"))
    );
    api.operator.set(Outcome::Found);
    let mut last = first;
    while let Some(event) = events.next().await {
        assert_ne!(event.id, last.id, "no event comes twice");
        last = event;
    }
    assert_eq!(
        (last.name.as_str(), &last.data["phase"]),
        ("end", &json!("Succeeded"))
    );
    assert_eq!(last.data, json_body(api.get(&location).await).await);

    // Once more: the end at once; and nothing for a client that has seen it.
    let mut again = Events::open(&api, &path, Some("other")).await;
    assert_eq!(again.next().await.unwrap().id, last.id);
    assert!(again.next().await.is_none());
    let seen = [("last-event-id", &*last.id)];
    assert_eq!(api.send_with("GET", &path, &seen).await.status(), 204);
    assert_eq!(api.get("/arxiv/nope/events").await.status(), 404);
    assert_eq!(api.send("HEAD", &path).await.status(), 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_end_when_the_token_is_not_valid_any_more() {
    let api = Api::start(&[("ACCESS", "all"), ("ACCESS_CACHE_SECONDS", "1")]).await;
    api.operator.set(Outcome::None);
    let rights = [("get", "/arxiv"), ("post", "/arxiv")];
    for (user, token) in [("ada", "ada-token"), ("bob", "bob-token")] {
        api.kubernetes.add_user(user, token, &rights);
    }
    let ada = ("authorization", "Bearer ada-token");
    let bob = ("authorization", "Bearer bob-token");
    let asynchronous = [ada, ("prefer", "respond-async")];
    let made = api
        .post_with("/arxiv", &json!({"search": {"title": "x"}}), &asynchronous)
        .await;
    let path = format!("{}/events", header(&made, "location").unwrap());
    let accept = ("accept", "text/event-stream");
    let all = "/arxiv?state=unfinished";
    let mut ended = [
        Events::open_with(&api, &path, &[ada, accept]).await,
        Events::open_with(&api, all, &[ada, accept]).await,
    ];
    let mut going_on = Events::open_with(&api, &path, &[bob, accept]).await;
    for events in ended.iter_mut().chain([&mut going_on]) {
        assert!(events.next().await.is_some());
    }
    api.kubernetes.remove_user("ada-token");
    for events in &mut ended {
        while events.next().await.is_some() {}
    }
    // Of somebody else's token nothing has changed.
    api.operator.set(Outcome::Found);
    let mut end = going_on.next().await.unwrap();
    while let Some(event) = going_on.next().await {
        end = event;
    }
    assert_eq!(end.name, "end");
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_end_with_their_query_and_with_the_process() {
    let api = Api::start(&[]).await;
    api.operator.set(Outcome::None);
    let mut all = Events::open(&api, "/arxiv?state=unfinished", None).await;
    let empty = all.next().await.unwrap();
    assert_eq!(
        (empty.name.as_str(), &empty.data),
        (
            "queries",
            &json!({"counts": {"pending": 0, "running": 0, "suspended": 0}, "queries": [], "ended": []})
        )
    );
    let first = post(&api, &json!({"search": {"title": "first"}})).await;
    let second = post(&api, &json!({"search": {"title": "second"}})).await;
    let both = loop {
        let event = all.next().await.unwrap();
        if event.data["counts"]["pending"] == 2 {
            break event;
        }
    };
    let queries = both.data["queries"].as_array().unwrap();
    assert_eq!(
        (&queries[0]["queue"]["place"], &queries[1]["queue"]["place"]),
        (&json!(1), &json!(2))
    );
    assert!(
        queries
            .iter()
            .any(|query| query["search"] == json!({"title": "first"}))
    );

    // Removed.
    let mut removed = Events::open(&api, &format!("{first}/events"), None).await;
    let mut of_other = Events::open(&api, &format!("{second}/events"), None).await;
    let before = removed.next().await.unwrap();
    let shown = of_other.next().await.unwrap();
    assert_eq!((before.name.as_str(), shown.name.as_str()), ("state", "state"));
    api.send("DELETE", &first).await;
    while removed.next().await.unwrap().name != "gone" {}
    assert!(removed.next().await.is_none());

    // A client that comes back gets only what is new.
    eventually("the place is the first", async || {
        (json_body(api.get(&second).await).await["queue"]["place"] == 1).then_some(())
    })
    .await;
    let mut last = shown;
    while last.data["queue"]["place"] != 1 {
        last = of_other.next().await.unwrap();
    }
    let mut resumed = Events::open(&api, &format!("{second}/events"), Some(&last.id)).await;
    // Behind the second one, also if both are created in the same second.
    let third = post(&api, &json!({"search": {"title": "third"}, "priority": -1})).await;
    api.send("DELETE", &third).await;
    api.send("DELETE", &second).await;
    assert_eq!(resumed.next().await.unwrap().name, "gone");

    // The process ends in time, also when clients follow.
    api.ending.cancel();
    while all.next().await.is_some() {}
}
