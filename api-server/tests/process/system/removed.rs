//! Queries whose objects the operator has deleted.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testbed::TestEnv;
use testbed::arxiv::{Behaviour, Mode};
use testbed::test_env::{LIMIT, eventually, json_body};

use crate::removed::{assert_is_record_of, assert_is_tombstone_of, id_of_end};

/// The name of the object of a search for this title.
async fn name_of(env: &TestEnv, title: &str) -> String {
    let mut objects = env.objects().await.into_iter();
    let object = objects.find(|object| object.spec.search.title.as_deref() == Some(title));
    object.unwrap().metadata.name.unwrap()
}

/// Searches; the object's name, its state and its results.
async fn searched(env: &TestEnv, title: &str) -> (String, Value, Value) {
    assert_eq!(
        env.get(&format!("/arxiv?title={title}&max_results=3"))
            .await
            .status(),
        200
    );
    let name = name_of(env, title).await;
    let state = eventually("its end is shown", async || {
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

/// A 404 needs a replica that is known to have all rows; until then it is a 503.
async fn assert_is_unknown(env: &TestEnv, path: &str) {
    eventually("it is unknown", async || {
        match env.get(path).await.status().as_u16() {
            404 => Some(()),
            503 => None,
            status => panic!("{path}: {status}"),
        }
    })
    .await;
}

/// The object's last state, as far as it was recorded.
async fn assert_is_recorded(env: &TestEnv, name: &str, state: &Value, rows: &Value) {
    let answer = env.get(&format!("/arxiv/{name}")).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let recorded = json_body(answer).await;
    assert_is_record_of(state, &recorded);
    let results = json_body(env.get(&format!("/arxiv/{name}/results")).await).await;
    assert_eq!(&results, rows);
    let page = json_body(
        env.get(&format!("/arxiv/{name}/results?items_per_page=2&page=1"))
            .await,
    )
    .await;
    assert_eq!(page, json!([rows[2]]));
    // In every format, as of all results.
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

/// Its events are the end, once.
async fn assert_events_are_its_end(env: &TestEnv, name: &str) {
    let state = json_body(env.get(&format!("/arxiv/{name}")).await).await;
    let path = format!("/arxiv/{name}/events");
    let answer = env.get(&path).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let id = id_of_end(&answer.text().await.unwrap(), &state);
    let again = env.http.get(env.url(&path)).header("last-event-id", id);
    assert_eq!(again.send().await.unwrap().status(), 204);
}

/// The operator deletes the object some seconds after its end.
pub(super) async fn by_its_ttl(env: &TestEnv) {
    let (name, state, rows) = searched(env, "transient").await;
    gone(env, &name).await;
    assert_is_recorded(env, &name, &state, &rows).await;
    // Rows from before, or of others, have no name.
    env.execute("update public.queries set object_name = null").await;
    for path in ["", "/events", "/results"] {
        assert_is_unknown(env, &format!("/arxiv/{name}{path}")).await;
    }
}

/// It has no rows, but a tombstone with its reason.
pub(super) async fn after_a_failure(env: &TestEnv) {
    env.stack.arxiv().unwrap().set(Mode::Malformed);
    let answer = env.get("/arxiv?title=hopeless").await;
    assert_eq!(answer.status(), 502);
    let error = json_body(answer).await;
    let name = name_of(env, "hopeless").await;
    let path = format!("/arxiv/{name}");
    let state = json_body(env.get(&path).await).await;
    assert_eq!(
        (&state["phase"], &state["reason"]),
        (&json!("Failed"), &json!("BrokenFeed")),
        "{state}"
    );
    gone(env, &name).await;

    let answer = env.get(&path).await;
    assert_eq!(answer.status(), 200);
    let after = json_body(answer).await;
    assert_is_tombstone_of(&state, &after);
    assert_eq!(after["message"], error["detail"]);
    assert_events_are_its_end(env, &name).await;
    assert_eq!(env.get(&format!("{path}/results")).await.status(), 409);
    // It has no rows.
    assert_eq!(
        env.count("public.queries").await + env.count("public.results").await,
        0
    );
    // Without its tombstone, there is no query of this name.
    env.execute("delete from public.arxiv_query_tombstones").await;
    assert_is_unknown(env, &path).await;
}

/// A finalizer keeps its object: for its users it is gone all the same.
pub(super) async fn before_its_end(env: &TestEnv) {
    let arxiv = env.stack.arxiv().unwrap();
    arxiv.set(Behaviour {
        delay_ms: 3_000,
        ..Behaviour::default()
    });
    let keep = async |name: &str, keep: bool| {
        let finalizers = keep.then_some(["example.org/keeps-it"]);
        let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        env.queries
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    let waiting = tokio::spawn(env.http.get(env.url("/arxiv?title=kept&max_results=3")).send());
    arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    let name = name_of(env, "kept").await;
    keep(&name, true).await;
    let path = format!("/arxiv/{name}");
    assert_eq!(env.get(&path).await.status(), 202);
    let events = tokio::spawn(env.http.get(env.url(&format!("{path}/events"))).send());
    assert_eq!(env.send("DELETE", &path).await.status(), 204);
    assert!(env.queries.get(&name).await.unwrap().is_being_deleted());

    // Clients that wait for it get the answer at once; the others when they ask.
    assert_eq!(waiting.await.unwrap().unwrap().status(), 410);
    let events = events.await.unwrap().unwrap();
    if events.status() == 200 {
        let events = events.text().await.unwrap();
        assert!(events.contains("event: gone"), "{events}");
    } else {
        assert_eq!(events.status(), 410);
    }
    for (path, expected) in [
        (path.clone(), 410),
        (format!("{path}/results"), 410),
        (format!("{path}/events"), 410),
    ] {
        assert_eq!(env.get(&path).await.status(), expected, "{path}");
    }
    assert_eq!(env.send("DELETE", &path).await.status(), 404);
    let listed = json_body(env.get("/arxiv?state=unfinished").await).await;
    assert_eq!(listed, json!([]));

    // One that has ended is described as it ended, and as removed.
    arxiv.set(Mode::Ok);
    let (ended, state, rows) = searched(env, "ended").await;
    assert_eq!(env.rows().await.len(), 1, "the other one has no rows");
    keep(&ended, true).await;
    assert_eq!(env.send("DELETE", &format!("/arxiv/{ended}")).await.status(), 204);
    let mut expected = state.clone();
    expected["removed"] = json!(true);
    assert_eq!(
        json_body(env.get(&format!("/arxiv/{ended}")).await).await,
        expected
    );
    let results = env.get(&format!("/arxiv/{ended}/results")).await;
    assert_eq!(json_body(results).await, rows);
    for name in [&name, &ended] {
        keep(name, false).await;
        gone(env, name).await;
    }
}
