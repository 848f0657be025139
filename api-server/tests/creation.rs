//! POST /arxiv, keys, and the bounds of what may be pending, on one API server and on two.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use futures::future::join_all;
use reqwest::Response;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testbed::TestEnv;
use testbed::test_env::{error_of, eventually, json_body, problems};
use testbed::{
    arxiv::{Behaviour, Mode},
    stack::Options,
};

/// Posts to the API server of this number.
async fn post(env: &TestEnv, server: usize, headers: &[(&str, &str)], query: &Value) -> Response {
    let url = env.stack.api_servers[server].url().join("arxiv").unwrap();
    let mut request = env.http.post(url).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(query.to_string()).send().await.unwrap()
}

/// Waits until the server knows of so many unfinished queries.
async fn seen(env: &TestEnv, server: usize, count: usize) {
    eventually("the server has seen all", async || {
        let url = env.stack.api_servers[server].url().join("metrics").unwrap();
        let metrics = env.http.get(url).send().await.unwrap().text().await.unwrap();
        metrics
            .lines()
            .any(|line| line == format!("arxiv_api_server_unfinished_queries {count}"))
            .then_some(())
    })
    .await;
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_posted() {
    let env = TestEnv::for_api(&[]).await;
    let arxiv = env.stack.arxiv().unwrap();

    let query = json!({"title": "a", "author": "b", "max_results": 3, "sort_by": "submittedDate", "sort_order": "ascending"});
    let response = post(&env, 0, &[], &query).await;
    assert_eq!(response.status(), 201);
    assert_eq!(header(&response, "cache-control"), "no-store");
    let location = header(&response, "location").to_owned();
    let form = env
        .http
        .post(env.url("/arxiv"))
        .header("content-type", "text/plain");
    let (status, detail) = error_of(form.body(query.to_string()).send().await.unwrap()).await;
    assert_eq!(status, 415, "{detail}");
    let state = json_body(response).await;
    assert_eq!(format!("/arxiv/{}", state["name"].as_str().unwrap()), location);
    assert_eq!(
        (
            &state["phase"],
            &state["status"],
            &state["num_results"],
            &state["num_entries"]
        ),
        (&json!("Succeeded"), &json!(200), &json!(1234), &json!(3))
    );
    assert_eq!(state["search"], json!({"author": "b", "title": "a"}));
    assert_eq!(state["queue"], Value::Null);
    assert_eq!(json_body(env.get(&location).await).await, state);
    let rows = json_body(env.get(&format!("{location}/results")).await).await;
    assert_eq!(rows.as_array().unwrap().len(), 3);
    let asked = &arxiv.requests()[0];
    assert!(asked.target.contains("sortBy=submittedDate"), "{asked:?}");
    let made = &env.objects().await[0];
    assert_eq!(
        (made.spec.backoff_limit, made.spec.ttl_seconds_after_finished),
        (None, Some(4 * 3600))
    );

    // Nothing found is a success; a failure is arXiv's error, with the address of its query.
    arxiv.set(Mode::Zero);
    let response = post(&env, 0, &[], &json!({"title": "none"})).await;
    assert_eq!(response.status(), 201);
    assert_eq!(json_body(response).await["num_results"], 0);
    arxiv.set(Mode::Status(403));
    let response = post(&env, 0, &[], &json!({"title": "refused", "backoff_limit": 0})).await;
    assert_eq!(response.status(), 403);
    let location = header(&response, "location").to_owned();
    assert_eq!(json_body(env.get(&location).await).await["phase"], "Failed");

    // A spec is taken as it is; what is unknown is not.
    arxiv.set(Mode::Ok);
    let spec = json!({"title": "spec", "maxResults": 1, "backoffLimit": 2});
    assert_eq!(post(&env, 0, &[], &spec).await.status(), 201);
    let (status, detail) = error_of(post(&env, 0, &[], &json!({"max_results": 0, "titel": "x"})).await).await;
    assert_eq!(status, 422);
    assert_eq!(
        problems(&detail),
        [
            (
                "greater_than_equal".to_owned(),
                r#"["body","max_results"]"#.to_owned()
            ),
            ("extra_forbidden".to_owned(), r#"["body","titel"]"#.to_owned()),
        ]
    );
    let plain = env
        .http
        .post(env.url("/arxiv"))
        .body("{\"title\":\"x\"}")
        .send()
        .await;
    assert_eq!(plain.unwrap().status(), 422);
    assert_eq!(env.send("PUT", "/arxiv").await.status(), 405);
    assert_eq!(env.send("HEAD", "/arxiv").await.status(), 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_says_how_long_it_waits() {
    let env = TestEnv::for_api(&[]).await;
    env.stack.arxiv().unwrap().set(Behaviour {
        delay_ms: 4000,
        ..Behaviour::default()
    });
    for (prefer, applied) in [
        ("respond-async", &["respond-async"][..]),
        ("wait=1", &["wait=1"]),
        ("respond-async, wait=1", &["respond-async", "wait=1"]),
    ] {
        let response = post(&env, 0, &[("prefer", prefer)], &json!({"title": prefer})).await;
        assert_eq!(response.status(), 202, "{prefer}");
        let told: Vec<_> = response.headers().get_all("preference-applied").iter().collect();
        assert_eq!(told, applied, "{prefer}");
        assert!(header(&response, "retry-after").parse::<u64>().unwrap() >= 1);
        let location = header(&response, "location").to_owned();
        let state = json_body(response).await;
        assert!(
            ["Pending", "Running"].contains(&state["phase"].as_str().unwrap()),
            "{state}"
        );
        eventually("the query ends", async || {
            (env.get(&location).await.status() == 200).then_some(())
        })
        .await;
    }
    let request = env
        .http
        .get(env.url("/arxiv?title=get"))
        .header("prefer", "wait=1");
    let response = request.send().await.unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            header(&response, "preference-applied")
        ),
        (202, "wait=1")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_one_object_however_often_and_wherever_it_is_sent() {
    let options = Options {
        api_servers: vec!["all".into(), "all".into()],
        ..Options::default()
    };
    let env = TestEnv::for_api_with(options, &[]).await;
    let key = [("idempotency-key", "\"8e03978e\"")];
    let query = json!({"title": "once", "max_results": 2});

    // At once, on both: all are told of the same one.
    let answers = join_all((0..20).map(|n| post(&env, n % 2, &key, &query))).await;
    let mut names = BTreeSet::new();
    for answer in answers {
        assert_eq!(answer.status(), 201);
        names.insert(json_body(answer).await["name"].as_str().unwrap().to_owned());
    }
    assert_eq!(names.len(), 1);
    assert_eq!(env.objects().await.len(), 1);

    // Later, spelt otherwise, after a restart, by GET.
    env.stack.api_servers[1].kill9_and_start().unwrap();
    env.stack.ready().await.unwrap();
    let other = json!({"maxResults": 2, "title": "once"});
    let unquoted = [("idempotency-key", "8e03978e")];
    assert_eq!(
        json_body(post(&env, 1, &unquoted, &other).await).await["name"],
        *names.first().unwrap()
    );
    let request = env.http.get(env.url("/arxiv?title=once&max_results=2"));
    let response = request
        .header("idempotency-key", "8e03978e")
        .send()
        .await
        .unwrap();
    assert_eq!(json_body(response).await.as_object().unwrap().len(), 4);

    // Something else under the key is refused, here and there.
    for server in [0, 1] {
        let response = post(&env, server, &key, &json!({"title": "other", "max_results": 2})).await;
        assert_eq!(response.status(), 422);
        assert!(
            json_body(response).await["detail"]
                .as_str()
                .unwrap()
                .contains("Idempotency-Key")
        );
    }
    assert_eq!(
        post(&env, 0, &[("idempotency-key", "")], &query).await.status(),
        400
    );
    assert_eq!(env.objects().await.len(), 1);

    // Once the object is gone, the key is free.
    let location = format!("/arxiv/{}", names.first().unwrap());
    assert_eq!(env.send("DELETE", &location).await.status(), 204);
    assert_eq!(post(&env, 1, &key, &json!({"title": "new"})).await.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pending_is_bounded_over_all_api_servers() {
    let options = Options {
        // Nobody runs anything.
        operators: 0,
        api_servers: vec!["all".into(), "all".into()],
        ..Options::default()
    };
    let env = TestEnv::for_api_with(options, &[("ARXIV_MAX_PENDING", "5"), ("ARXIV_WAIT_MS", "100")]).await;
    let mut locations = Vec::new();
    for n in 0..5 {
        // Each server sees what the other made.
        let server = n % 2;
        seen(&env, server, n).await;
        let response = post(
            &env,
            server,
            &[("idempotency-key", &n.to_string())],
            &json!({"title": n.to_string()}),
        )
        .await;
        assert_eq!(response.status(), 202, "{n}");
        locations.push(header(&response, "location").to_owned());
    }
    for server in [0, 1] {
        seen(&env, server, 5).await;
        let response = post(&env, server, &[], &json!({"title": "more"})).await;
        assert_eq!(response.status(), 429);
        assert!(header(&response, "retry-after").parse::<u64>().unwrap() >= 1);
        assert!(header(&response, "ratelimit").starts_with("\"pending\";r=0"));
    }
    assert_eq!(env.get("/arxiv?title=more").await.status(), 429);
    // What stands under a key is told nevertheless.
    assert_eq!(
        post(&env, 1, &[("idempotency-key", "0")], &json!({"title": "0"}))
            .await
            .status(),
        202
    );
    assert_eq!(env.objects().await.len(), 5);

    // Each has its place; when one goes, there is room, and the others move up.
    let place = async |location: &str| json_body(env.get(location).await).await["queue"]["place"].as_u64();
    let places = join_all(locations.iter().map(|location| place(location))).await;
    let all: BTreeSet<_> = places.iter().flatten().copied().collect();
    assert_eq!(all, (1..=5).collect());
    let first = places.iter().position(|place| *place == Some(1)).unwrap();
    assert_eq!(env.send("DELETE", &locations.remove(first)).await.status(), 204);
    eventually("the others move up", async || {
        let places = join_all(locations.iter().map(|location| place(location))).await;
        let all: BTreeSet<_> = places.into_iter().flatten().collect();
        (all == (1..=4).collect()).then_some(())
    })
    .await;
    eventually("there is room", async || {
        (env.get("/arxiv?title=room").await.status() == 202).then_some(())
    })
    .await;
}
