//! Lists of queries, and their events.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use reqwest::{Response, header};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;
use testbed::TestEnv;
use testbed::test_env::{LIMIT, eventually, json_body};
use testbed::{arxiv::Behaviour, stack::Options};

/// An event stream, read event by event.
struct Events {
    response: Response,
    rest: String,
}

#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl Events {
    async fn open(env: &TestEnv, path: &str, last: Option<&str>) -> Self {
        let mut request = env
            .http
            .get(env.url(path))
            .header(header::ACCEPT, "text/event-stream")
            // For the whole stream; each event has a limit of its own.
            .timeout(Duration::from_mins(10));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        Self {
            response,
            rest: String::new(),
        }
    }

    /// The next event, without heartbeats; none at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.rest.find("\n\n") {
                let block: String = self.rest.drain(..end + 2).collect();
                let field = |name: &str| {
                    let mut lines = block
                        .lines()
                        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    lines.next().map(str::to_owned)
                };
                // A heartbeat has none.
                if let Some(name) = field("event") {
                    return Some(Event {
                        name,
                        id: field("id").unwrap(),
                        data: serde_json::from_str(&field("data").unwrap()).unwrap(),
                    });
                }
                continue;
            }
            let chunk = tokio::time::timeout(LIMIT, self.response.chunk())
                .await
                .unwrap()
                .unwrap()?;
            self.rest.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

async fn post(env: &TestEnv, title: &str) -> String {
    let request = env.http.post(env.url("/arxiv")).header("prefer", "respond-async");
    let request = request.header("content-type", "application/json");
    let response = request
        .body(json!({"title": title}).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
    response.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_followed_to_its_end() {
    let env = TestEnv::for_api(&[]).await;
    env.stack.arxiv().unwrap().set(Behaviour {
        delay_ms: 2000,
        ..Behaviour::default()
    });
    let location = post(&env, "followed").await;
    let path = format!("{location}/events");
    let mut events = Events::open(&env, &path, None).await;
    let first = events.next().await.unwrap();
    assert_eq!(
        (first.name.as_str(), &first.data["phase"]),
        ("state", &json!("Pending"))
    );
    let mut last = first;
    while let Some(event) = events.next().await {
        assert_ne!(event.id, last.id, "nothing is told twice");
        last = event;
    }
    assert_eq!(
        (last.name.as_str(), &last.data["phase"]),
        ("end", &json!("Succeeded"))
    );
    assert_eq!(last.data, json_body(env.get(&location).await).await);

    // Once more: the end at once; and nothing for who has seen it.
    let mut again = Events::open(&env, &path, Some("other")).await;
    assert_eq!(again.next().await.unwrap().id, last.id);
    assert!(again.next().await.is_none());
    let request = env.http.get(env.url(&path)).header("last-event-id", &last.id);
    assert_eq!(request.send().await.unwrap().status(), 204);
    assert_eq!(env.get("/arxiv/nope/events").await.status(), 404);
    assert_eq!(env.send("HEAD", &path).await.status(), 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_the_query_and_with_the_process() {
    let options = Options {
        operators: 0,
        ..Options::default()
    };
    let env = TestEnv::for_api_with(options, &[]).await;
    let mut list = Events::open(&env, "/arxiv?state=unfinished", None).await;
    let empty = list.next().await.unwrap();
    assert_eq!(
        (empty.name.as_str(), &empty.data),
        (
            "queries",
            &json!({"counts": {"pending": 0, "running": 0, "suspended": 0}, "queries": [], "ended": []})
        )
    );
    let (first, second) = (post(&env, "first").await, post(&env, "second").await);
    let both = loop {
        let event = list.next().await.unwrap();
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
    let mut removed = Events::open(&env, &format!("{first}/events"), None).await;
    let mut of_other = Events::open(&env, &format!("{second}/events"), None).await;
    let before = removed.next().await.unwrap();
    let shown = of_other.next().await.unwrap();
    assert_eq!((before.name.as_str(), shown.name.as_str()), ("state", "state"));
    env.send("DELETE", &first).await;
    while removed.next().await.unwrap().name != "gone" {}
    assert!(removed.next().await.is_none());

    // Whoever comes back is told only what is new.
    eventually("the place is the first", async || {
        (json_body(env.get(&second).await).await["queue"]["place"] == 1).then_some(())
    })
    .await;
    let mut told = shown;
    while told.data["queue"]["place"] != 1 {
        told = of_other.next().await.unwrap();
    }
    let mut resumed = Events::open(&env, &format!("{second}/events"), Some(&told.id)).await;
    let third = post(&env, "third").await;
    env.send("DELETE", &third).await;
    env.send("DELETE", &second).await;
    assert_eq!(resumed.next().await.unwrap().name, "gone");

    // The process ends in time, whoever follows.
    let server = env.stack.api_servers[0].child();
    server.signal(Signal::TERM);
    assert!(
        server.wait(LIMIT).await.unwrap().success(),
        "{}",
        server.log_tail()
    );
    while list.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_listed_in_pages() {
    let options = Options {
        operators: 0,
        ..Options::default()
    };
    let env = TestEnv::for_api_with(options, &[]).await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(post(&env, &n.to_string()).await);
    }
    made.sort();
    for state in ["pending", "unfinished", "all"] {
        let mut path = format!("/arxiv?state={state}&limit=2");
        let (mut listed, mut pages) = (Vec::new(), 0);
        loop {
            let response = env.get(&path).await;
            assert_eq!(response.status(), 200);
            let link = response
                .headers()
                .get(header::LINK)
                .map(|link| link.to_str().unwrap().to_owned());
            let page = json_body(response).await;
            for query in page.as_array().unwrap() {
                assert_eq!(query["phase"], "Pending");
                listed.push(format!("/arxiv/{}", query["name"].as_str().unwrap()));
            }
            pages += 1;
            let Some(link) = link else { break };
            link.strip_prefix('<')
                .unwrap()
                .strip_suffix(">; rel=\"next\"")
                .unwrap()
                .clone_into(&mut path);
        }
        listed.sort();
        assert_eq!((listed, pages), (made.clone(), 3), "{state}");
    }
    for state in ["running", "suspended", "succeeded", "failed"] {
        let response = env.get(&format!("/arxiv?state={state}")).await;
        assert_eq!(
            (response.status().as_u16(), json_body(response).await),
            (200, json!([])),
            "{state}"
        );
    }
    for path in [
        "/arxiv?state=x",
        "/arxiv?state=all&limit=0",
        "/arxiv?state=all&continue=x",
    ] {
        assert_eq!(env.get(path).await.status(), 422, "{path}");
    }
    assert_eq!(env.get("/arxiv").await.status(), 400);

    // Strictness is asked for, and then holds for every reading endpoint.
    let strict = async |path: &str| {
        let request = env.http.get(env.url(path)).header("prefer", "handling=strict");
        let response = request.send().await.unwrap();
        assert_eq!(
            response.headers()["preference-applied"],
            "handling=strict",
            "{path}"
        );
        response.status().as_u16()
    };
    let name = &made[0];
    for path in [
        "/results?page=0",
        "/read-results",
        "/queries?start_timestamp=2024-01-01T00:00:00",
        "/get-sequence",
        "/arxiv?state=all&limit=1",
    ] {
        assert_eq!(strict(path).await, 200, "{path}");
        let with = if path.contains('?') { '&' } else { '?' };
        assert_eq!(strict(&format!("{path}{with}pgae=1")).await, 422, "{path}");
        assert_eq!(
            env.get(&format!("{path}{with}pgae=1")).await.status(),
            200,
            "{path}"
        );
    }
    assert_eq!(strict(name).await, 202);
    assert_eq!(strict(&format!("{name}?x")).await, 422);
    assert_eq!(strict("/arxiv?titel=x&title=y").await, 422);
    // A search has nothing of a list's, nor a list of a search's.
    assert_eq!(strict("/arxiv?title=y&limit=5").await, 422);
    assert_eq!(strict("/arxiv?state=all&max_results=5").await, 422);

    // A path may be written in more than one way.
    assert_eq!(env.get("/%72esults").await.status(), 200);
    assert_eq!(env.get(&name.replace("arxiv-", "arxiv%2D")).await.status(), 202);
}
