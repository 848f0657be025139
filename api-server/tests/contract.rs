//! The `OpenAPI` document against the running process: tools that live by it find nothing to object to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use http::{Method, header};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use testbed::TestEnv;
use testbed::test_env::json_body;
use testbed::{TempDir, arxiv::Mode, process::Spec, tools::packages};

const REQUIREMENTS: &str = include_str!("contract/requirements.txt");
/// Examples for each operation, and what they are drawn from: the same in each run, so that a change is judged by what it
/// changes. To search for what these do not find: `CONTRACT_EXAMPLES=500 CONTRACT_SEED=$RANDOM cargo test -p
/// arxiv-api-server --test contract`.
const EXAMPLES: &str = "8";
const SEED: &str = "1";
/// For a tool's whole run on a busy machine.
const TOOL_LIMIT: Duration = Duration::from_mins(10);

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract")
}

async fn python() -> PathBuf {
    tokio::task::spawn_blocking(|| packages::python("python-contract", REQUIREMENTS))
        .await
        .unwrap()
        .unwrap()
}

async fn document(env: &TestEnv, path: &str) -> Value {
    json_body(env.get(path).await).await
}

#[tokio::test]
async fn schemathesis_finds_no_violation() {
    let (bin, env) = tokio::join!(python(), TestEnv::for_api(&[]));
    let folder = TempDir::new("schemathesis").unwrap();
    let setting = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    let spec = Spec::new(bin.join("schemathesis"), folder.path().join("log"))
        .env("SCHEMATHESIS_HOOKS", here().join("hooks.py"))
        // It would leave its compiled form beside the source.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg("--config-file")
        .arg(here().join("schemathesis.toml"))
        .args(["run", "--phases", "examples,coverage,fuzzing,stateful"])
        .args(["--no-color", "--generation-database", "none"])
        .args(["--max-examples", &setting("CONTRACT_EXAMPLES", EXAMPLES)])
        .args(["--seed", &setting("CONTRACT_SEED", SEED)])
        .arg(env.url("/openapi.json"));
    spec.run(TOOL_LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_generated_client_does_the_main_job() {
    let (bin, env) = tokio::join!(python(), TestEnv::for_api(&[]));
    let folder = TempDir::new("client").unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(
        file("openapi.json"),
        document(&env, "/openapi.json").await.to_string(),
    )
    .unwrap();
    std::fs::write(
        file("config.yaml"),
        "package_name_override: arxiv_client\npost_hooks: []\n",
    )
    .unwrap();
    Spec::new(bin.join("openapi-python-client"), file("log"))
        .args(["generate", "--meta", "none", "--fail-on-warning", "--path"])
        .arg(file("openapi.json"))
        .arg("--config")
        .arg(file("config.yaml"))
        .arg("--output-path")
        .arg(file("arxiv_client"))
        .run(TOOL_LIMIT)
        .await
        .unwrap();
    Spec::new(bin.join("python"), file("log"))
        .env("PYTHONPATH", folder.path())
        .arg(here().join("main_job.py"))
        .arg(env.url(""))
        .run(TOOL_LIMIT)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_document_has_the_methods_that_are_there() {
    let env = TestEnv::for_api(&[]).await;
    let document = document(&env, "/openapi.json").await;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let refused = env.send("PATCH", &path.replace("{name}", "x")).await;
        assert_eq!(refused.status(), 405, "{path}");
        let allowed = refused.headers()[header::ALLOW].to_str().unwrap();
        let mut allowed: Vec<_> = allowed.split(", ").map(str::to_ascii_lowercase).collect();
        allowed.sort();
        let mut described: Vec<_> = methods.as_object().unwrap().keys().cloned().collect();
        if path == "/arxiv" {
            // `Allow` has been GET from before there was a POST, and is part of the wire format that is kept.
            described.retain(|method| method != "post");
        }
        assert_eq!(allowed, described, "{path}");
    }
}

#[tokio::test]
async fn everything_works_behind_a_prefix() {
    let env = TestEnv::for_api(&[("ROOT_PATH", "/search/api/")]).await;
    // A proxy that takes the prefix away, and one that does not.
    for before in ["", "/search/api"] {
        let told = document(&env, &format!("{before}/openapi.json")).await;
        assert_eq!(told["servers"][0]["url"], "/search/api", "{before}");
        assert!(told["paths"]["/results"].is_object(), "{before}");
        for (page, asset) in [("/docs", "swagger.js"), ("/redoc", "redoc.js"), ("/", "page.js")] {
            let request = env.http.get(env.url(&format!("{before}{page}")));
            let shown = request.header(header::ACCEPT, "text/html").send().await.unwrap();
            assert_eq!(shown.status(), 200, "{before}{page}");
            let text = shown.text().await.unwrap();
            assert!(text.contains("<base href=\"/search/api/\">"), "{text}");
            let asset = env.get(&format!("{before}/assets/{asset}")).await;
            assert_eq!(asset.status(), 200, "{before}{page}");
        }
        let request = env
            .http
            .request(Method::GET, env.url(&format!("{before}/arxiv?author=a")));
        let accepted = request.header("prefer", "respond-async").send().await.unwrap();
        assert_eq!(accepted.status(), 202, "{before}");
        let location = accepted.headers()[header::LOCATION].to_str().unwrap().to_owned();
        assert!(location.starts_with("/search/api/arxiv/"), "{location}");
        assert_eq!(json_body(accepted).await["location"], location);
        assert!(env.get(&location).await.status().is_success(), "{location}");
        let redirected = env.get(&format!("{before}/results/?page=1")).await;
        assert_eq!(redirected.status(), 307, "{before}");
        assert_eq!(
            redirected.headers()[header::LOCATION],
            "/search/api/results?page=1"
        );
    }
    // What a problem is about.
    env.stack.arxiv().unwrap().set(Mode::Zero);
    let request = env.http.get(env.url("/arxiv?title=nothing"));
    let request = request.header(header::ACCEPT, "application/problem+json");
    let problem = json_body(request.send().await.unwrap()).await;
    let about = problem["instance"].as_str().unwrap();
    assert!(about.starts_with("/search/api/arxiv/"), "{problem}");
    assert_eq!(env.get(about).await.status(), 200, "{problem}");
    assert_eq!(env.get("/search/apiary").await.status(), 404);
    assert_eq!(
        env.get("/search/api").await.status(),
        404,
        "for who wants no page, as ever"
    );
}
