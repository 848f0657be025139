//! Input that is written to break out of its place, in objects and in the log.

use crd::{ArxivQuerySpec, ArxivSearch, Phase};
use reqwest::Url;
use testbed::TestEnv;

use crate::hostile::{TEXTS, VALUES, assert_asks_one_field};

/// Kubernetes accepts it, and the operator asks arXiv for one field.
pub(super) async fn objects(env: &TestEnv) {
    let arxiv = env.stack.arxiv().unwrap();
    for (number, text) in TEXTS.into_iter().enumerate() {
        arxiv.clear_record();
        let name = format!("hostile-{number}");
        let spec = ArxivQuerySpec {
            search: ArxivSearch {
                author: Some(text.to_owned()),
                ..ArxivSearch::default()
            },
            max_results: 2,
            ttl_seconds_after_finished: Some(60),
            ..ArxivQuerySpec::default()
        };
        let object = env.create(&name, spec).await;
        assert_eq!(object.spec.search.author.as_deref(), Some(text));
        let status = env.finished(&name).await;
        assert_eq!(status.phase, Phase::Succeeded, "{text}");
        for request in arxiv.requests() {
            assert_asks_one_field(&request, "au:", text);
        }
    }
}

/// One line for each call, whatever its parameters are.
pub(super) async fn log(env: &TestEnv) {
    let texts = TEXTS.map(|text| {
        let url = Url::parse_with_params("http://x/", [("page", text)]).unwrap();
        url.query().unwrap().to_owned()
    });
    let values = VALUES.map(|value| format!("page={value}"));
    for query in texts.iter().chain(&values) {
        for path in ["/results?", "/arxiv-api?title=x&", "/arxiv/x/results?", "/arxiv/"] {
            let status = env.get(&format!("{path}{query}")).await.status();
            assert!(!status.is_server_error(), "{path}{query}: {status}");
        }
    }
    let search = "/arxiv?title=Buda%22pest&max_results=1";
    let request = env.http.get(env.url(search)).header("x-request-id", "log-1");
    assert_eq!(request.send().await.unwrap().status(), 200);

    let log = env.api_server_log();
    assert!(log.contains("INJECTED"), "parameters are logged");
    for line in log.lines() {
        assert!(line.starts_with(|c: char| c.is_ascii_digit()), "{line:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    let mut lines = log.lines();
    let line = lines.find(|line| line.contains("request_id=log-1") && line.contains("NOTICE"));
    let call =
        r#" NOTICE frontend - arxiv.search - search(author=None, title="Buda\"pest", max_results=1): called"#;
    assert!(line.unwrap().contains(call), "{line:?}");
    for secret in ["postgresql://", "Bearer", "password"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
