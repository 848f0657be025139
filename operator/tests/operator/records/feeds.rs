//! Runs of feeds: queries whose owner is a feed record what is new to it.

use crd::{
    ArxivFeed, ArxivFeedSpec, ArxivQuery, ArxivQuerySpec, ArxivQueryStatus, CachePolicy, Phase, SortBy,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, api::PostParams};
use std::time::Duration;
use storage::{
    Access, Pool, PoolSettings,
    feeds::{FeedSpec, FeedState, Feeds, InitialItems, NextRun, Revisions, Timing},
};
use testbed::{
    TestEnv,
    arxiv::Behaviour,
    stack::Options,
    test_env::{LIMIT, search},
};
use uuid::Uuid;

const LOOKBACK: Duration = Duration::from_hours(24 * 14);

fn feeds(env: &TestEnv) -> Feeds {
    let settings = PoolSettings {
        access: Access::ReadWrite,
        max_connections: 2,
        acquire_timeout: Duration::from_secs(30),
        statement_cache: true,
        application_name: "operator-tests".into(),
    };
    Feeds::new(Pool::open(env.primary().admin_url("arxiv"), &settings).unwrap())
}

/// The uid of the object of the feed. It is of a class that nobody runs: this test does what its controller does.
async fn feed(env: &TestEnv) -> Uuid {
    let objects: Api<ArxivFeed> = Api::namespaced(env.kube.clone(), env.stack.namespace());
    if let Some(object) = objects.get_opt("graphs").await.unwrap() {
        return object.metadata.uid.unwrap().parse().unwrap();
    }
    let spec = ArxivFeedSpec {
        schedule: "@yearly".to_owned(),
        search: search("graphs").search,
        class_name: Some("none".to_owned()),
        ..ArxivFeedSpec::default()
    };
    let object = ArxivFeed::new("graphs", spec);
    let object = objects.create(&PostParams::default(), &object).await.unwrap();
    object.metadata.uid.unwrap().parse().unwrap()
}

async fn state(env: &TestEnv, feeds: &Feeds, title: &str) -> FeedState {
    let search = upstream::feed_search_hash(&search(title).search);
    let spec = FeedSpec {
        uid: feed(env).await,
        is_restored: false,
        namespace: env.stack.namespace(),
        name: "graphs",
        title,
        search: &search,
        initial_items: InitialItems::Include,
        revisions: Revisions::Include,
        retention_days: None,
        timing: Timing::default(),
    };
    feeds.register(&spec).await.unwrap().unwrap()
}

/// A query that a feed's controller would create.
async fn create(env: &TestEnv, name: &str, title: &str, next: &NextRun) -> ArxivQuery {
    let mut spec = ArxivQuerySpec {
        start: i32::try_from(next.start).unwrap(),
        max_results: i32::try_from(next.max_results).unwrap(),
        cache_policy: CachePolicy::Refresh,
        ..search(title)
    };
    spec.search.sort_by = SortBy::LastUpdatedDate;
    spec.search.updated_after = next.updated_after.as_ref().map(ToString::to_string);
    let mut run = ArxivQuery::new(name, spec);
    run.metadata.owner_references = Some(vec![OwnerReference {
        api_version: format!("{}/v1alpha1", crd::GROUP),
        kind: "ArxivFeed".to_owned(),
        name: "graphs".to_owned(),
        uid: feed(env).await.to_string(),
        controller: Some(true),
        ..OwnerReference::default()
    }]);
    env.create_object(&run).await
}

async fn stored(env: &TestEnv, name: &str) -> Option<i64> {
    let ArxivQueryStatus {
        phase,
        stored_results,
        ..
    } = env.finished(name).await;
    assert_eq!(phase, Phase::Succeeded, "{name}");
    stored_results
}

/// Items, their papers' versions and the highest position; and the rows in `results`.
const SOUND: &str = "select concat_ws(' ', count(*), count(distinct paper), min(position), max(position),
    (select count(*) from results)) from arxiv_feed_items";

async fn sound(env: &TestEnv) -> String {
    let mut connection = env.primary().connect("arxiv").await.unwrap();
    sqlx::query_scalar(SOUND)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn run_of_a_feed_records_only_what_is_new_to_it_and_the_next_ones_cover_the_rest() {
    let env = TestEnv::start(Options::operator_only()).await;
    let arxiv = env.stack.arxiv().unwrap();
    let of = |total| Behaviour {
        total: Some(total),
        delay_ms: 300,
        ..Behaviour::default()
    };
    arxiv.set(of(230));
    let feeds = feeds(&env);
    let mut all = Vec::new();
    for run in 0..5 {
        let state = state(&env, &feeds, "graphs").await;
        if state.is_complete() {
            break;
        }
        let next = state.next_run(100, LOOKBACK, Timestamp::now());
        let name = format!("graphs-{run}");
        create(&env, &name, "graphs", &next).await;
        arxiv.wait_for_requests(run + 1, LIMIT).await.unwrap();
        env.operator().kill9_and_start().unwrap();
        all.push(stored(&env, &name).await);
    }
    // Each has the last 50 of the one before, to show that nothing lies between.
    assert_eq!(all, [Some(100), Some(50), Some(50), Some(30)]);
    assert_eq!(sound(&env).await, "230 230 1 230 230");
    let complete = state(&env, &feeds, "graphs").await;
    let newest: Timestamp = "2024-05-02T10:00:00Z".parse().unwrap();
    assert_eq!((complete.items, complete.progress.watermark), (230, Some(newest)));

    // From now on one run goes back to what is known. Some more have come.
    arxiv.set(of(240));
    let next = complete.next_run(2_000, LOOKBACK, Timestamp::now());
    assert_eq!(next.updated_after, newest.checked_sub(LOOKBACK).ok());
    create(&env, "graphs-next", "graphs", &next).await;
    assert_eq!(stored(&env, "graphs-next").await, Some(10));
    assert_eq!(sound(&env).await, "240 240 1 240 240");
    assert!(state(&env, &feeds, "graphs").await.is_complete());

    // A run of a search that the feed no longer has adds nothing.
    state(&env, &feeds, "trees").await;
    create(&env, "graphs-late", "graphs", &next).await;
    assert_eq!(stored(&env, "graphs-late").await, Some(0));
    assert!(!state(&env, &feeds, "trees").await.is_complete());
    // And a query of somebody else is none of its runs.
    env.create("other", search("graphs")).await;
    assert_ne!(stored(&env, "other").await, Some(0));
    assert!(sound(&env).await.starts_with("240 240 1 240 "));
}
