//! Start and shutdown of an operator.

use crd::Phase;
use std::time::{Duration, Instant};
use testbed::TestEnv;
use testbed::stack::Options;
use testbed::test_env::{LIMIT, search};
use testbed::{arxiv::Behaviour, process::Signal};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_and_records_the_request_in_flight() {
    let env = TestEnv::start(Options::operator_only()).await;
    let arxiv = env.stack.arxiv().unwrap();
    arxiv.set(Behaviour {
        delay_ms: 3_000,
        ..Behaviour::default()
    });
    env.create("in-flight", search("inflight")).await;
    arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    env.create("waiting", search("waiting")).await;
    let asked = Instant::now();
    env.operator().child().signal(Signal::TERM);
    let status = env
        .operator()
        .child()
        .wait(Duration::from_secs(25))
        .await
        .unwrap();
    assert!(status.success(), "{status}\n{}", env.operator_logs());
    assert!(asked.elapsed() < Duration::from_secs(25));
    let done = env.status("in-flight").await;
    assert_eq!(done.phase, Phase::Succeeded, "{}", env.operator_logs());
    assert_eq!(env.rows().await.len(), 1);
    assert_eq!(arxiv.requests().len(), 1, "nothing new was begun");
    assert_eq!(env.status("waiting").await.phase, Phase::Pending);

    env.operator().child().start_again().unwrap();
    assert_eq!(env.finished("waiting").await.phase, Phase::Succeeded);
    assert_eq!(arxiv.requests().len(), 2);

    // With nothing to do it does not need the 25 s that it may take.
    let asked = Instant::now();
    let status = env.operator().child().terminate(LIMIT).await.unwrap();
    assert!(
        status.success() && asked.elapsed() < Duration::from_secs(15),
        "{status} after {:?}",
        asked.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_start_prints_what_to_change() {
    let env = TestEnv::start(Options::operator_only()).await;
    let program = env!("CARGO_BIN_EXE_arxiv-operator");
    let taken = format!("127.0.0.1:{}", env.operator().url().port().unwrap());
    let cases: [(&[&str], i32, &str); 7] = [
        (&["crd"], 0, "kind: CustomResourceDefinition"),
        (&["migrate"], 1, "DATABASE_SEQUENCE_OWNER_URL is not set"),
        (
            &["run", "--listen", "127.0.0.1:0"],
            1,
            "DATABASE_RW_URL is not set",
        ),
        (&["run", "--listen", &taken], 1, "LISTEN names another address"),
        (&["run", "--listen", "nowhere"], 2, "--listen"),
        (&["run", "--max-concurrent-reconciles", "0"], 2, "1..=64"),
        (&["walk"], 2, "unrecognized subcommand"),
    ];
    for (arguments, code, text) in cases {
        let ended = std::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .output()
            .unwrap();
        let output = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {output}");
        assert!(output.contains(text), "{arguments:?}: {output}");
    }
}
