//! Changes in place: tools wait until `observedGeneration` has followed `generation` (kstatus, `kubectl wait`).

use crd::fields::Role;
use crd::{ArxivQuery, ArxivQuerySpec, JOB_FIELDS, Phase};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use testbed::TestEnv;
use testbed::arxiv::{Behaviour, Mode};
use testbed::stack::Options;
use testbed::test_env::{LIMIT, search, within};

/// Objects in each phase, by name. `pending` and `running` stay so: arXiv has asked to slow down.
const NAMES: [(&str, Phase); 5] = [
    ("pending", Phase::Pending),
    ("running", Phase::Running),
    ("suspended", Phase::Suspended),
    ("succeeded", Phase::Succeeded),
    ("failed", Phase::Failed),
];

/// More than one page of the operator's listing.
const OUTDATED: usize = 250;

fn options() -> Options {
    let environment = [
        ("LEADER_ELECTION", "false"),
        ("RETRY_BASE_MS", "360000"),
        ("COOLDOWN_BASE_MS", "600000"),
    ];
    Options {
        environment: environment
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        ..Options::operator_only()
    }
}

/// The names of the fields that may be changed in place; `suspend`, which changes the phase, is the last one.
fn mutable_fields() -> Vec<&'static str> {
    let mutable = JOB_FIELDS.iter().filter(|field| field.role == Role::Job);
    let mut names: Vec<_> = mutable.map(|field| field.name).collect();
    names.sort_by_key(|name| *name == "suspend");
    names
}

/// Another value for this field.
fn another_value(field: &str) -> Value {
    match field {
        "priority" => json!(7),
        "backoffLimit" => json!(70),
        "pendingDeadlineSeconds" | "activeDeadlineSeconds" => json!(70_000),
        "ttlSecondsAfterFinished" => json!(700_000),
        "failurePolicy" => json!("FailFast"),
        "suspend" => json!(true),
        other => panic!("a new field that can be changed in place: {other}"),
    }
}

/// Changes the spec; the generation after that.
async fn changed(env: &TestEnv, name: &str, spec: &Value) -> i64 {
    let patch = Patch::Merge(json!({ "spec": spec }));
    let patched = env.queries.patch(name, &PatchParams::default(), &patch).await;
    patched.unwrap().metadata.generation.unwrap()
}

/// Waits until the status is about this generation.
async fn observed(env: &TestEnv, name: &str, what: &str, generation: i64) -> crd::ArxivQueryStatus {
    let what = format!("observed after {what}, which made generation {generation}");
    env.status_when(name, &what, |status| {
        status.observed_generation == Some(generation)
    })
    .await
}

/// Creates the objects of [`NAMES`].
async fn create_all(env: &TestEnv) {
    let arxiv = env.stack.arxiv().unwrap();
    let suspended = ArxivQuerySpec {
        suspend: true,
        ..search("suspended")
    };
    env.create("suspended", suspended).await;
    env.create("succeeded", search("succeeded")).await;
    env.finished("succeeded").await;
    arxiv.set(Mode::Status(400));
    env.create("failed", search("failed")).await;
    env.finished("failed").await;
    arxiv.set(Mode::Malformed);
    env.create("running", search("running")).await;
    env.status_when("running", "retrying", |status| status.attempts == Some(1))
        .await;
    arxiv.set(Mode::Status(429));
    env.create("throttled", search("throttled")).await;
    env.status_when("throttled", "throttled", |status| status.retry_after.is_some())
        .await;
    env.create("pending", search("pending")).await;
    for (name, phase) in NAMES {
        env.status_when(name, phase.as_str(), |status| status.phase == phase)
            .await;
    }
}

async fn object(env: &TestEnv, name: &str) -> ArxivQuery {
    env.queries.get(name).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn change_of_every_mutable_field_in_every_phase_is_observed() {
    let env = TestEnv::start(options()).await;
    create_all(&env).await;
    let requests = env.stack.arxiv().unwrap().requests().len();
    for (name, phase) in NAMES {
        let before = object(&env, name).await;
        for field in mutable_fields() {
            // One that has failed to be answered would end.
            let ends = field == "failurePolicy" && ["running", "throttled"].contains(&name);
            if (name, field) == ("suspended", "suspend") || ends {
                continue;
            }
            let generation = changed(&env, name, &json!({ field: another_value(field) })).await;
            let status = observed(&env, name, &format!("{field} of {name}"), generation).await;
            let suspends = field == "suspend" && !phase.is_final();
            let expected = if suspends { Phase::Suspended } else { phase };
            assert_eq!(status.phase, expected, "{name}: {field}");
            if field == "suspend" {
                let generation = changed(&env, name, &json!({ "suspend": false })).await;
                let status = observed(&env, name, &format!("resume of {name}"), generation).await;
                assert_ne!(status.phase, Phase::Suspended, "{name}");
            }
        }
        if phase.is_final() {
            let after = object(&env, name).await;
            let mut expected = before.status.unwrap();
            expected.observed_generation = after.metadata.generation;
            assert_eq!(
                after.status.unwrap(),
                expected,
                "nothing else of {name} has changed"
            );
        }
    }
    // The resumption of the suspended one itself.
    let generation = changed(&env, "suspended", &json!({ "suspend": false })).await;
    let status = observed(&env, "suspended", "its resumption", generation).await;
    assert_eq!(status.phase, Phase::Pending);

    // The same while there is no operator.
    changed(&env, "suspended", &json!({ "suspend": true })).await;
    env.status_when("suspended", "suspended again", |status| {
        status.phase == Phase::Suspended
    })
    .await;
    env.operator().child().kill9();
    let mut generations = Vec::new();
    for (name, _) in NAMES {
        let generation = changed(&env, name, &json!({ "priority": 9 })).await;
        let status = env.status(name).await;
        assert!(status.observed_generation < Some(generation), "{name}");
        generations.push((name, generation));
    }
    env.operator().child().start_again().unwrap();
    for (name, generation) in generations {
        observed(&env, name, "the operator's start", generation).await;
    }
    assert_eq!(env.rows().await.len(), 1, "only one query has succeeded");
    assert_eq!(env.stack.arxiv().unwrap().requests().len(), requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_many_finished_objects_while_there_was_no_operator_are_observed() {
    let env = TestEnv::start(options()).await;
    env.create("finished", search("finished")).await;
    env.finished("finished").await;
    env.operator().child().kill9();
    let plane = env.stack.control_plane();
    let resource = "arxiv-operator.dev/arxivqueries";
    let copied = plane.copy_object(
        resource,
        env.stack.namespace(),
        "finished",
        OUTDATED,
        |i, object| {
            if i % 2 == 0 {
                object["status"]["phase"] = "Failed".into();
            }
            // The last one is restored from a backup: its generation begins anew.
            let generation = if i + 1 == OUTDATED { 1 } else { 7 };
            object["metadata"]["generation"] = generation.into();
            object["status"]["observedGeneration"] = 3.into();
        },
    );
    copied.await.unwrap();
    env.operator().child().start_again().unwrap();
    let mut outdated = 0;
    let all = within(LIMIT, async || {
        let listed = env.queries.list(&ListParams::default()).await.ok()?.items;
        outdated = listed.iter().filter(|object| object.is_outdated()).count();
        (listed.len() == OUTDATED + 1 && outdated == 0).then_some(())
    });
    assert!(
        all.await.is_some(),
        "{outdated} are outdated\n{}",
        env.operator_logs()
    );
    assert_eq!(env.stack.arxiv().unwrap().requests().len(), 1);
}

/// Neither the spec of a suspended query nor that of a waiting one needs a database to be read.
#[tokio::test(flavor = "multi_thread")]
async fn change_without_databases_is_observed() {
    let env = TestEnv::start(options()).await;
    let arxiv = env.stack.arxiv().unwrap();
    arxiv.set(Behaviour {
        retry_after: Some("600".into()),
        ..Mode::Status(429).into()
    });
    env.create("waits", search("waits")).await;
    env.status_when("waits", "throttled", |status| status.retry_after.is_some())
        .await;
    env.primary().kill9().await.unwrap();
    let generation = changed(&env, "waits", &json!({ "priority": 3 })).await;
    let status = observed(&env, "waits", "its priority", generation).await;
    assert!(!status.phase.is_final());
    let generation = changed(&env, "waits", &json!({ "suspend": true })).await;
    let status = observed(&env, "waits", "its suspension", generation).await;
    assert_eq!(status.phase, Phase::Suspended);
    let generation = changed(&env, "waits", &json!({ "suspend": false })).await;
    let status = observed(&env, "waits", "its resumption", generation).await;
    assert_eq!(status.phase, Phase::Pending);
}
