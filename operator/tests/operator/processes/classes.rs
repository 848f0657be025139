//! Several installations (each with databases of its own) in one cluster: no query is run by two of them.

use std::time::Duration;

use crd::{ArxivQuery, ArxivQuerySpec, Phase};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};
use testbed::TestEnv;
use testbed::stack::Options;
use testbed::test_env::{LIMIT, eventually, search, within};

/// The Lease with the claim of the default class.
pub(super) const CLAIM: &str = "arxiv-operator-class";
const OURS: &str = "arxiv_operator_claimed_namespaces{by=\"this\"}";
const OTHERS: &str = "arxiv_operator_claimed_namespaces{by=\"another\"}";
const WRITTEN: &str = "arxiv_operator_status_writes_total{outcome=\"written\"}";

/// As installed with default values, but without an API server.
fn by_default() -> Options {
    Options {
        cluster_wide: true,
        environment: Vec::new(),
        ..Options::operator_only()
    }
}

/// Another installation in the cluster of `first`.
fn next_to(first: &TestEnv, options: Options) -> Options {
    Options {
        control_plane: first.stack.shared_control_plane(),
        ..options
    }
}

async fn until_claims(env: &TestEnv, metric: &str, expected: f64) {
    let mut last = None;
    let reached = within(LIMIT, async || {
        last = env.metric_of(env.operator(), metric).await;
        last.filter(|last| (last - expected).abs() < 0.5)
    });
    assert!(
        reached.await.is_some(),
        "{metric} is {last:?}, not {expected}\n{}",
        env.operator_logs()
    );
}

/// Why a process is in standby; it is ready nevertheless, so that its pods are not taken for broken.
async fn standby(env: &TestEnv) -> Option<String> {
    let (status, body) = env.get_from(env.operator(), "/readyz").await?;
    let body: Value = serde_json::from_str(&body).ok()?;
    let reason = body["reasons"]["class"].as_str()?.to_owned();
    assert_eq!(status, 200, "{body}");
    Some(reason)
}

async fn create(env: &TestEnv, namespace: &str, name: &str, class: Option<&str>) -> ArxivQuery {
    let spec = ArxivQuerySpec {
        class_name: class.map(str::to_owned),
        ..search(name)
    };
    let queries: Api<ArxivQuery> = Api::namespaced(env.kube.clone(), namespace);
    let object = ArxivQuery::new(name, spec);
    queries.create(&PostParams::default(), &object).await.unwrap()
}

/// Waits until a query has succeeded, and returns it.
async fn succeeded(env: &TestEnv, namespace: &str, name: &str) -> ArxivQuery {
    let queries: Api<ArxivQuery> = Api::namespaced(env.kube.clone(), namespace);
    eventually("the query has succeeded", async || {
        let object = queries.get(name).await.ok()?;
        (object.phase() == Phase::Succeeded).then_some(object)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn second_installation_with_default_values_stays_in_standby_until_claim_is_handed_over() {
    let first = TestEnv::start(by_default()).await;
    until_claims(&first, OURS, 1.0).await;
    let second = TestEnv::start(next_to(&first, by_default())).await;
    let reason = eventually("the second one is in standby", async || standby(&second).await).await;
    for words in [
        "standby",
        "the default class in all namespaces",
        "delete the Lease arxiv-operator-class",
    ] {
        assert!(reason.contains(words), "{reason}");
    }
    until_claims(&second, OTHERS, 1.0).await;

    let (a, b) = (first.stack.namespace(), second.stack.namespace());
    let mut ended = Vec::new();
    for (namespace, name) in [(a, "one"), (b, "two"), ("default", "three")] {
        create(&first, namespace, name, None).await;
        ended.push(succeeded(&first, namespace, name).await);
    }
    first.assert_rows_of(&ended).await;
    assert!(second.rows().await.is_empty());
    assert!(
        second.stack.arxiv().unwrap().requests().is_empty(),
        "arXiv is not asked twice"
    );
    assert_eq!(second.metric_of(second.operator(), WRITTEN).await, Some(0.0));
    assert!(
        second
            .operator_logs()
            .contains("standby: the queries of the default class")
    );

    // The first one restarts: its claims are still its own.
    first.operator().child().terminate(LIMIT).await.unwrap();
    create(&first, b, "four", None).await;
    first.operator().child().start_again().unwrap();
    ended.push(succeeded(&first, b, "four").await);
    first.assert_rows_of(&ended).await;

    // It is stopped, and a person hands over what it had.
    first.operator().child().terminate(LIMIT).await.unwrap();
    let leases: Api<Lease> = Api::all(first.kube.clone());
    let claims = ListParams::default().fields(&format!("metadata.name={CLAIM}"));
    let claims = leases.list(&claims).await.unwrap().items;
    assert_eq!(claims.len(), 3, "one in each namespace with queries");
    for claim in claims {
        let namespace = claim.metadata.namespace.unwrap();
        let leases: Api<Lease> = Api::namespaced(first.kube.clone(), &namespace);
        leases.delete(CLAIM, &DeleteParams::default()).await.unwrap();
    }
    create(&first, a, "five", None).await;
    let five = succeeded(&second, a, "five").await;
    second.assert_rows_of(&[five]).await;
    eventually("the second one works", async || {
        standby(&second).await.is_none().then_some(())
    })
    .await;

    // The first one returns, with the same databases: it is in standby now.
    first.operator().child().start_again().unwrap();
    eventually("the first one is in standby", async || standby(&first).await).await;
    create(&first, a, "six", None).await;
    succeeded(&second, a, "six").await;
    assert_eq!(first.rows().await.len(), ended.len());
    assert_eq!(second.rows().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn installations_with_overlapping_namespaces_run_each_query_once() {
    let all = TestEnv::start(by_default()).await;
    until_claims(&all, OURS, 1.0).await;
    let one = Options {
        environment: Vec::new(),
        ..Options::operator_only()
    };
    // Of its namespace nothing is claimed yet.
    let one = TestEnv::start(next_to(&all, one)).await;
    until_claims(&one, OURS, 1.0).await;
    let (everywhere, own) = (all.stack.namespace(), one.stack.namespace());
    create(&all, own, "own", None).await;
    let of_one = succeeded(&one, own, "own").await;
    create(&all, everywhere, "other", None).await;
    let of_all = succeeded(&all, everywhere, "other").await;
    one.assert_rows_of(&[of_one]).await;
    all.assert_rows_of(&[of_all]).await;
    // It knows of the namespace, reports it, and works elsewhere.
    until_claims(&all, OTHERS, 1.0).await;
    let reason = standby(&all).await.unwrap();
    assert!(reason.contains(&format!("in the namespace {own}")), "{reason}");

    // A claim that is taken from a working installation ends its work there.
    let mut waits = ArxivQuery::new("waits", search("waits"));
    waits.spec.suspend = true;
    all.create_object(&waits).await;
    all.status_when("waits", "suspended", |status| status.phase == Phase::Suspended)
        .await;
    let leases: Api<Lease> = Api::namespaced(all.kube.clone(), everywhere);
    let mut claim = leases.get(CLAIM).await.unwrap();
    claim.spec.as_mut().unwrap().holder_identity = Some("somebody".to_owned());
    leases
        .replace(CLAIM, &PostParams::default(), &claim)
        .await
        .unwrap();
    eventually("the claim is missed", async || {
        let reason = standby(&all).await?;
        reason
            .contains(&format!("in the namespace {everywhere}"))
            .then_some(())
    })
    .await;
    let asked = all.stack.arxiv().unwrap().requests().len();
    create(&all, everywhere, "late", None).await;
    let ended = within(Duration::from_secs(5), async || {
        let queries: Api<ArxivQuery> = Api::namespaced(all.kube.clone(), everywhere);
        let object = queries.get("late").await.ok()?;
        object.phase().is_final().then_some(())
    });
    assert!(ended.await.is_none(), "its queries are somebody else's");
    assert_eq!(all.stack.arxiv().unwrap().requests().len(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_in_one_namespace_are_separate() {
    let first = TestEnv::start(Options::default()).await;
    let namespace = first.stack.namespace();
    let second = TestEnv::start(Options {
        namespace: Some(namespace.to_owned()),
        environment: vec![("CLASS_NAME".to_owned(), "team-a".to_owned())],
        ..Options::default()
    })
    .await;
    // Both lead, as they are no replicas of each other.
    for env in [&first, &second] {
        let answer = env.get("/arxiv?author=knuth").await;
        assert_eq!(answer.status().as_u16(), 200);
    }
    create(&first, namespace, "plain", None).await;
    create(&first, namespace, "classy", Some("team-a")).await;
    let orphan = create(&first, namespace, "orphan", Some("team-b")).await;
    for (env, name, other, class) in [
        (&first, "plain", "classy", None),
        (&second, "classy", "plain", Some("team-a")),
    ] {
        succeeded(env, namespace, name).await;
        let mut own = env.objects().await;
        own.retain(|object| object.spec.class_name.as_deref() == class);
        assert_eq!(own.len(), 2, "one by kubectl, one by REST");
        for object in &own {
            assert_eq!(object.phase(), Phase::Succeeded);
        }
        let rows = env.rows().await;
        assert_eq!(rows.len(), 2, "{rows:?}");
        let listed = testbed::test_env::json_body(env.get("/arxiv?state=all").await).await;
        let mut listed: Vec<_> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|query| query["name"].clone())
            .collect();
        let mut names: Vec<_> = own.iter().map(|object| json!(object.metadata.name)).collect();
        listed.sort_by_key(Value::to_string);
        names.sort_by_key(Value::to_string);
        assert_eq!(listed, names);
        assert_eq!(env.get(&format!("/arxiv/{name}")).await.status().as_u16(), 200);
        assert_eq!(env.get(&format!("/arxiv/{other}")).await.status().as_u16(), 404);
        assert_eq!(
            env.send("DELETE", &format!("/arxiv/{other}"))
                .await
                .status()
                .as_u16(),
            404
        );
    }
    let orphan = first
        .queries
        .get(orphan.metadata.name.as_deref().unwrap())
        .await
        .unwrap();
    assert_eq!(orphan.phase(), Phase::Pending, "nobody runs that class");

    for (name, change) in [
        ("plain", json!("team-a")),
        ("classy", json!(null)),
        ("orphan", json!("team-a")),
    ] {
        let patch = kube::api::Patch::Merge(json!({"spec": {"className": change}}));
        let changed = first
            .queries
            .patch(name, &kube::api::PatchParams::default(), &patch)
            .await;
        let error = changed.unwrap_err().to_string();
        assert!(error.contains("className cannot be changed"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_class_when_claims_are_forbidden() {
    let env = TestEnv::start(Options {
        environment: Vec::new(),
        ..Options::operator_only()
    })
    .await;
    env.operator().child().terminate(LIMIT).await.unwrap();
    let roles: Api<k8s_openapi::api::rbac::v1::Role> =
        Api::namespaced(env.kube.clone(), env.stack.namespace());
    let mut role = roles.get("arxiv-operator-operator").await.unwrap();
    role.rules
        .as_mut()
        .unwrap()
        .retain(|rule| rule.resources.as_deref() != Some(&["leases".to_owned()]));
    roles
        .replace("arxiv-operator-operator", &PostParams::default(), &role)
        .await
        .unwrap();
    env.operator().child().start_again().unwrap();
    env.until_missing("class", "check the role").await;
}
