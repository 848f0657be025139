//! An operator's beginning and end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use crd::Phase;
use support::{Bed, LIMIT, options, search};
use testbed::{arxiv::Behaviour, process::Signal};

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_the_request_under_way_is_finished_and_recorded() {
    let bed = Bed::start(options()).await;
    let arxiv = bed.stack.arxiv().unwrap();
    arxiv.set(Behaviour {
        delay_ms: 3_000,
        ..Behaviour::default()
    });
    bed.create("under-way", search("underway")).await;
    arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    bed.create("waiting", search("waiting")).await;
    let asked = Instant::now();
    bed.operator().child().signal(Signal::TERM);
    let status = bed
        .operator()
        .child()
        .wait(Duration::from_secs(25))
        .await
        .unwrap();
    assert!(status.success(), "{status}\n{}", bed.logs());
    assert!(asked.elapsed() < Duration::from_secs(25));
    let done = bed.status("under-way").await;
    assert_eq!(done.phase, Phase::Succeeded, "{}", bed.logs());
    assert_eq!(bed.rows().await.len(), 1);
    assert_eq!(arxiv.requests().len(), 1, "nothing new was begun");
    assert_eq!(bed.status("waiting").await.phase, Phase::Pending);

    bed.operator().child().start_again().unwrap();
    assert_eq!(bed.finished("waiting").await.phase, Phase::Succeeded);
    assert_eq!(arxiv.requests().len(), 2);

    // With nothing to do it does not take the 25 s that it has for its end.
    let asked = Instant::now();
    let status = bed.operator().child().terminate(LIMIT).await.unwrap();
    assert!(
        status.success() && asked.elapsed() < Duration::from_secs(15),
        "{status} after {:?}",
        asked.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_cannot_start_says_what_to_do() {
    let bed = Bed::start(options()).await;
    let program = env!("CARGO_BIN_EXE_arxiv-operator");
    let taken = format!("127.0.0.1:{}", bed.operator().url().port().unwrap());
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
