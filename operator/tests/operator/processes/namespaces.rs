//! An operator that watches some namespaces: it works in each of them, and in no other.

use crd::{ArxivQuery, ArxivQuerySpec, ArxivQueryStatus, Phase};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use testbed::{
    ControlPlane, TestEnv,
    control_plane::chart_rules,
    stack::Options,
    test_env::{LIMIT, search, within},
};

/// A system whose operator watches its own namespace and a second one; and three namespaces: these two and a third.
async fn start() -> (TestEnv, [String; 3]) {
    let plane = ControlPlane::shared().await.unwrap();
    let mut namespaces = [const { String::new() }; 3];
    for name in &mut namespaces {
        *name = plane.namespace().await.unwrap();
    }
    let [own, second, _] = &namespaces;
    let mut options = Options {
        namespace: Some(own.clone()),
        ..Options::operator_only()
    };
    options.environment.extend([
        ("WATCH_NAMESPACE".to_owned(), format!("{own}, {second}")),
        ("SWEEP_INTERVAL_SECONDS".to_owned(), "1".to_owned()),
    ]);
    // Ready only with rights in both.
    grant(own, second).await;
    (TestEnv::start(options).await, namespaces)
}

async fn grant(own: &str, namespace: &str) {
    let plane = ControlPlane::shared().await.unwrap();
    let rules = chart_rules("operator");
    let granted = plane.grant(namespace, (own, "arxiv-operator"), &rules);
    granted.await.unwrap();
}

/// The objects of one namespace.
struct Queries<'a>(&'a TestEnv, Api<ArxivQuery>);

impl<'a> Queries<'a> {
    fn of(env: &'a TestEnv, namespace: &str) -> Self {
        Self(env, Api::namespaced(env.kube.clone(), namespace))
    }

    async fn create(&self, name: &str, spec: ArxivQuerySpec) {
        let object = ArxivQuery::new(name, spec);
        self.1.create(&PostParams::default(), &object).await.unwrap();
    }

    async fn get(&self, name: &str) -> Option<ArxivQuery> {
        self.1.get_opt(name).await.unwrap()
    }

    async fn until(&self, name: &str, what: &str, holds: impl Fn(Option<&ArxivQuery>) -> bool) {
        let mut last = None;
        let found = within(LIMIT, async || {
            last = self.get(name).await;
            holds(last.as_ref()).then_some(())
        });
        let found = found.await;
        assert!(
            found.is_some(),
            "{name} is not {what}: {last:?}\n{}",
            self.0.operator_logs()
        );
    }

    async fn until_phase(&self, name: &str, phase: Phase) {
        let is = |status: &ArxivQueryStatus| status.phase == phase;
        let holds =
            |object: Option<&ArxivQuery>| object.and_then(|object| object.status.as_ref()).is_some_and(is);
        self.until(name, &phase.to_string(), holds).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_listed_namespaces_are_run_and_followed_and_others_are_not() {
    let (env, namespaces) = start().await;
    let [own, second, third] = namespaces.each_ref().map(|name| Queries::of(&env, name));
    third.create("same", search("third")).await;
    for queries in [&own, &second] {
        queries.create("same", search("same")).await;
        queries.until_phase("same", Phase::Succeeded).await;
    }
    // A finished object is followed, and deleted after its time to live.
    for queries in [&own, &second] {
        let patch = Patch::Merge(json!({"spec": {"priority": 7}}));
        queries
            .1
            .patch("same", &PatchParams::default(), &patch)
            .await
            .unwrap();
        let follows = |object: Option<&ArxivQuery>| {
            let observed = object.and_then(|object| object.status.as_ref()?.observed_generation);
            observed == Some(2)
        };
        queries.until("same", "observed", follows).await;
        let patch = Patch::Merge(json!({"spec": {"ttlSecondsAfterFinished": 0}}));
        queries
            .1
            .patch("same", &PatchParams::default(), &patch)
            .await
            .unwrap();
        queries.until("same", "gone", |object| object.is_none()).await;
    }
    // What is deleted in one namespace while the operator is down does not touch the other's.
    let mut suspended = search("later");
    suspended.suspend = true;
    for queries in [&own, &second] {
        queries.create("waits", suspended.clone()).await;
        queries.until_phase("waits", Phase::Suspended).await;
    }
    env.operator().child().kill9();
    own.1.delete("waits", &DeleteParams::default()).await.unwrap();
    env.operator().kill9_and_start().unwrap();
    let patch = Patch::Merge(json!({"spec": {"suspend": false}}));
    second
        .1
        .patch("waits", &PatchParams::default(), &patch)
        .await
        .unwrap();
    second.until_phase("waits", Phase::Succeeded).await;
    own.create("waits", search("new")).await;
    own.until_phase("waits", Phase::Succeeded).await;
    let never = third.get("same").await.unwrap().status.unwrap();
    assert_eq!(
        (never.phase, never.observed_generation),
        (Phase::Pending, Some(-1)),
        "the third namespace is not watched"
    );
    assert_eq!(env.count("public.queries").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn namespace_without_the_right_is_named_and_does_not_stop_the_others() {
    let (env, namespaces) = start().await;
    let [own, second, _] = namespaces.each_ref().map(|name| Queries::of(&env, name));
    let bindings: Api<RoleBinding> = Api::namespaced(env.kube.clone(), &namespaces[1]);
    let binding = "arxiv-operator-operator";
    bindings.delete(binding, &DeleteParams::default()).await.unwrap();
    let reason = format!("in namespace {} is not allowed", namespaces[1]);
    env.until_missing("kubernetes", &reason).await;
    own.create("meanwhile", search("meanwhile")).await;
    own.until_phase("meanwhile", Phase::Succeeded).await;
    second.create("afterwards", search("afterwards")).await;
    grant(&namespaces[0], &namespaces[1]).await;
    second.until_phase("afterwards", Phase::Succeeded).await;
}
