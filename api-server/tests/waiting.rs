//! GET /arxiv beyond the plain answer: 202, its address, removal, the end of the process, Kubernetes away.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crd::FAIL_FAST_ANNOTATION;
use reqwest::{Response, header};
use rustix::process::Signal;
use serde_json::Value;
use std::time::Duration;
use testbed::TestEnv;
use testbed::test_env::{LIMIT, eventually, json_body};
use testbed::{
    arxiv::{Behaviour, Mode},
    stack::Options,
};

fn header_of(response: &Response, name: header::HeaderName) -> Option<String> {
    Some(response.headers().get(name)?.to_str().unwrap().to_owned())
}

/// What 202 tells: where to look, when, and in words. Gives the address.
async fn accepted(response: Response) -> String {
    assert_eq!(response.status(), 202);
    assert!(
        header_of(&response, header::RETRY_AFTER)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            >= 1
    );
    assert_eq!(
        header_of(&response, header::CACHE_CONTROL).as_deref(),
        Some("no-store")
    );
    let location = header_of(&response, header::LOCATION).unwrap();
    let body = json_body(response).await;
    assert!(
        body["detail"].is_string() && body["location"] == location,
        "{body}"
    );
    location
}

async fn finished(env: &TestEnv, location: &str) -> Value {
    eventually("the query ends", async || {
        let response = env.get(location).await;
        match response.status().as_u16() {
            200 => Some(json_body(response).await),
            202 => {
                assert!(header_of(&response, header::RETRY_AFTER).is_some());
                None
            }
            status => panic!("{status}"),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_told_by_its_name() {
    let env = TestEnv::for_api(&[]).await;

    // Within the limit: the answer, and an object that fails on the first error.
    let response = env.get("/arxiv?title=a&max_results=3").await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        header_of(&response, header::CACHE_CONTROL).as_deref(),
        Some("no-store")
    );
    let all = env.objects().await;
    let [object] = all.as_slice() else {
        panic!("{} objects", all.len())
    };
    assert_eq!(object.spec.backoff_limit, Some(0));
    assert_eq!(object.spec.ttl_seconds_after_finished, Some(4 * 3600));
    assert_eq!(
        object.metadata.annotations.as_ref().unwrap()[FAIL_FAST_ANNOTATION],
        "true"
    );

    // Its state and its results, which the replica must have by then.
    let name = object.metadata.name.clone().unwrap();
    let state = finished(&env, &format!("/arxiv/{name}")).await;
    assert_eq!(state["name"], name.as_str());
    assert_eq!(
        (&state["phase"], &state["status"]),
        (&Value::from("Succeeded"), &Value::from(200))
    );
    assert_eq!(
        (&state["num_results"], &state["num_entries"]),
        (&Value::from(1234), &Value::from(3))
    );
    assert!(state["query_id"].is_i64() && state["timestamp"].is_i64() && state["created"].is_string());
    assert!(
        state["finished"].is_string() && state["query"].as_str().unwrap().contains("ti:a"),
        "{state}"
    );
    let rows = json_body(env.get(&format!("/arxiv/{name}/results?items_per_page=2")).await).await;
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert_eq!(rows[0]["author"], "Author 0-0 Erdős");
    let rows = json_body(
        env.get(&format!("/arxiv/{name}/results?items_per_page=2&page=1"))
            .await,
    )
    .await;
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(
        env.get(&format!("/arxiv/{name}/results?page=-1")).await.status(),
        422
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_takes_long_or_fails_is_told_by_its_name() {
    let env = TestEnv::for_api(&[]).await;
    let arxiv = env.stack.arxiv().unwrap();

    // At the limit: 202, and the query goes on.
    arxiv.set(Behaviour {
        delay_ms: 8000,
        ..Behaviour::default()
    });
    let request = env
        .http
        .get(env.url("/arxiv?title=slow&max_results=1"))
        .header("prefer", "wait=1");
    let location = accepted(request.send().await.unwrap()).await;
    assert_eq!(env.get(&format!("{location}/results")).await.status(), 202);
    assert_eq!(finished(&env, &location).await["phase"], "Succeeded");

    // At once when asked for; such an object is tried again as usual.
    arxiv.set(Mode::Status(500));
    let request = env
        .http
        .get(env.url("/arxiv?title=async"))
        .header("prefer", "respond-async");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["preference-applied"], "respond-async");
    let location = accepted(response).await;
    let of_async = env
        .objects()
        .await
        .into_iter()
        .find(|o| location.ends_with(o.metadata.name.as_deref().unwrap()));
    let of_async = of_async.unwrap();
    assert_eq!(of_async.spec.backoff_limit, None);
    assert!(
        !of_async
            .metadata
            .annotations
            .unwrap_or_default()
            .contains_key(FAIL_FAST_ANNOTATION)
    );

    // Removed: gone, twice.
    assert_eq!(env.send("DELETE", &location).await.status(), 204);
    assert_eq!(env.get(&location).await.status(), 404);
    assert_eq!(env.send("DELETE", &location).await.status(), 404);

    // The failed one tells its error, and has no results.
    env.forget_pages().await;
    let response = env.get("/arxiv?title=broken").await;
    assert_eq!(response.status(), 500);
    let failed = eventually("the failed one", async || {
        env.objects()
            .await
            .into_iter()
            .find(|o| o.spec.title.as_deref() == Some("broken"))
    })
    .await;
    let location = format!("/arxiv/{}", failed.metadata.name.unwrap());
    let state = finished(&env, &location).await;
    assert_eq!(
        (&state["phase"], &state["status"]),
        (&Value::from("Failed"), &Value::from(500))
    );
    assert!(!state["message"].as_str().unwrap().is_empty());
    assert_eq!(env.get(&format!("{location}/results")).await.status(), 409);

    // Names that are none, methods that are not.
    for path in [
        "/arxiv/nope",
        "/arxiv/Upper",
        "/arxiv/a%2Fb",
        "/arxiv/..%2f",
        "/arxiv/%20",
        "/arxiv/nope/results",
    ] {
        assert_eq!(env.get(path).await.status(), 404, "{path}");
    }
    let response = env.send("PUT", "/arxiv/nope").await;
    assert_eq!(response.status(), 405);
    assert_eq!(
        header_of(&response, header::ALLOW).as_deref(),
        Some("GET, DELETE")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_is_told_where_to_look_when_the_process_ends() {
    let env = TestEnv::for_api(&[]).await;
    env.stack.arxiv().unwrap().set(Behaviour {
        delay_ms: 10_000,
        ..Behaviour::default()
    });
    let waiting = tokio::spawn(env.http.get(env.url("/arxiv?title=x")).send());
    env.stack
        .arxiv()
        .unwrap()
        .wait_for_requests(1, LIMIT)
        .await
        .unwrap();
    let server = env.stack.api_servers[0].child();
    server.signal(Signal::TERM);
    let location = accepted(waiting.await.unwrap().unwrap()).await;
    assert!(
        server.wait(LIMIT).await.unwrap().success(),
        "{}",
        server.log_tail()
    );
    server.start_again().unwrap();
    env.stack.ready().await.unwrap();
    assert_eq!(finished(&env, &location).await["phase"], "Succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_outlives_kubernetes() {
    let options = Options {
        own_control_plane: true,
        ..Options::default()
    };
    let env = TestEnv::for_api_with(options, &[("ARXIV_WAIT_MS", "200000")]).await;
    let plane = env.stack.control_plane();
    assert_eq!(env.get("/arxiv?title=before").await.status(), 200);

    // Away when asked: always the same 503, and nothing of it comes to life afterwards.
    plane.api_server().kill9();
    let response = env.get("/arxiv?title=never").await;
    assert_eq!(response.status(), 503);
    assert!(header_of(&response, header::RETRY_AFTER).is_some());
    let body = json_body(response).await;
    assert_eq!(body.as_object().unwrap().len(), 1);
    assert_eq!(json_body(env.get("/arxiv/nope").await).await, body);
    eventually(
        "its absence is told, and takes nobody out of service",
        async || {
            let response = env.get("/readyz").await;
            let status = response.status();
            let body = json_body(response).await;
            assert_eq!(status, 200, "{body}");
            body["reasons"]["kubernetes"].is_string().then_some(())
        },
    )
    .await;
    assert_eq!(env.get("/results").await.status(), 200, "reads go on");
    plane.start_api_server().await.unwrap();
    env.stack.ready().await.unwrap();
    assert!(
        !env.objects()
            .await
            .iter()
            .any(|o| o.spec.title.as_deref() == Some("never"))
    );

    // Away while one waits: the answer comes after all.
    env.forget_pages().await;
    env.stack.arxiv().unwrap().clear_record();
    env.stack.arxiv().unwrap().set(Behaviour {
        delay_ms: 2000,
        ..Behaviour::default()
    });
    let request = env.http.get(env.url("/arxiv?title=across"));
    let waiting = tokio::spawn(request.timeout(Duration::from_mins(4)).send());
    env.stack
        .arxiv()
        .unwrap()
        .wait_for_requests(1, LIMIT)
        .await
        .unwrap();
    plane.api_server().kill9();
    tokio::time::timeout(Duration::from_secs(90), plane.start_api_server())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_while_somebody_waits_is_told() {
    let env = TestEnv::for_api(&[]).await;
    env.stack.arxiv().unwrap().set(Behaviour {
        delay_ms: 8000,
        ..Behaviour::default()
    });
    let waiting = tokio::spawn(env.http.get(env.url("/arxiv?title=x")).send());
    env.stack
        .arxiv()
        .unwrap()
        .wait_for_requests(1, LIMIT)
        .await
        .unwrap();
    let name = env.objects().await[0].metadata.name.clone().unwrap();
    assert_eq!(env.send("DELETE", &format!("/arxiv/{name}")).await.status(), 204);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 410);
}
