//! Pages, and what is believed of them.

use std::time::{Duration, Instant};

use arxiv::{FetchError, PageRequest, ValidatedSearch, query_in_title};
use storage::GateError;
use testbed::arxiv::{Behaviour, Mode};
use upstream::{Dedup, UpstreamError, slices};

use crate::upstream_env::{DAY, LIMIT, TIMEOUT, UpstreamEnv, fetch_error, titled};

#[tokio::test]
async fn page_is_fetched_once_and_then_stored() {
    let env = UpstreamEnv::start().await;
    let request = titled("x", 0, 3);
    assert_eq!(env.upstream.stored(&request, DAY).await.unwrap(), None);

    let first = env.page(&request).await.unwrap();
    assert!(first.fetched);
    assert_eq!(
        (
            first.page.head.total,
            first.page.papers.len(),
            first.page.head.status
        ),
        (1234, 3, 200)
    );
    assert!(first.page.head.date.is_some());
    let paper = &first.page.papers[1];
    assert_eq!(
        paper.abstract_text,
        "We study graphs <G> with $O(n^2)$ edges. Part 1."
    );
    let names: Vec<_> = paper.authors.iter().map(|author| author.name.as_str()).collect();
    assert_eq!(names, ["Author 1-0 Erdős", "Author 1-1 Erdős"]);
    assert_eq!(
        (paper.id.version, paper.comment.as_deref()),
        (Some(1), Some("5 pages"))
    );
    assert_eq!((paper.links.len(), paper.updated.is_some()), (2, true));

    let second = env.page(&request).await.unwrap();
    assert!(!second.fetched);
    assert_eq!(second.page, first.page);
    assert_eq!(
        env.another_process().stored(&request, DAY).await.unwrap(),
        Some(first.page)
    );
    assert_eq!((env.requests(), env.slots()), (1, 1));

    // Another day, another page.
    let tomorrow = DAY.tomorrow().unwrap();
    assert!(
        env.upstream
            .page(&request, tomorrow, TIMEOUT, || ())
            .await
            .unwrap()
            .fetched
    );
    assert_eq!(env.requests(), 2);
    env.assert_polite();
}

#[tokio::test]
async fn page_that_another_caller_fetched_is_not_fetched_again() {
    let env = UpstreamEnv::start().await;
    env.arxiv.set(Behaviour {
        delay_ms: 300,
        ..Behaviour::default()
    });
    let processes = [env.upstream.clone(), env.another_process(), env.another_process()];
    let askers: Vec<_> = (0..15)
        .map(|number| {
            let upstream = processes[number % 3].clone();
            tokio::spawn(async move { upstream.page(&titled("x", 0, 3), DAY, TIMEOUT, || ()).await })
        })
        .collect();
    let mut fetched = 0;
    for asker in askers {
        let given = asker.await.unwrap().unwrap();
        assert_eq!(given.page.papers.len(), 3);
        fetched += usize::from(given.fetched);
    }
    assert_eq!((env.requests(), fetched), (1, 1));
}

#[tokio::test]
async fn processes_take_turns_at_the_gate() {
    let env = UpstreamEnv::start().await;
    let processes = [env.upstream.clone(), env.another_process(), env.another_process()];
    let askers: Vec<_> = (0..9)
        .map(|number: usize| {
            let upstream = processes[number % 3].clone();
            let request = titled(&format!("x{number}"), 0, 3);
            tokio::spawn(async move { upstream.page(&request, DAY, TIMEOUT, || ()).await.map(drop) })
        })
        .collect();
    for asker in askers {
        asker.await.unwrap().unwrap();
    }
    assert_eq!(env.requests(), 9);
    env.assert_polite();
}

#[tokio::test]
async fn gate_is_busy_after_the_timeout() {
    let env = UpstreamEnv::start().await;
    env.arxiv.set(Behaviour {
        delay_ms: 8_000,
        ..Behaviour::default()
    });
    let upstream = env.upstream.clone();
    let first = tokio::spawn(async move { upstream.page(&titled("x", 0, 3), DAY, TIMEOUT, || ()).await });
    env.arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    let started = Instant::now();
    let error = env
        .page_within(&titled("y", 0, 3), Duration::from_millis(300))
        .await
        .unwrap_err();
    assert!(
        matches!(error, UpstreamError::Gate(GateError::Busy { .. })),
        "{error:?}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(6),
        "{:?}",
        started.elapsed()
    );
    // The wait is bounded, the request is not cut short by it.
    assert!(first.await.unwrap().unwrap().fetched);
    assert_eq!((env.requests(), env.slots()), (1, 0));
}

#[tokio::test]
async fn answer_without_results_is_accepted_the_second_time() {
    let env = UpstreamEnv::start().await;
    env.arxiv.set(Mode::Zero);
    let request = titled("x", 0, 3);
    let given = env.page(&request).await.unwrap();
    assert_eq!((given.page.head.total, given.page.papers.len()), (0, 0));
    assert_eq!((env.requests(), env.slots()), (2, 1));
    assert!(!env.page(&request).await.unwrap().fetched);
    assert_eq!(env.requests(), 2);
    env.assert_polite();

    // Not for long.
    env.execute("update arxiv_pages set expires_at = expires_at - interval '10 minutes'")
        .await;
    env.arxiv.set(Mode::Ok);
    assert_eq!(env.page(&request).await.unwrap().page.head.total, 1234);
}

#[tokio::test]
async fn false_answer_without_results_is_replaced_by_the_second_answer() {
    let env = UpstreamEnv::start().await;
    env.arxiv.set(Behaviour::from(Mode::Zero).times(1));
    let given = env.page(&titled("x", 0, 3)).await.unwrap();
    assert_eq!((given.page.head.total, given.page.papers.len()), (1234, 3));
    assert_eq!(env.requests(), 2);
}

#[tokio::test]
async fn gap_is_fetched_again_until_the_retries_are_used_up() {
    let env = UpstreamEnv::start().await;
    let request = titled("x", 0, 3);
    env.arxiv.set(Mode::EmptyPage);
    let error = fetch_error(env.page(&request).await.unwrap_err());
    assert!(matches!(error, FetchError::Incomplete), "{error:?}");
    assert_eq!(error.caller_status(), 502);
    assert_eq!(env.requests(), 4);
    assert_eq!(env.upstream.stored(&request, DAY).await.unwrap(), None);
    env.assert_polite();

    env.arxiv.set(Mode::Ok);
    env.arxiv.set(Behaviour::from(Mode::EmptyPage).times(3));
    assert_eq!(env.page(&request).await.unwrap().page.papers.len(), 3);
}

/// A search for these papers.
fn named(ids: &str) -> PageRequest {
    PageRequest {
        search: ValidatedSearch::new(String::new(), ids.into(), "", ""),
        start: 0,
        count: 3,
    }
}

#[tokio::test]
async fn search_for_a_paper_that_does_not_exist_finds_nothing_after_two_requests() {
    let env = UpstreamEnv::start().await;
    env.arxiv.set(Mode::UnknownId);
    let given = env.page(&named("2401.99999")).await.unwrap();
    assert_eq!((given.page.head.total, given.page.papers.len()), (1, 0));
    assert_eq!(env.requests(), 2);
}

#[tokio::test]
async fn page_with_a_broken_entry_has_the_others_and_says_so() {
    let env = UpstreamEnv::start().await;
    env.arxiv.set(Mode::BrokenEntry);
    let request = titled("x", 0, 3);
    let given = env.page(&request).await.unwrap();
    assert_eq!(given.page.papers.len(), 2);
    let defects = &given.page.head.defects;
    let [defect] = &defects[..] else {
        panic!("{defects:?}")
    };
    assert!(
        defect.starts_with("entry 2 (") && defect.ends_with(") is not well-formed"),
        "{defect}"
    );
    // Also for those who find the page stored.
    assert_eq!(env.page(&request).await.unwrap().page, given.page);
    assert_eq!(env.requests(), 1);
}

#[tokio::test]
async fn compressed_answer_is_read() {
    let env = UpstreamEnv::start().await;
    env.arxiv.set(Mode::Gzip);
    assert_eq!(env.page(&titled("x", 0, 3)).await.unwrap().page.papers.len(), 3);
}

#[tokio::test]
async fn later_slice_without_results_is_not_accepted() {
    let env = UpstreamEnv::start().await;
    let search = titled("x", 0, 3).search;
    env.arxiv.set(Behaviour {
        mode: Mode::Zero,
        total: Some(2500),
        from_start: 2000,
        ..Behaviour::default()
    });
    let all = slices(&search, 0, 2500, None);
    let first = env.page(&all[0]).await.unwrap();
    let error = fetch_error(env.page(&all[1]).await.unwrap_err());
    assert!(matches!(error, FetchError::Incomplete), "{error:?}");

    env.arxiv.set(Behaviour {
        total: Some(2500),
        ..Behaviour::default()
    });
    assert!(
        !env.page(&all[0]).await.unwrap().fetched,
        "the first slice is there"
    );
    let second = env.page(&all[1]).await.unwrap();
    assert_eq!(first.page.head.total, 2500);
    let query = query_in_title(&first.page.head.title);
    assert!(query.starts_with("search_query="), "{query}");
    let mut dedup = Dedup::default();
    let papers = [first, second].map(|fetched| dedup.filter(fetched.page.papers.into()).len());
    assert_eq!(papers, [2000, 500]);
    env.assert_polite();
}
