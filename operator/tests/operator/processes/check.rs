//! `arxiv-operator check`, which `helm test` runs.

use std::process::Output;

use axum::{Router, http::StatusCode, routing::get};
use testbed::ControlPlane;
use tokio::{net::TcpListener, process::Command};

async fn check(arguments: &[String]) -> Output {
    let program = env!("CARGO_BIN_EXE_arxiv-operator");
    let run = Command::new(program).arg("check").args(arguments).output();
    run.await.unwrap()
}

#[tokio::test]
async fn check_succeeds_only_when_each_url_answers_as_expected() {
    let answers = Router::new()
        .route("/readyz", get(async || "ready"))
        .route(
            "/waiting",
            get(async || (StatusCode::SERVICE_UNAVAILABLE, "the database is not available")),
        )
        .route("/guarded", get(async || StatusCode::UNAUTHORIZED));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async { axum::serve(listener, answers).await });
    let url = |option: &str, path: &str| format!("--{option}=http://{address}{path}");
    for (urls, problem) in [
        (
            vec![url("ready", "/readyz"), url("unauthorized", "/guarded")],
            None,
        ),
        (
            vec![url("ready", "/readyz"), url("ready", "/waiting")],
            Some("the database is not available"),
        ),
        (
            vec![url("unauthorized", "/readyz")],
            Some("answers 200 OK in place of 401"),
        ),
        (
            vec!["--ready=http://127.0.0.1:1/readyz".into()],
            Some("Connection refused"),
        ),
        (vec![], Some("nothing to check")),
    ] {
        let mut arguments = urls.clone();
        arguments.push("--within-seconds=2".into());
        let output = check(&arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), problem.is_none(), "{urls:?}: {said}");
        assert!(
            problem.is_none_or(|problem| said.contains(problem)),
            "{urls:?}: {said}"
        );
    }
    server.abort();
}

#[tokio::test]
async fn check_accepts_a_certificate_of_an_unknown_authority_only_when_told_to() {
    let plane = ControlPlane::shared().await.unwrap();
    let arguments = [
        format!("--ready={}/readyz", plane.url()),
        "--within-seconds=2".to_owned(),
    ];
    let output = check(&arguments).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("certificate"), "{said}");
    let any = [arguments.as_slice(), &["--any-certificate".to_owned()]].concat();
    let output = check(&any).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
