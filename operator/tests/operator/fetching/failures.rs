//! Every way in which arXiv fails: how the query ends, and what counts against its `backoffLimit`.

use crd::{ArxivQuerySpec, FailurePolicy, Phase};
use serde_json::json;
use testbed::TestEnv;
use testbed::test_env::{LIMIT, search};
use testbed::{
    arxiv::{Behaviour, Mode},
    stack::Options,
};

/// Short waits, so that retries are over soon.
fn short_retries() -> Options {
    let environment = [("RETRY_BASE_MS", "100"), ("COOLDOWN_BASE_MS", "200")];
    Options {
        environment: environment
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        ..Options::operator_only()
    }
}

fn reason(status: &crd::ArxivQueryStatus) -> &str {
    status
        .conditions
        .iter()
        .find(|c| c.type_ == "Ready")
        .map_or("", |c| &c.reason)
}

/// The result of kstatus, which Flux and others use, for a status of the present generation.
fn kstatus(status: &crd::ArxivQueryStatus) -> &'static str {
    let is = |type_: &str, value: &str| {
        status
            .conditions
            .iter()
            .any(|c| c.type_ == type_ && c.status == value)
    };
    match () {
        () if is("Reconciling", "True") => "InProgress",
        () if is("Stalled", "True") => "Failed",
        () if is("Ready", "False") || is("Ready", "Unknown") => "InProgress",
        () => "Current",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn query_fails_when_broken_answers_exceed_backoff_limit() {
    let env = TestEnv::start(short_retries()).await;
    let arxiv = env.stack.arxiv().unwrap();
    // Mode, HTTP status, reason, failed attempts that count, requests. One retry is allowed.
    let cases = [
        (Mode::Status(400), 400, "SearchRefused", 0, 1),
        (Mode::ErrorFeed(400), 400, "SearchRefused", 0, 1),
        (Mode::Status(403), 403, "UnexpectedStatus", 2, 2),
        (Mode::Status(404), 404, "UnexpectedStatus", 2, 2),
        (Mode::Status(500), 500, "UnexpectedStatus", 2, 2),
        (Mode::Status(418), 502, "UnexpectedStatus", 2, 2),
        (Mode::ErrorFeed(200), 400, "SearchRefused", 0, 1),
        (Mode::InternalErrorFeed, 502, "ErrorFeed", 2, 2),
        (Mode::Malformed, 502, "BrokenFeed", 2, 2),
        (Mode::Truncated, 502, "BrokenFeed", 2, 2),
        (Mode::Html, 502, "NotAFeed", 2, 2),
        (Mode::WrongType, 502, "NotAFeed", 2, 2),
        (Mode::Empty, 502, "BrokenFeed", 2, 2),
        (Mode::NoTotal, 502, "BrokenFeed", 2, 2),
        (Mode::BadTotal, 502, "BrokenFeed", 2, 2),
        (Mode::Doctype, 502, "BrokenFeed", 2, 2),
        (Mode::Deep, 502, "BrokenFeed", 2, 2),
        (Mode::Huge, 502, "BrokenFeed", 2, 2),
        (Mode::RedirectElsewhere, 502, "BadRedirect", 2, 2),
        // Each attempt repeats the request three times before it fails.
        (Mode::EmptyPage, 502, "IncompleteFeed", 2, 8),
    ];
    for (i, (mode, http_status, expected, attempts, requests)) in cases.into_iter().enumerate() {
        arxiv.set(mode);
        arxiv.clear_record();
        let name = format!("broken{i}");
        env.create(
            &name,
            ArxivQuerySpec {
                backoff_limit: 1,
                ..search(&name)
            },
        )
        .await;
        let status = env.finished(&name).await;
        let ended = (status.phase, status.http_status, reason(&status), status.attempts);
        assert_eq!(
            ended,
            (Phase::Failed, Some(http_status), expected, Some(attempts)),
            "{mode:?}: {status:?}"
        );
        assert_eq!(kstatus(&status), "Failed", "{mode:?}");
        assert_eq!(
            arxiv.requests().len(),
            requests,
            "{mode:?}\n{}",
            env.operator_logs()
        );
        assert!(
            status.completion_time.is_some() && status.start_time.is_some(),
            "{mode:?}"
        );
        let message = status.message.unwrap();
        assert!(
            !message.contains("localhost") && !message.contains("127.0.0.1"),
            "{message}"
        );
    }
    assert_eq!(env.rows().await, [], "a failed query has no rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn query_waits_when_arxiv_throttles_or_is_unreachable() {
    let mut options = short_retries();
    options
        .environment
        .push(("ARXIV_TIMEOUT_MS".into(), "2000".into()));
    let env = TestEnv::start(options).await;
    let arxiv = env.stack.arxiv().unwrap();
    let slow = Behaviour {
        delay_ms: 3_000,
        ..Behaviour::default()
    };
    let cases: [(&str, Behaviour, &str); 7] = [
        ("429", Mode::Status(429).into(), "UpstreamThrottled"),
        ("503", Mode::Status(503).into(), "UpstreamThrottled"),
        (
            "rate exceeded with 200",
            Mode::RateExceeded(200).into(),
            "UpstreamThrottled",
        ),
        ("cool-down page", Mode::CoolDown.into(), "UpstreamThrottled"),
        ("closed connection", Mode::Close.into(), "UpstreamUnreachable"),
        ("cut answer", Mode::Cut.into(), "UpstreamUnreachable"),
        ("time-out", slow, "UpstreamUnreachable"),
    ];
    for (i, (what, behaviour, blocked)) in cases.into_iter().enumerate() {
        arxiv.set(behaviour);
        arxiv.clear_record();
        let name = format!("patient{i}");
        env.create(
            &name,
            ArxivQuerySpec {
                backoff_limit: 0,
                ..search(&name)
            },
        )
        .await;
        let waits = env
            .status_when(&name, "reported", |status| status.phase != Phase::Pending)
            .await;
        assert_eq!(
            (waits.phase, reason(&waits), kstatus(&waits)),
            (Phase::Running, blocked, "InProgress"),
            "{what}"
        );
        // More requests than retries are allowed: none of these failures counts.
        arxiv.wait_for_requests(3, LIMIT).await.unwrap();
        arxiv.set(Mode::Ok);
        let status = env.finished(&name).await;
        assert_eq!(
            (status.phase, status.attempts),
            (Phase::Succeeded, Some(0)),
            "{what}: {status:?}"
        );
        assert_eq!(kstatus(&status), "Current", "{what}");
        assert!(arxiv.requests().len() >= 4, "{what}");
        // However often it was tried again, there are two Events.
        env.until_events(&name, &[blocked, "Succeeded"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_answer_is_requested_again_once() {
    let env = TestEnv::start(short_retries()).await;
    let arxiv = env.stack.arxiv().unwrap();
    arxiv.set(Behaviour::from(Mode::Zero).times(1));
    env.create("lie", search("lie")).await;
    let status = env.finished("lie").await;
    assert_eq!(
        (status.phase, status.total_results, status.stored_results),
        (Phase::Succeeded, Some(1234), Some(2))
    );
    assert_eq!(arxiv.requests().len(), 2);

    arxiv.set(Mode::Zero);
    env.create("nothing", search("nothing")).await;
    let status = env.finished("nothing").await;
    assert_eq!(
        (status.phase, status.total_results, status.stored_results),
        (Phase::Succeeded, Some(0), Some(0))
    );
    assert_eq!(arxiv.requests().len(), 4);
    assert_eq!(env.rows().await.len(), 2, "an empty result is recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn query_fails_at_first_error_with_fail_fast_and_at_its_deadline() {
    let env = TestEnv::start(short_retries()).await;
    let arxiv = env.stack.arxiv().unwrap();
    let cases = [
        (Mode::Status(400), 400),
        (Mode::Status(404), 404),
        (Mode::Status(429), 429),
        (Mode::Status(500), 500),
        (Mode::Status(503), 503),
        (Mode::RateExceeded(200), 429),
        (Mode::Close, 503),
        (Mode::Malformed, 502),
    ];
    for (i, (mode, http_status)) in cases.into_iter().enumerate() {
        arxiv.set(mode);
        arxiv.clear_record();
        let name = format!("fast{i}");
        // With the usual retries: the policy decides.
        let spec = ArxivQuerySpec {
            failure_policy: FailurePolicy::FailFast,
            ..search(&name)
        };
        env.create(&name, spec).await;
        let status = env.finished(&name).await;
        assert_eq!(
            (status.phase, status.http_status),
            (Phase::Failed, Some(http_status)),
            "{mode:?}"
        );
        assert_eq!(arxiv.requests().len(), 1, "{mode:?}");
    }

    arxiv.set(Mode::Close);
    let spec = ArxivQuerySpec {
        active_deadline_seconds: Some(2),
        ..search("deadline")
    };
    env.create("deadline", spec).await;
    let status = env.finished("deadline").await;
    assert_eq!(
        (status.phase, reason(&status)),
        (Phase::Failed, "DeadlineExceeded"),
        "{status:?}"
    );
    assert_eq!(status.http_status, Some(503));
    let (started, ended) = (status.start_time.unwrap().0, status.completion_time.unwrap().0);
    let lasted = ended.duration_since(started).as_secs();
    assert!((2..10).contains(&lasted), "{lasted} s");
}

/// An operator that waits so long before it tries again.
async fn operator_that_retries_after(milliseconds: &str) -> TestEnv {
    let environment = vec![("RETRY_BASE_MS".to_owned(), milliseconds.to_owned())];
    TestEnv::start(Options {
        environment,
        ..Options::operator_only()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn query_that_retries_fails_when_its_policy_becomes_fail_fast() {
    let env = operator_that_retries_after("300000").await;
    let arxiv = env.stack.arxiv().unwrap();
    arxiv.set(Mode::Malformed);
    env.create("q", search("q")).await;
    env.status_when("q", "retrying", |status| status.attempts == Some(1))
        .await;
    env.patch_spec("q", json!({"failurePolicy": "FailFast"})).await;
    let status = env.finished("q").await;
    assert_eq!((status.phase, reason(&status)), (Phase::Failed, "BrokenFeed"));
    assert_eq!(arxiv.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_kept_when_operator_is_killed() {
    let env = operator_that_retries_after("1000").await;
    let arxiv = env.stack.arxiv().unwrap();
    arxiv.set(Mode::Malformed);
    env.create(
        "q",
        ArxivQuerySpec {
            backoff_limit: 2,
            ..search("q")
        },
    )
    .await;
    for attempts in 1..=2 {
        env.status_when("q", "at its next attempt", |status| {
            status.attempts >= Some(attempts)
        })
        .await;
        env.operator().kill9_and_start().unwrap();
    }
    let status = env.finished("q").await;
    assert_eq!((status.phase, status.attempts), (Phase::Failed, Some(3)));
    let requests = arxiv.requests().len();
    // A kill may come between a failed request and its status.
    assert!((3..=5).contains(&requests), "{requests} requests");
}
