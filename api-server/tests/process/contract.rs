//! The `OpenAPI` document against the running process, by tools that depend on it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use testbed::TestEnv;
use testbed::{TempDir, process::Spec, tools::packages};
use tokio::sync::OnceCell;

use crate::block_on;

const REQUIREMENTS: &str = include_str!("../contract/requirements.txt");
/// Examples for each operation, and what they are drawn from: the same in each run, so that a change is judged by what it
/// changes. To search for what these do not find: `CONTRACT_EXAMPLES=500 CONTRACT_SEED=$RANDOM cargo test -p
/// arxiv-api-server --test process contract`.
const EXAMPLES: &str = "8";
const SEED: &str = "1";
/// For a tool's whole run on a busy machine.
const TOOL_LIMIT: Duration = Duration::from_mins(10);

/// The tools, and the system that both tests share.
async fn shared() -> (&'static Path, &'static TestEnv) {
    static SHARED: OnceCell<(PathBuf, TestEnv)> = OnceCell::const_new();
    let start = async || {
        let tools = tokio::task::spawn_blocking(|| packages::python("python-contract", REQUIREMENTS));
        let (tools, env) = tokio::join!(tools, TestEnv::for_api(&[]));
        (tools.unwrap().unwrap(), env)
    };
    let (tools, env) = SHARED.get_or_init(start).await;
    (tools, env)
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract")
}

#[test]
fn schemathesis_finds_no_violation() {
    block_on(async {
        let (bin, env) = shared().await;
        let folder = TempDir::new("schemathesis").unwrap();
        let setting = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
        let spec = Spec::new(bin.join("schemathesis"), folder.path().join("log"))
            .env("SCHEMATHESIS_HOOKS", here().join("hooks.py"))
            // It would leave its compiled form next to the source.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg("--config-file")
            .arg(here().join("schemathesis.toml"))
            .args(["run", "--phases", "examples,coverage,fuzzing,stateful"])
            .args(["--no-color", "--generation-database", "none"])
            .args(["--max-examples", &setting("CONTRACT_EXAMPLES", EXAMPLES)])
            .args(["--seed", &setting("CONTRACT_SEED", SEED)])
            .arg(env.url("/openapi.json"));
        spec.run(TOOL_LIMIT).await.unwrap();
    });
}

#[test]
fn generated_client_does_the_main_job() {
    block_on(async {
        let (bin, env) = shared().await;
        let folder = TempDir::new("client").unwrap();
        let file = |name: &str| folder.path().join(name);
        let document = env.get("/openapi.json").await.text().await.unwrap();
        std::fs::write(file("openapi.json"), document).unwrap();
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
    });
}
