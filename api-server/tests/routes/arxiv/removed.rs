//! Queries whose objects are gone: their last state, as it was recorded.

use crd::Reason;
use serde_json::{Value, json};
use testbed::test_env::{eventually, json_body};

use crate::{
    removed::{assert_is_record_of, assert_is_tombstone_of, id_of_end},
    support::{Api, Outcome, header},
};

/// Searches; the object's address, its state and its results.
async fn searched(api: &Api, title: &str) -> (String, Value, Value) {
    let search = format!("/arxiv?title={title}&max_results=3");
    assert_eq!(api.get(&search).await.status(), 200);
    let location = format!("/arxiv/{}", api.name_of(title));
    let state = json_body(api.get(&location).await).await;
    assert_eq!(state["phase"], "Succeeded");
    let rows = json_body(api.get(&format!("{location}/results")).await).await;
    assert_eq!(rows.as_array().unwrap().len(), 3, "{rows}");
    (location, state, rows)
}

/// The object's last state, as far as it was recorded.
async fn assert_is_recorded(api: &Api, location: &str, state: &Value, rows: &Value) {
    let answer = api.get(location).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "cache-control"), Some("no-store"));
    let recorded = json_body(answer).await;
    assert_is_record_of(state, &recorded);
    let results = format!("{location}/results");
    assert_eq!(&json_body(api.get(&results).await).await, rows);
    let page = api.get(&format!("{results}?items_per_page=2&page=1")).await;
    assert_eq!(json_body(page).await, json!([rows[2]]));
    // In every format, as of all results.
    let listed = api.get("/results?format=bibtex").await.text().await.unwrap();
    let bibtex = [("accept", "application/x-bibtex")];
    let exported = api.send_with("GET", &results, &bibtex).await;
    assert_eq!(
        header(&exported, "content-disposition"),
        Some("attachment; filename=results.bib")
    );
    assert_eq!(exported.text().await.unwrap(), listed);
}

/// Its events are the end, once.
async fn assert_events_are_its_end(api: &Api, location: &str) {
    let state = json_body(api.get(location).await).await;
    let path = format!("{location}/events");
    let answer = api.get(&path).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "content-type"), Some("text/event-stream"));
    let id = id_of_end(&answer.text().await.unwrap(), &state);
    let seen = [("last-event-id", &*id)];
    assert_eq!(api.send_with("GET", &path, &seen).await.status(), 204);
}

/// Nothing of it is shown.
async fn assert_is_unknown(api: &Api, location: &str) {
    for path in ["", "/events", "/results"] {
        let path = format!("{location}{path}");
        assert_eq!(api.get(&path).await.status(), 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_query_is_answered_from_its_record() {
    let api = Api::start(&[]).await;
    let (location, state, rows) = searched(&api, "removed").await;
    assert_eq!(api.send("DELETE", &location).await.status(), 204);
    assert_is_recorded(&api, &location, &state, &rows).await;
    assert_events_are_its_end(&api, &location).await;
    // There is nothing left to remove.
    assert_eq!(api.send("DELETE", &location).await.status(), 404);
    // Records of another namespace are not shown.
    api.execute("update public.queries set object_namespace = 'elsewhere'")
        .await;
    assert_is_unknown(&api, &location).await;
    // Rows from before, or of others, have no name.
    api.execute(&format!(
        "update public.queries set object_namespace = '{}', object_name = null",
        crate::support::NAMESPACE
    ))
    .await;
    assert_is_unknown(&api, &location).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_expired_before_their_query_are_410() {
    let api = Api::start(&[]).await;
    let (location, state, _) = searched(&api, "expired").await;
    let uid = state["uid"].as_str().unwrap();
    let expire = format!(
        "insert into public.arxiv_retention (days) values (1);
         update public.queries set recorded_at = recorded_at - interval '2 days' where query_uid = '{uid}';
         select public.expire_queries(); delete from public.results where query_uid = '{uid}'"
    );
    api.execute(&expire).await;
    // Those of a query that has just ended might not be replicated yet.
    let long_ago = "2024-03-31T00:00:00Z".parse().unwrap();
    api.kubernetes.update_status(&api.name_of("expired"), |status| {
        status.completion_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(long_ago));
    });
    let problem = [("accept", "application/problem+json")];
    let results = format!("{location}/results");
    let answer = eventually("the process has seen the time", async || {
        let answer = api.send_with("GET", &results, &problem).await;
        (answer.status() != 503).then_some(answer)
    })
    .await;
    assert_eq!(answer.status(), 410);
    assert_eq!(json_body(answer).await["code"], "results_removed");
    let state = json_body(api.get(&location).await).await;
    assert_eq!(state["phase"], "Succeeded", "{state}");
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_query_that_failed_is_answered_from_its_tombstone() {
    let api = Api::start(&[]).await;
    api.operator.set(Outcome::Failed(Reason::BrokenFeed, Some(502)));
    let answer = api.get("/arxiv?title=hopeless").await;
    assert_eq!(answer.status(), 502);
    let error = json_body(answer).await;
    let location = format!("/arxiv/{}", api.name_of("hopeless"));
    let state = json_body(api.get(&location).await).await;
    assert_eq!(
        (&state["phase"], &state["reason"]),
        (&json!("Failed"), &json!("BrokenFeed")),
        "{state}"
    );
    assert_eq!(api.send("DELETE", &location).await.status(), 204);

    let answer = api.get(&location).await;
    assert_eq!(answer.status(), 200);
    let after = json_body(answer).await;
    assert_is_tombstone_of(&state, &after);
    assert_eq!(after["message"], error["detail"]);
    assert_events_are_its_end(&api, &location).await;
    assert_eq!(api.get(&format!("{location}/results")).await.status(), 409);
    // It has no rows.
    assert_eq!(
        api.count("public.queries").await + api.count("public.results").await,
        0
    );
    // Without its tombstone, there is no query of this name.
    api.execute("delete from public.arxiv_query_tombstones").await;
    assert_eq!(api.get(&location).await.status(), 404);
}
