//! Objects that finalizers keep after their deletion has begun: nothing more is done for them.

use std::time::Duration;

use crd::{ArxivQuery, ArxivQuerySpec, Phase};
use kube::api::DeleteParams;
use serde_json::json;
use testbed::TestEnv;
use testbed::arxiv::Behaviour;
use testbed::stack::Options;
use testbed::test_env::{LIMIT, search};

/// Creates an object that a finalizer keeps.
async fn create_kept(env: &TestEnv, name: &str, spec: ArxivQuerySpec) {
    let mut object = ArxivQuery::new(name, spec);
    object.metadata.finalizers = Some(vec!["example.org/keeps-it".into()]);
    env.create_object(&object).await;
}

/// Begins the object's deletion; it stays.
async fn delete(env: &TestEnv, name: &str) {
    let deleted = env.queries.delete(name, &DeleteParams::default()).await;
    let object = deleted.unwrap().left().unwrap();
    assert!(object.is_being_deleted(), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn query_whose_deletion_has_begun_gets_no_request_number_or_row() {
    let env = TestEnv::start(Options {
        min_interval: Duration::from_millis(100),
        ..Options::operator_only()
    })
    .await;
    let arxiv = env.stack.arxiv().unwrap();
    let requests_of = |word: &str| {
        let query = format!("ti:{word}");
        let all = arxiv.requests();
        all.iter().filter(|request| request.search_query == query).count()
    };
    env.create("before", search("before")).await;
    let before = env.finished("before").await.query_id.unwrap();

    let suspended = ArxivQuerySpec {
        suspend: true,
        ..search("suspended")
    };
    create_kept(&env, "suspended", suspended).await;
    env.status_when("suspended", "suspended", |status| {
        status.phase == Phase::Suspended
    })
    .await;
    delete(&env, "suspended").await;
    env.patch_spec("suspended", json!({"suspend": false})).await;

    arxiv.clear_record();
    arxiv.set(Behaviour {
        delay_ms: 4_000,
        ..Behaviour::default()
    });
    create_kept(&env, "running", search("running")).await;
    arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    create_kept(&env, "queued", search("queued")).await;
    // After it in the queue; the operator has seen all three when it has seen this one.
    env.create("next", search("next")).await;
    delete(&env, "running").await;
    delete(&env, "queued").await;
    let next = env.finished("next").await;
    assert_eq!(
        (
            requests_of("running"),
            requests_of("queued"),
            requests_of("suspended")
        ),
        (1, 0, 0)
    );
    assert_eq!(next.query_id, Some(before + 1), "no number was given in between");

    // Nor by another process, which finds them in its first listing.
    arxiv.set(Behaviour::default());
    env.operator().child().kill9();
    env.operator().child().start_again().unwrap();
    env.create("after", search("after")).await;
    assert_eq!(env.finished("after").await.query_id, Some(before + 2));
    assert_eq!(
        (
            requests_of("running"),
            requests_of("queued"),
            requests_of("suspended")
        ),
        (1, 0, 0)
    );
    assert_eq!(env.rows().await.len(), 3);
    let taken = "public.results where query_id > 0 group by query_id";
    assert_eq!(env.count(&format!("(select 1 from {taken}) numbers")).await, 3);
    for name in ["suspended", "running", "queued"] {
        let status = env.status(name).await;
        assert!(
            !status.phase.is_final() && status.query_id.is_none(),
            "{name}: {status:?}"
        );
    }
}
