//! Large searches: fetched in slices, continued after a restart, written one page at a time.

use crd::{ArxivQuerySpec, Phase, SortBy};
use std::collections::BTreeMap;
use testbed::TestEnv;
use testbed::arxiv::{Behaviour, Mode};
use testbed::stack::Options;
use testbed::test_env::{LIMIT, search};

const RESULTS: i32 = 30_000;
const SLICE: u32 = 2_000;
/// The operator is killed after so many requests to arXiv.
const KILLS: [usize; 4] = [1, 3, 6, 9];
/// Of the query in which it is killed.
const SLICES: u32 = 10;
/// What a query of this size may add to the operator's memory.
const GROWTH: u64 = 32 << 20;

fn large() -> ArxivQuerySpec {
    ArxivQuerySpec {
        max_results: RESULTS,
        ..search("large")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_query_continues_after_kills_and_others_run_in_between() {
    let results = i32::try_from(SLICES * SLICE).unwrap();
    let env = TestEnv::start(Options::operator_only()).await;
    let arxiv = env.stack.arxiv().unwrap();
    let well = Behaviour {
        delay_ms: 300,
        total: Some(results.unsigned_abs()),
        drift: true,
        ..Behaviour::default()
    };
    arxiv.set(well.clone());
    // In the middle of it an empty page, and one that says that there are no results.
    for mode in [Mode::EmptyPage, Mode::Zero] {
        arxiv.set(Behaviour {
            mode,
            from_start: 10_000,
            times: Some(1),
            ..well.clone()
        });
    }
    env.create(
        "large",
        ArxivQuerySpec {
            max_results: results,
            ..search("large")
        },
    )
    .await;
    for (kill, requests) in KILLS.into_iter().enumerate() {
        arxiv.wait_for_requests(requests, LIMIT).await.unwrap();
        env.operator().kill9_and_start().unwrap();
        env.create(&format!("small{kill}"), search(&format!("small{kill}")))
            .await;
    }
    let status = env.finished("large").await;
    assert_eq!(status.phase, Phase::Succeeded, "{status:?}");
    // The first page's total counts, whatever later ones say.
    assert_eq!(
        (status.total_results, status.stored_results),
        (Some(i64::from(results)), Some(i64::from(results)))
    );
    env.until_in_phase(Phase::Succeeded, 1 + KILLS.len()).await;
    assert_eq!(env.rows().await.len(), 1 + KILLS.len());

    let requests = arxiv.requests();
    let mut asked = BTreeMap::new();
    for request in requests
        .iter()
        .filter(|request| request.search_query == "ti:large")
    {
        assert_eq!(request.max_results, SLICE);
        *asked.entry(request.start).or_insert(0_usize) += 1;
    }
    let starts: Vec<u32> = asked.keys().copied().collect();
    assert_eq!(starts, (0..SLICES).map(|slice| slice * SLICE).collect::<Vec<_>>());
    // Two answers are requested again, and each kill may have cost a request.
    let again = asked.values().sum::<usize>() - starts.len();
    assert!((2..=2 + KILLS.len()).contains(&again), "{asked:?}");
    let at = |query: &str, start| {
        let mut all = requests.iter();
        all.position(|request| request.search_query == query && request.start == start)
            .unwrap()
    };
    let last = at("ti:large", SLICE * (SLICES - 1));
    for kill in 0..KILLS.len() - 1 {
        let small = at(&format!("ti:small{kill}"), 0);
        assert!(
            small < last,
            "small{kill} was requested at {small}, the last slice at {last}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_fetched_until_all_papers_of_one_are_older_than_the_limit() {
    let env = TestEnv::start(Options::operator_only()).await;
    let arxiv = env.stack.arxiv().unwrap();
    arxiv.set(Behaviour {
        total: Some(RESULTS.unsigned_abs()),
        ..Behaviour::default()
    });
    // The newest paper is of 10:00, and there is one each minute.
    let updated = |after: &str| {
        let mut spec = large();
        spec.search.sort_by = SortBy::LastUpdatedDate;
        spec.search.updated_after = Some(after.to_owned());
        spec
    };
    let cases = [
        ("none", "2024-05-03", 0, 1),
        ("few", "2024-05-02T10:00:00+01:00", 61, 2),
        // Of 34 hours; only the third page has none of them.
        ("more", "2024-05-01", 2_041, 3),
    ];
    for (name, after, stored, pages) in cases {
        env.create(name, updated(after)).await;
        let status = env.finished(name).await;
        assert_eq!(
            (status.phase, status.total_results, status.stored_results),
            (Phase::Succeeded, Some(i64::from(RESULTS)), Some(stored)),
            "{name}: {status:?}"
        );
        // The pages of those before are shared.
        assert_eq!(arxiv.requests().len(), pages, "{name}");
    }
    assert_eq!(env.rows().await.len(), 3);
    let mut all = arxiv.requests().into_iter();
    assert!(all.all(|request| request.search_query == "ti:large"));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_query_memory_stays_bounded() {
    let env = TestEnv::start(Options::operator_only()).await;
    env.stack.arxiv().unwrap().set(Behaviour {
        total: Some(RESULTS.unsigned_abs()),
        ..Behaviour::default()
    });
    env.create("usual", search("usual")).await;
    env.finished("usual").await;
    let before = env.operator().child().memory().unwrap();
    env.create("large", large()).await;
    let status = env.finished("large").await;
    assert_eq!(status.stored_results, Some(i64::from(RESULTS)), "{status:?}");
    let after = env.operator().child().memory().unwrap();
    println!("memory: {before:?} after a usual query, {after:?} after a large one");
    assert!(after.peak < before.peak + GROWTH, "{before:?} {after:?}");
    assert_eq!(env.rows().await.len(), 2);
}
