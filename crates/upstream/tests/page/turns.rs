//! Turns that end otherwise than with a page.

use std::time::{Duration, Instant};

use arxiv::FetchError;
use jiff::Timestamp;
use storage::GateError;
use testbed::arxiv::{Behaviour, Mode};
use upstream::UpstreamError;

use crate::upstream_env::{DAY, INTERVAL, LIMIT, TIMEOUT, UpstreamEnv, fetch_error, titled};

/// Sooner than the answer of a fake arXiv that takes 10 s.
const SOONER: Duration = Duration::from_secs(9);

#[tokio::test]
async fn throttled_request_pauses_every_process() {
    let env = UpstreamEnv::start().await;
    env.arxiv.set(Behaviour {
        mode: Mode::Status(503),
        retry_after: Some("60".into()),
        ..Behaviour::default()
    });
    let error = env.page(&titled("x", 0, 3)).await.unwrap_err();
    let UpstreamError::Fetch {
        source:
            FetchError::Throttled {
                status: 503,
                retry_after: Some(pause),
            },
        cooling_until: Some(until),
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(pause, Duration::from_mins(1));
    assert!(until > Timestamp::now() + Duration::from_secs(30), "{until}");

    env.arxiv.set(Mode::Ok);
    let error = env
        .another_process()
        .page(&titled("y", 0, 3), DAY, TIMEOUT, || ())
        .await
        .unwrap_err();
    let UpstreamError::Gate(GateError::CoolingDown {
        until: reported,
        retry_after,
    }) = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(reported, until);
    assert!(
        retry_after > Duration::from_secs(30) && retry_after <= Duration::from_mins(1),
        "{retry_after:?}"
    );
    assert_eq!(env.requests(), 1);
}

#[tokio::test]
async fn failed_request_stores_no_page() {
    let env = UpstreamEnv::start().await;
    let request = titled("x", 0, 3);
    for (mode, status) in [
        (Mode::Status(500), 500),
        (Mode::Status(400), 400),
        (Mode::Close, 503),
        (Mode::Malformed, 502),
        (Mode::InternalErrorFeed, 502),
    ] {
        env.arxiv.set(mode);
        let error = fetch_error(env.page(&request).await.unwrap_err());
        assert_eq!(error.caller_status(), status, "{mode:?}: {error:?}");
        assert_eq!(
            env.upstream.stored(&request, DAY).await.unwrap(),
            None,
            "{mode:?}"
        );
    }
    assert_eq!(env.requests(), 5, "each was asked for once");
    env.arxiv.set(Mode::Ok);
    assert!(env.page(&request).await.unwrap().fetched);
    env.assert_polite();
}

#[tokio::test]
async fn redirect_takes_its_own_turn() {
    let env = UpstreamEnv::start().await;
    env.arxiv.set(Mode::Redirect);
    let given = env.page(&titled("x", 0, 3)).await.unwrap();
    assert_eq!(given.page.papers.len(), 3);
    assert_eq!((env.requests(), env.slots()), (2, 1));
    env.assert_polite();

    env.arxiv.set(Mode::RedirectElsewhere);
    let error = fetch_error(env.page(&titled("y", 0, 3)).await.unwrap_err());
    assert!(matches!(error, FetchError::Redirect(_)), "{error:?}");
}

#[tokio::test]
async fn request_is_dropped_with_its_caller() {
    let env = UpstreamEnv::start().await;
    env.arxiv.set(Behaviour {
        delay_ms: 10_000,
        ..Behaviour::default()
    });
    let upstream = env.upstream.clone();
    let asker = tokio::spawn(async move { upstream.page(&titled("x", 0, 3), DAY, TIMEOUT, || ()).await });
    env.arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    // Two more wait, and one of them leaves as well.
    let upstream = env.upstream.clone();
    let waiter = tokio::spawn(async move { upstream.page(&titled("y", 0, 3), DAY, TIMEOUT, || ()).await });
    let started = Instant::now();
    env.arxiv.set(Mode::Ok);
    let upstream = env.another_process();
    let last = tokio::spawn(async move { upstream.page(&titled("z", 0, 3), DAY, TIMEOUT, || ()).await });
    asker.abort();
    waiter.abort();
    assert!(last.await.unwrap().unwrap().fetched);
    assert!(started.elapsed() < SOONER, "{:?}", started.elapsed());
    assert_eq!(env.upstream.stored(&titled("x", 0, 3), DAY).await.unwrap(), None);
    env.assert_polite();
    tokio::time::timeout(LIMIT, env.upstream.drained()).await.unwrap();
}

#[tokio::test]
async fn drained_waits_for_the_connection_and_the_gate() {
    let env = UpstreamEnv::start().await;
    env.arxiv.set(Behaviour {
        delay_ms: 10_000,
        ..Behaviour::default()
    });
    let upstream = env.upstream.clone();
    let asker = tokio::spawn(async move { upstream.page(&titled("x", 0, 3), DAY, TIMEOUT, || ()).await });
    env.arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    asker.abort();
    env.upstream.drained().await;
    assert_eq!(env.lock_holders().await, Vec::<i32>::new());
    env.arxiv.wait_for_no_connection(SOONER).await.unwrap();
}

#[tokio::test]
async fn request_is_dropped_when_its_turn_is_lost() {
    let env = UpstreamEnv::start().await;
    env.arxiv.set(Behaviour {
        delay_ms: 10_000,
        ..Behaviour::default()
    });
    let upstream = env.upstream.clone();
    let asker = tokio::spawn(async move { upstream.page(&titled("x", 0, 3), DAY, TIMEOUT, || ()).await });
    env.arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    let [holder] = env.lock_holders().await[..] else {
        panic!("nobody holds the lock")
    };
    let started = Instant::now();
    env.execute(&format!("select pg_terminate_backend({holder})"))
        .await;
    let error = asker.await.unwrap().unwrap_err();
    assert!(matches!(error, UpstreamError::Lost(_)), "{error:?}");
    assert!(started.elapsed() < SOONER, "{:?}", started.elapsed());
    env.arxiv.wait_for_no_connection(SOONER).await.unwrap();
    assert_eq!(env.upstream.stored(&titled("x", 0, 3), DAY).await.unwrap(), None);

    env.arxiv.set(Mode::Ok);
    assert!(env.page(&titled("x", 0, 3)).await.unwrap().fetched);
}

#[tokio::test]
async fn no_request_is_sent_while_the_database_is_unavailable() {
    let env = UpstreamEnv::start_alone().await;
    assert!(env.page(&titled("x", 0, 3)).await.unwrap().fetched);
    env.postgres.stop().await.unwrap();
    let error = env.page(&titled("y", 0, 3)).await.unwrap_err();
    assert!(
        matches!(&error, UpstreamError::Storage(error) if error.is_unavailable()),
        "{error:?}"
    );
    assert_eq!(env.requests(), 1);
    env.postgres.start_again().await.unwrap();
    assert!(env.page(&titled("y", 0, 3)).await.unwrap().fetched);
    env.assert_polite();
}

#[tokio::test]
async fn page_that_cannot_be_stored_is_an_error() {
    let env = UpstreamEnv::start().await;
    env.execute("revoke insert on arxiv_pages from arxiv_upstream")
        .await;
    let error = env.page(&titled("x", 0, 3)).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Storage(_)), "{error:?}");
    assert_eq!(env.lock_holders().await, Vec::<i32>::new(), "the turn has ended");
    env.execute("grant insert on arxiv_pages to arxiv_upstream").await;
    assert!(env.page(&titled("x", 0, 3)).await.unwrap().fetched);
    env.assert_polite();
}

#[tokio::test]
async fn slot_that_grew_old_is_not_used() {
    // No request can follow its slot at once, so every slot is too old.
    let env = UpstreamEnv::start_with(Duration::ZERO).await;
    let error = env
        .page_within(&titled("x", 0, 3), INTERVAL * 20)
        .await
        .unwrap_err();
    assert!(
        matches!(error, UpstreamError::Gate(GateError::Busy { .. })),
        "{error:?}"
    );
    assert_eq!((env.requests(), env.slots()), (0, 1));
}
