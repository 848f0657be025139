//! Objects that were restored from a backup: created anew, with another uid, as Velero does.

use crd::{ArxivQuery, ArxivQueryStatus, Phase};
use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use testbed::TestEnv;
use testbed::stack::Options;
use testbed::test_env::{eventually, json_body, search, within};

const VELERO: &str = "velero.io/restore-name";
const RESTORED: &str = "arxiv-operator.dev/restored";

/// What a backup holds of an object, and what is created from it without its status.
fn without_status(backup: &ArxivQuery) -> ArxivQuery {
    let mut object = ArxivQuery::new(&backup.name_any(), backup.spec.clone());
    object.metadata.labels.clone_from(&backup.metadata.labels);
    object
        .metadata
        .annotations
        .clone_from(&backup.metadata.annotations);
    object
}

fn by_velero(backup: &ArxivQuery) -> ArxivQuery {
    let mut object = without_status(backup);
    object.labels_mut().insert(VELERO.to_owned(), "monday".to_owned());
    object
}

/// A finished query, which is lost then; its backup.
async fn lost(env: &TestEnv, name: &str) -> ArxivQuery {
    env.create(name, search(name)).await;
    env.finished(name).await;
    let backup = env.queries.get(name).await.unwrap();
    env.queries.delete(name, &DeleteParams::default()).await.unwrap();
    backup
}

fn number(status: &ArxivQueryStatus) -> i64 {
    status.query_id.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn object_restored_without_status_is_recognised_by_its_record() {
    let env = TestEnv::start(Options::default()).await;
    let arxiv = env.stack.arxiv().unwrap();
    for (name, marked) in [("velero", VELERO), ("person", RESTORED)] {
        let backup = lost(&env, name).await;
        let before = backup.status.clone().unwrap();
        let (asked, rows) = (arxiv.requests().len(), env.rows().await);
        let mut object = without_status(&backup);
        if marked == VELERO {
            object = by_velero(&backup);
        } else {
            object
                .annotations_mut()
                .insert(RESTORED.to_owned(), "true".to_owned());
        }
        let created = env.create_object(&object).await;
        assert_ne!(created.metadata.uid, backup.metadata.uid);
        let after = env.finished(name).await;
        assert_eq!(after.phase, Phase::Succeeded);
        assert_eq!(
            (
                after.query_id,
                after.answer_time,
                after.total_results,
                after.stored_results,
                after.query
            ),
            (
                before.query_id,
                before.answer_time,
                before.total_results,
                before.stored_results,
                before.query
            )
        );
        assert_eq!(arxiv.requests().len(), asked, "arXiv is not asked");
        assert_eq!(env.rows().await, rows, "no row is written");
        // Its results are those of the earlier object.
        let results = eventually("the results", async || {
            let answer = env.get(&format!("/arxiv/{name}/results")).await;
            (answer.status().as_u16() == 200).then_some(answer)
        });
        assert_eq!(json_body(results.await).await.as_array().unwrap().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn object_whose_status_is_restored_after_its_creation_is_not_run() {
    let env = TestEnv::start(Options::default()).await;
    let arxiv = env.stack.arxiv().unwrap();
    let backup = lost(&env, "restored").await;
    // Nothing by which it could be recognised: the status alone counts.
    let forget = "update queries set object_search = null";
    env.primary().execute("arxiv", forget).await.unwrap();
    let (asked, rows) = (arxiv.requests().len(), env.rows().await);
    let created = env.create_object(&by_velero(&backup)).await;
    // The operator has seen it when one that was created later has ended. It has not touched it: the status is written for the
    // version that was created.
    env.create("probe", search("probe")).await;
    env.finished("probe").await;
    let restored = ArxivQuery {
        status: backup.status.clone(),
        ..created
    };
    let parameters = PostParams::default();
    let written = env.queries.replace_status("restored", &parameters, &restored);
    written.await.unwrap();
    // What is created after it runs, so the operator has seen it.
    env.create("next", search("next")).await;
    env.finished("next").await;
    let status = env.status("restored").await;
    assert_eq!(status.phase, Phase::Succeeded);
    assert_eq!(number(&status), number(&backup.status.unwrap()));
    assert_eq!(arxiv.requests().len(), asked + 2, "for the other ones");
    assert_eq!(env.rows().await.len(), rows.len() + 2);
    let answer = env.get("/arxiv/restored/results").await;
    assert_eq!(json_body(answer).await.as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn object_that_is_created_again_or_is_not_the_same_runs() {
    let env = TestEnv::start(Options::operator_only()).await;
    let again = lost(&env, "again").await;
    let changed = lost(&env, "changed").await;
    let moved = lost(&env, "moved").await;
    // Not restored: who creates an object anew wants a new run.
    env.create_object(&without_status(&again)).await;
    let status = env.finished("again").await;
    assert_ne!(number(&status), number(&again.status.unwrap()));
    // Restored, with another search or under another name: after the wait for its status.
    let mut object = by_velero(&changed);
    object.spec.max_results = 3;
    env.create_object(&object).await;
    let mut object = by_velero(&moved);
    object.metadata.name = Some("elsewhere".to_owned());
    env.create_object(&object).await;
    for (name, backup) in [("changed", changed), ("elsewhere", moved)] {
        let status = env.finished(name).await;
        assert_eq!(status.phase, Phase::Succeeded);
        assert_ne!(number(&status), number(&backup.status.unwrap()), "{name}");
    }
    assert_eq!(env.rows().await.len(), 3 + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_restored_object_waits_and_job_fields_may_differ() {
    let env = TestEnv::start(Options::operator_only()).await;
    let backup = lost(&env, "restored").await;
    let mut object = by_velero(&backup);
    object.spec.priority = 7;
    object.spec.ttl_seconds_after_finished = Some(3_600);
    env.create_object(&object).await;
    let status = env.finished("restored").await;
    assert_eq!(number(&status), number(&backup.status.unwrap()));

    let mut object = by_velero(&backup_of_nothing());
    object.spec.suspend = true;
    env.create_object(&object).await;
    env.status_when("nothing", "suspended", |status| status.phase == Phase::Suspended)
        .await;
    env.patch_spec("nothing", json!({"suspend": false})).await;
    let ended = within(testbed::test_env::LIMIT, async || {
        (env.status("nothing").await.phase == Phase::Succeeded).then_some(())
    });
    assert!(ended.await.is_some());
}

fn backup_of_nothing() -> ArxivQuery {
    ArxivQuery::new("nothing", search("nothing"))
}
