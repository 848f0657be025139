//! Queries that the cluster does not admit, though this service may create them.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testbed::TestEnv;
use testbed::test_env::{eventually, json_body};

const COUNT: &str = "count/arxivqueries.arxiv-operator.dev";

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
    let namespace = env.stack.namespace();
    let name = format!("words-{namespace}");
    let unless = |title: &str, words: &str, reason: Option<&str>| json!({"expression": format!("object.spec.search.title != '{title}'"), "message": words, "reason": reason});
    let policy = json!({
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": [crd::GROUP], "apiVersions": ["*"],
                "operations": ["CREATE"], "resources": ["arxivqueries"]}]},
            "validations": [
                unless("invalid", "not on weekdays", None),
                unless("forbidden", "not in this team", Some("Forbidden")),
                unless("large", "too much of it", Some("RequestEntityTooLarge")),
            ],
        },
    });
    let binding = json!({
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
        },
    });
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(env.kube.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(env.kube.clone());
    let params = PostParams::default();
    policies
        .create(&params, &serde_json::from_value(policy).unwrap())
        .await
        .unwrap();
    bindings
        .create(&params, &serde_json::from_value(binding).unwrap())
        .await
        .unwrap();
    for (title, words) in [
        ("invalid", "not on weekdays"),
        ("forbidden", "not in this team"),
        ("large", "too much of it"),
    ] {
        assert_refused(env, title, 422, "not_admitted", words).await;
    }
    bindings.delete(&name, &DeleteParams::default()).await.unwrap();
    policies.delete(&name, &DeleteParams::default()).await.unwrap();

    let quotas: Api<ResourceQuota> = Api::namespaced(env.kube.clone(), namespace);
    let quota = json!({"metadata": {"name": "papers"}, "spec": {"hard": {COUNT: "0"}}});
    quotas
        .create(&params, &serde_json::from_value(quota).unwrap())
        .await
        .unwrap();
    // What the controller manager does, which does not run here.
    let counted = Patch::Merge(json!({"status": {"hard": {COUNT: "0"}, "used": {COUNT: "0"}}}));
    quotas
        .patch_status("papers", &PatchParams::default(), &counted)
        .await
        .unwrap();
    assert_refused(env, "quota", 429, "quota_exceeded", "quota").await;
    eventually("the words are those of the quota", async || {
        let (status, _, words) = answer(env, "quota").await;
        let is_counted = words.contains("exceeded quota: papers, requested: count/");
        (status == 429 && is_counted).then_some(())
    })
    .await;
    quotas.delete("papers", &DeleteParams::default()).await.unwrap();
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
