//! Queries that the cluster does not admit, though this service may create them.

use serde_json::{Value, json};
use testbed::TestEnv;
use testbed::test_env::{Policy, eventually, json_body};

/// Status, code and text of the answer to a search for this title.
async fn answer(env: &TestEnv, title: &str) -> (u16, Value, String) {
    let request = env.http.post(env.url("/arxiv"));
    let request = request
        .header("content-type", "application/json")
        .header("accept", "application/problem+json")
        .header("prefer", "respond-async");
    let body = json!({"search": {"title": title}, "max_results": 3}).to_string();
    let response = request.body(body).send().await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(
        response.headers().contains_key("retry-after"),
        [202, 429, 503].contains(&status)
    );
    let body = json_body(response).await;
    (
        status,
        body["code"].clone(),
        body["detail"].as_str().unwrap_or_default().to_owned(),
    )
}

/// Waits until this search is refused, and checks how.
async fn assert_refused(env: &TestEnv, title: &str, status: u16, code: &str, words: &str) {
    let refused = eventually("it is refused", async || {
        let answer = answer(env, title).await;
        // A policy, and a quota, is in effect a little later.
        (answer.0 != 202).then_some(answer)
    })
    .await;
    assert_eq!(
        (refused.0, &refused.1),
        (status, &json!(code)),
        "{title}: {refused:?}"
    );
    assert!(refused.2.contains(words), "{title}: {refused:?}");
}

pub(super) async fn by_admission(env: &TestEnv) {
    let unless = |title: &str, words: &str, reason: Option<&str>| json!({"expression": format!("object.spec.search.title != '{title}'"), "message": words, "reason": reason});
    let validations = json!([
        unless("invalid", "not on weekdays", None),
        unless("forbidden", "not in this team", Some("Forbidden")),
        unless("large", "too much of it", Some("RequestEntityTooLarge")),
    ]);
    let policy = Policy::install(env, "words", ("CREATE", "arxivqueries"), validations).await;
    for (title, words) in [
        ("invalid", "not on weekdays"),
        ("forbidden", "not in this team"),
        ("large", "too much of it"),
    ] {
        assert_refused(env, title, 422, "not_admitted", words).await;
    }
    policy.remove().await;

    env.create_full_quota("papers").await;
    assert_refused(env, "quota", 429, "quota_exceeded", "quota").await;
    eventually("the words are those of the quota", async || {
        let (status, _, words) = answer(env, "quota").await;
        let is_counted = words.contains("exceeded quota: papers, requested: count/");
        (status == 429 && is_counted).then_some(())
    })
    .await;
    env.delete_quota("papers").await;
    eventually("queries are admitted again", async || {
        (answer(env, "quota").await.0 == 202).then_some(())
    })
    .await;
    // Those that were admitted would write rows during the next test.
    eventually("all queries have ended", async || {
        let objects = env.objects().await;
        let phases = objects.iter().filter_map(|object| object.status.as_ref());
        let ended = phases.filter(|status| status.phase.is_final()).count();
        (ended == objects.len()).then_some(())
    })
    .await;
}
