//! The pages in a real browser: see browser/*.test.mjs.

use crd::ArxivFeed;
use kube::{Api, api::PostParams};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use testbed::TestEnv;
use testbed::{Postgres, TempDir, process::Spec, stack::Options, tools::packages};

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

/// The uids of two feeds, of a class that nobody runs: the tests write what their runs would.
async fn feeds(env: &TestEnv) -> String {
    let objects: Api<ArxivFeed> = Api::namespaced(env.kube.clone(), env.stack.namespace());
    let mut uids = Vec::new();
    for name in ["sunflowers", "quiet"] {
        let object = json!({
            "apiVersion": "arxiv-operator.dev/v1alpha1", "kind": "ArxivFeed", "metadata": {"name": name},
            "spec": {"schedule": "17 6 * * 1-5", "search": {"author": name}, "className": "none"},
        });
        let object = serde_json::from_value(object).unwrap();
        let object = objects.create(&PostParams::default(), &object).await.unwrap();
        uids.push(object.metadata.uid.unwrap());
    }
    uids.join(",")
}

/// Runs the tests of one file. `SCREENS` names a folder that gets pictures of what they see.
async fn run(file: &str, env: &TestEnv, tools: &Tools, feeds: &str) {
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
        .env("FEEDS", feeds)
        .env("NAMESPACE", env.stack.namespace())
        .env("DATABASE_ADMIN_URL", env.stack.databases.admin_url())
        .env("PSQL", Postgres::program("psql").unwrap())
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
    run("docs.test.mjs", &env, &tools, "").await;
    run("page.test.mjs", &env, &tools, "").await;
    let feeds = feeds(&env).await;
    run("feeds.test.mjs", &env, &tools, &feeds).await;
}
