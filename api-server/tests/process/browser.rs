//! The pages in a real browser: see browser/*.test.mjs.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use testbed::TestEnv;
use testbed::{TempDir, process::Spec, stack::Options, tools::packages};

/// For one file's tests on a busy machine.
const LIMIT: Duration = Duration::from_mins(10);

/// The browser, Node.js and the packages that drive it.
struct Tools {
    chromium: PathBuf,
    node: PathBuf,
    modules: PathBuf,
}

async fn tools() -> Tools {
    let find = || Tools {
        chromium: packages::chromium().unwrap(),
        node: packages::node().unwrap(),
        modules: packages::node_modules(
            "node-browser",
            include_str!("../browser/package.json"),
            include_str!("../browser/package-lock.json"),
        )
        .unwrap(),
    };
    tokio::task::spawn_blocking(find).await.unwrap()
}

/// Runs the tests of one file. `SCREENS` names a folder that gets pictures of what they see.
async fn run(file: &str, env: &TestEnv, tools: &Tools) {
    let folder = TempDir::new("browser").unwrap();
    let control = env.stack.arxiv().unwrap().root().join("/_control").unwrap();
    let spec = Spec::new(&tools.node, folder.path().join("log"))
        .args(["--test", "--test-reporter", "spec"])
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/browser")
                .join(file),
        )
        .env("BASE_URL", env.url(""))
        .env("ARXIV_CONTROL", control.as_str())
        .env("CHROMIUM", &tools.chromium)
        .env("NODE_MODULES", &tools.modules)
        .env("SCREENS", std::env::var_os("SCREENS").unwrap_or_default());
    spec.run(LIMIT).await.unwrap();
}

#[tokio::test]
async fn search_page_and_documentation_work_in_a_browser_without_the_internet() {
    let options = Options {
        // Long enough for a place in the queue to be seen.
        min_interval: Duration::from_millis(500),
        ..Options::default()
    };
    let (tools, env) = tokio::join!(tools(), TestEnv::for_api_with(options, &[]));
    run("docs.test.mjs", &env, &tools).await;
    run("page.test.mjs", &env, &tools).await;
}
