//! Shared fetches: the same page is not fetched twice, and other queries run between the slices of a large
//! one.

use std::future::Future;

use crd::{ArxivQuery, ArxivQuerySpec, CachePolicy, Phase};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::PostParams;
use testbed::TestEnv;
use testbed::arxiv::Behaviour;
use testbed::stack::Options;
use testbed::test_env::{LIMIT, search, within_one_arxiv_day};

/// How many objects ask for the same.
const SAME: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn same_search_is_fetched_once_for_all_queries() {
    within_one_arxiv_day().await;
    let env = TestEnv::start(Options::operator_only()).await;
    let arxiv = env.stack.arxiv().unwrap();
    arxiv.set(Behaviour {
        delay_ms: 1_000,
        ..Behaviour::default()
    });
    for_each(0..SAME, 32, async |i| {
        let object = ArxivQuery::new(&format!("same{i}"), search("same"));
        env.queries
            .create(&PostParams::default(), &object)
            .await
            .map(drop)
    })
    .await;
    let objects = env.until_in_phase(Phase::Succeeded, SAME).await;
    env.assert_rows_of(&objects).await;
    assert_eq!(arxiv.requests().len(), 1);
    // Later ones find it stored; their time is not arXiv's.
    env.create("later", search("  same ")).await;
    let later = env.finished("later").await;
    assert_eq!(later.phase, Phase::Succeeded);
    assert!(later.answer_time >= objects[0].status.as_ref().unwrap().answer_time);
    assert_eq!(arxiv.requests().len(), 1);
    // After midnight it is yesterday's page.
    env.primary()
        .execute("arxiv_sequence", "update public.arxiv_pages set day = day - 1")
        .await
        .unwrap();
    env.create("next-day", search("same")).await;
    assert_eq!(env.finished("next-day").await.phase, Phase::Succeeded);
    assert_eq!(arxiv.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_queries_are_fetched_between_the_slices_of_a_large_query() {
    let env = TestEnv::start(Options::operator_only()).await;
    let arxiv = env.stack.arxiv().unwrap();
    arxiv.set(Behaviour {
        delay_ms: 1_500,
        total: Some(4_100),
        drift: true,
        ..Behaviour::default()
    });
    env.create(
        "big",
        ArxivQuerySpec {
            max_results: 5_000,
            ..search("big")
        },
    )
    .await;
    arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    env.create_many("small", 2).await;
    let running = env
        .status_when("big", "reported", |status| status.phase != Phase::Pending)
        .await;
    assert_eq!(running.message.as_deref(), Some("fetched 1 of 3 slices"));
    assert!(running.start_time.is_some());
    let big = env.finished("big").await;
    assert_eq!(
        (big.phase, big.total_results, big.stored_results),
        (Phase::Succeeded, Some(4_100), Some(4_100))
    );
    env.until_in_phase(Phase::Succeeded, 3).await;
    let order: Vec<_> = arxiv
        .requests()
        .iter()
        .map(|r| (r.search_query.clone(), r.start))
        .collect();
    let big_at = |start| {
        order
            .iter()
            .position(|(query, at)| query == "ti:big" && *at == start)
            .unwrap()
    };
    let small_at = |i| {
        order
            .iter()
            .position(|(query, _)| *query == format!("ti:small{i}"))
            .unwrap()
    };
    assert!(
        big_at(0) < small_at(0) && small_at(0).max(small_at(1)) < big_at(4_000),
        "{order:?}"
    );
    assert_eq!(order.len(), 5);
    assert_eq!(env.rows().await.len(), 3);
    // At the beginning, between the slices, and at its end.
    assert!(
        env.metric("arxiv_operator_status_writes_total{outcome=\"written\"}")
            .await
            < 4.5
    );
}

/// Asked for once for all who want it that fresh; who comes later finds the fresh page.
#[tokio::test(flavor = "multi_thread")]
async fn refresh_is_fetched_once_for_all_queries() {
    within_one_arxiv_day().await;
    let env = TestEnv::start(Options::operator_only()).await;
    let arxiv = env.stack.arxiv().unwrap();
    arxiv.set(Behaviour {
        numbered: true,
        ..Behaviour::default()
    });
    let fresh = || ArxivQuerySpec {
        cache_policy: CachePolicy::Refresh,
        ..search("same")
    };
    env.create("before", search("same")).await;
    env.finished("before").await;
    arxiv.set(Behaviour {
        numbered: true,
        // All five are there long before it is answered.
        delay_ms: 8_000,
        ..Behaviour::default()
    });
    for i in 0..5 {
        env.create(&format!("fresh{i}"), fresh()).await;
    }
    for i in 0..5 {
        let status = env.finished(&format!("fresh{i}")).await;
        assert_eq!(status.phase, Phase::Succeeded);
    }
    assert_eq!(arxiv.requests().len(), 2, "one for all five");
    env.create("after", search("same")).await;
    env.finished("after").await;
    env.create("fresh-again", fresh()).await;
    env.finished("fresh-again").await;
    assert_eq!(arxiv.requests().len(), 3, "\"after\" finds the refreshed page");
    let mut connection = env.primary().connect("arxiv").await.unwrap();
    // The fake arXiv numbers its answers: "… (fetch N)".
    let titles: Vec<(String, String)> = sqlx::query_as(
        "select query_uid::text, min(title) from public.results where result_number = 0 group by query_uid",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let fetch_of = async |name: &str| {
        let uid = env.queries.get(name).await.unwrap().metadata.uid.unwrap();
        let (_, title) = titles.iter().find(|(of, _)| *of == uid).unwrap();
        title.rsplit_once("(fetch ").unwrap().1.to_owned()
    };
    assert_ne!(fetch_of("before").await, fetch_of("fresh0").await);
    assert_eq!(fetch_of("fresh0").await, fetch_of("fresh4").await);
    assert_eq!(fetch_of("fresh0").await, fetch_of("after").await);
    assert_ne!(fetch_of("after").await, fetch_of("fresh-again").await);
}

/// Runs this for each item, `at_once` at a time.
async fn for_each<T, F: Future<Output = kube::Result<()>>>(
    items: impl IntoIterator<Item = T>,
    at_once: usize,
    each: impl Fn(T) -> F,
) {
    stream::iter(items)
        .map(each)
        .buffer_unordered(at_once)
        .try_collect::<Vec<_>>()
        .await
        .unwrap();
}
