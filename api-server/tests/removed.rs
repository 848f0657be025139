//! Queries whose objects are gone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crd::ArxivQuery;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use testbed::TestEnv;
use testbed::arxiv::Mode;
use testbed::test_env::{eventually, json_body};

/// Searches, and gives the object's name, its state and its results.
async fn searched(env: &TestEnv, title: &str) -> (String, Value, Value) {
    assert_eq!(
        env.get(&format!("/arxiv?title={title}&max_results=3"))
            .await
            .status(),
        200
    );
    let objects = env.objects().await;
    let object = objects
        .into_iter()
        .find(|object| object.spec.title.as_deref() == Some(title));
    let name = object.unwrap().metadata.name.unwrap();
    let state = eventually("its end is told", async || {
        let state = json_body(env.get(&format!("/arxiv/{name}")).await).await;
        (state["phase"] == "Succeeded").then_some(state)
    })
    .await;
    let rows = json_body(env.get(&format!("/arxiv/{name}/results")).await).await;
    assert_eq!(rows.as_array().unwrap().len(), 3, "{rows}");
    (name, state, rows)
}

async fn gone(env: &TestEnv, name: &str) {
    eventually("the object is gone", async || {
        let objects = env.objects().await;
        let left = objects
            .iter()
            .any(|object| object.metadata.name.as_deref() == Some(name));
        (!left).then_some(())
    })
    .await;
}

/// That there is none can be told once the replica is known to have all, which is 503 until then.
async fn is_not_told_of(env: &TestEnv, path: &str) {
    eventually("it is not told of", async || {
        match env.get(path).await.status().as_u16() {
            404 => Some(()),
            503 => None,
            status => panic!("{path}: {status}"),
        }
    })
    .await;
}

/// The object's last state, as far as it was recorded.
async fn is_told_from_its_record(env: &TestEnv, name: &str, state: &Value, rows: &Value) {
    let answer = env.get(&format!("/arxiv/{name}")).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let told = json_body(answer).await;
    let mut expected = state.clone();
    for unknown in ["search", "attempts", "created", "started"] {
        expected[unknown] = Value::Null;
    }
    expected["removed"] = json!(true);
    // The query as /queries tells it: as arXiv understood it.
    let query = told["query"].as_str().unwrap();
    assert!(query.contains(state["query"].as_str().unwrap()), "{told}");
    for own in ["message", "finished", "query"] {
        assert!(told[own].is_string(), "{told}");
        expected[own] = told[own].clone();
    }
    assert_eq!(told, expected);
    assert!(state.get("removed").is_none(), "{state}");
    let results = json_body(env.get(&format!("/arxiv/{name}/results")).await).await;
    assert_eq!(&results, rows);
    let page = json_body(
        env.get(&format!("/arxiv/{name}/results?items_per_page=2&page=1"))
            .await,
    )
    .await;
    assert_eq!(page, json!([rows[2]]));
    // In every form, as of all results.
    let listed = env.get("/results?format=bibtex").await.text().await.unwrap();
    let request = env.http.get(env.url(&format!("/arxiv/{name}/results")));
    let exported = request
        .header("accept", "application/x-bibtex")
        .send()
        .await
        .unwrap();
    assert_eq!(
        exported.headers()["content-disposition"],
        "attachment; filename=results.bib"
    );
    assert_eq!(exported.text().await.unwrap(), listed);
}

/// Whoever follows it gets what is told of it as the end, once.
async fn is_followed_to_its_end(env: &TestEnv, name: &str) {
    let state = json_body(env.get(&format!("/arxiv/{name}")).await).await;
    let path = format!("/arxiv/{name}/events");
    let answer = env.get(&path).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let events = answer.text().await.unwrap();
    let fields: Vec<_> = events.lines().filter_map(|line| line.split_once(": ")).collect();
    let all = |field| {
        fields
            .iter()
            .filter(move |(name, _)| *name == field)
            .map(|(_, value)| *value)
    };
    assert_eq!(all("event").collect::<Vec<_>>(), ["end"], "{events}");
    let data: Value = serde_json::from_str(all("data").next().unwrap()).unwrap();
    assert_eq!(data, state);
    let again = env
        .http
        .get(env.url(&path))
        .header("last-event-id", all("id").next().unwrap());
    assert_eq!(again.send().await.unwrap().status(), 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_ttl_deleted_is_told_from_what_was_recorded() {
    let env = TestEnv::for_api(&[("ARXIV_TTL_SECONDS", "15"), ("SWEEP_INTERVAL_SECONDS", "1")]).await;
    let (name, state, rows) = searched(&env, "transient").await;
    gone(&env, &name).await;
    is_told_from_its_record(&env, &name, &state, &rows).await;
    // Rows from before, or of others, have no name.
    env.execute("update public.queries set object_name = null").await;
    for path in ["", "/events", "/results"] {
        is_not_told_of(&env, &format!("/arxiv/{name}{path}")).await;
    }
}

/// Whatever is read from the replica says how far that is behind.
async fn the_lag_is_told(env: &TestEnv, name: &str) {
    let databases = &env.stack.databases;
    databases.replica.pause_replay().await.unwrap();
    let late = "insert into public.results (author) values ('late')";
    databases.primary.execute("arxiv", late).await.unwrap();
    for path in ["", "/events", "/results"] {
        eventually("the lag is told", async || {
            let answer = env.get(&format!("/arxiv/{name}{path}")).await;
            assert_eq!(answer.status(), 200, "{path}");
            answer.headers().contains_key("arxiv-replica-lag").then_some(())
        })
        .await;
    }
    databases.replica.resume_replay().await.unwrap();
    env.execute("delete from public.results where author = 'late'")
        .await;
    eventually("it is behind no more", async || {
        let answer = env.get(&format!("/arxiv/{name}")).await;
        (!answer.headers().contains_key("arxiv-replica-lag")).then_some(())
    })
    .await;
}

/// Of a query whose object outlives its rows the results are told to be gone, for good.
async fn expired_results_are_told_as_removed(env: &TestEnv) {
    let (name, state, _) = searched(env, "expired").await;
    let uid = state["uid"].as_str().unwrap();
    let expire = format!(
        "insert into public.arxiv_retention (days) values (1);
         update public.queries set recorded_at = recorded_at - interval '2 days' where query_uid = '{uid}';
         select public.expire_queries(); delete from public.results where query_uid = '{uid}'"
    );
    env.execute(&expire).await;
    // For one that has just ended they might be on their way.
    let objects: Api<ArxivQuery> = Api::namespaced(
        env.stack.control_plane().client().await.unwrap(),
        env.stack.namespace(),
    );
    let long_ago = json!({"status": {"completionTime": "2024-03-31T00:00:00Z"}});
    objects
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(long_ago))
        .await
        .unwrap();
    let request = env.http.get(env.url(&format!("/arxiv/{name}/results")));
    let answer = request
        .header("accept", "application/problem+json")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 410);
    assert_eq!(json_body(answer).await["code"], "results_removed");
    let state = json_body(env.get(&format!("/arxiv/{name}")).await).await;
    assert_eq!(state["phase"], "Succeeded", "{state}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_by_hand_is_told_from_what_was_recorded() {
    let env = TestEnv::for_api(&[]).await;
    let (name, state, rows) = searched(&env, "removed").await;
    assert_eq!(env.send("DELETE", &format!("/arxiv/{name}")).await.status(), 204);
    gone(&env, &name).await;
    is_told_from_its_record(&env, &name, &state, &rows).await;
    is_followed_to_its_end(&env, &name).await;
    the_lag_is_told(&env, &name).await;
    // There is nothing left to remove.
    assert_eq!(env.send("DELETE", &format!("/arxiv/{name}")).await.status(), 404);
    // Of another namespace it is not told.
    env.execute("update public.queries set object_namespace = 'elsewhere'")
        .await;
    for path in ["", "/events", "/results"] {
        is_not_told_of(&env, &format!("/arxiv/{name}{path}")).await;
    }
    expired_results_are_told_as_removed(&env).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_told_with_its_reason_once_it_is_removed() {
    let env = TestEnv::for_api(&[("ARXIV_TTL_SECONDS", "15"), ("SWEEP_INTERVAL_SECONDS", "1")]).await;
    env.stack.arxiv().unwrap().set(Mode::Malformed);
    let answer = env.get("/arxiv?title=hopeless").await;
    assert_eq!(answer.status(), 502);
    let told = json_body(answer).await;
    let name = env.objects().await[0].metadata.name.clone().unwrap();
    let path = format!("/arxiv/{name}");
    let state = json_body(env.get(&path).await).await;
    assert_eq!(
        (&state["phase"], &state["reason"]),
        (&json!("Failed"), &json!("BrokenFeed")),
        "{state}"
    );
    gone(&env, &name).await;

    let answer = env.get(&path).await;
    assert_eq!(answer.status(), 200);
    let after = json_body(answer).await;
    let mut expected = state.clone();
    for unknown in ["search", "attempts", "created", "started", "query"] {
        expected[unknown] = Value::Null;
    }
    expected["removed"] = json!(true);
    assert!(after["finished"].is_string(), "{after}");
    expected["finished"] = after["finished"].clone();
    assert_eq!(after, expected);
    assert_eq!(after["message"], told["detail"]);
    is_followed_to_its_end(&env, &name).await;
    assert_eq!(env.get(&format!("{path}/results")).await.status(), 409);
    // Nothing of it is in the tables.
    assert_eq!(
        env.count("public.queries").await + env.count("public.results").await,
        0
    );
    // When it is forgotten, there is no query of this name.
    env.execute("delete from public.arxiv_query_tombstones").await;
    is_not_told_of(&env, &path).await;
}
