//! Queries whose objects are gone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod bed;

use serde_json::{Value, json};

use bed::{Bed, eventually, json as body};

/// Searches, and gives the object's name, its state and its results.
async fn searched(bed: &Bed, title: &str) -> (String, Value, Value) {
    assert_eq!(
        bed.get(&format!("/arxiv?title={title}&max_results=3"))
            .await
            .status(),
        200
    );
    let objects = bed.objects().await;
    let object = objects
        .into_iter()
        .find(|object| object.spec.title.as_deref() == Some(title));
    let name = object.unwrap().metadata.name.unwrap();
    let state = eventually("its end is told", async || {
        let state = body(bed.get(&format!("/arxiv/{name}")).await).await;
        (state["phase"] == "Succeeded").then_some(state)
    })
    .await;
    let rows = body(bed.get(&format!("/arxiv/{name}/results")).await).await;
    assert_eq!(rows.as_array().unwrap().len(), 3, "{rows}");
    (name, state, rows)
}

async fn gone(bed: &Bed, name: &str) {
    eventually("the object is gone", async || {
        let objects = bed.objects().await;
        let left = objects
            .iter()
            .any(|object| object.metadata.name.as_deref() == Some(name));
        (!left).then_some(())
    })
    .await;
}

/// The object's last state, as far as it was recorded.
async fn is_told_from_its_record(bed: &Bed, name: &str, state: &Value, rows: &Value) {
    let answer = bed.get(&format!("/arxiv/{name}")).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let told = body(answer).await;
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
    let results = body(bed.get(&format!("/arxiv/{name}/results")).await).await;
    assert_eq!(&results, rows);
    let page = body(
        bed.get(&format!("/arxiv/{name}/results?items_per_page=2&page=1"))
            .await,
    )
    .await;
    assert_eq!(page, json!([rows[2]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_ttl_deleted_is_told_from_what_was_recorded() {
    let bed = Bed::start(&[("ARXIV_TTL_SECONDS", "4"), ("SWEEP_INTERVAL_SECONDS", "1")]).await;
    let (name, state, rows) = searched(&bed, "transient").await;
    gone(&bed, &name).await;
    is_told_from_its_record(&bed, &name, &state, &rows).await;
    // Rows from before, or of others, have no name.
    bed.execute("update public.queries set object_name = null").await;
    assert_eq!(bed.get(&format!("/arxiv/{name}")).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_by_hand_is_told_from_what_was_recorded() {
    let bed = Bed::start(&[]).await;
    let (name, state, rows) = searched(&bed, "removed").await;
    assert_eq!(bed.send("DELETE", &format!("/arxiv/{name}")).await.status(), 204);
    gone(&bed, &name).await;
    is_told_from_its_record(&bed, &name, &state, &rows).await;
    // There is nothing left to remove or to follow.
    for (method, path) in [("DELETE", ""), ("GET", "/events")] {
        assert_eq!(
            bed.send(method, &format!("/arxiv/{name}{path}")).await.status(),
            404,
            "{path}"
        );
    }
    // Of another namespace it is not told.
    bed.execute("update public.queries set object_namespace = 'elsewhere'")
        .await;
    assert_eq!(bed.get(&format!("/arxiv/{name}")).await.status(), 404);
}
