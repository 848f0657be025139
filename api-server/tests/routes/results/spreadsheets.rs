//! Results as Python and a spreadsheet read them.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::json;
use testbed::{TempDir, process::Spec, tools::packages};

use crate::support::Api;

/// For one program on a busy machine.
const LIMIT: Duration = Duration::from_mins(5);
/// Title, author, journal and identifier.
const PAPERS: [[&str; 4]; 4] = [
    [
        "A \"quoted\" title, with a comma; and more",
        "Erdős, P., Nguyễn, V., 李, 明",
        "J. Test 1, 2--3",
        "2405.00001v1",
    ],
    ["$a<b$ in two\nlines", "O'Brien, K.", "", "math/0309136v2"],
    ["=1+1", "@author", "+2", "2405.00003v1"],
    ["1e5", "007", "1-2", "2405.00010"],
];

/// As the columns have it: formulas with an apostrophe.
fn cells() -> Vec<[String; 4]> {
    let cell = |text: &str| match text {
        "=1+1" | "@author" => format!("'{text}"),
        text => text.to_owned(),
    };
    PAPERS.iter().map(|paper| paper.map(cell)).collect()
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/spreadsheets")
}

/// A folder with the results as CSV, with and without a byte order mark, and as JSON.
async fn written() -> TempDir {
    let api = Api::start(&[]).await;
    for [title, author, journal, id] in PAPERS {
        let quoted = [author, title, journal, id].map(|text| format!("'{}'", text.replace('\'', "''")));
        api.execute(&format!(
            "insert into public.results (author, title, journal, arxiv_id, categories) values ({}, 'math.CO')",
            quoted.join(", ")
        ))
        .await;
    }
    let folder = TempDir::new("spreadsheets").unwrap();
    for (name, options) in [("plain.csv", ""), ("marked.csv", "&bom=true")] {
        let path = format!("/results?category=math.CO&format=csv{options}");
        let response = api.get(&path).await;
        assert_eq!(response.status(), 200, "{path}");
        fs::write(folder.path().join(name), response.bytes().await.unwrap()).unwrap();
    }
    fs::write(folder.path().join("facts.json"), json!(cells()).to_string()).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn python_reads_the_cells_of_a_table() {
    let install = || packages::program(&["python3"], &["python3"], "a minute").unwrap();
    let python = tokio::task::spawn_blocking(install).await.unwrap();
    let folder = written().await;
    Spec::new(python, folder.path().join("python.log"))
        .current_dir(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(here().join("read_back.py"))
        .run(LIMIT)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn spreadsheet_reads_the_cells_of_a_table_with_a_byte_order_mark() {
    let install = || {
        let modules = packages::node_modules(
            "node-spreadsheets",
            include_str!("../../spreadsheets/package.json"),
            include_str!("../../spreadsheets/package-lock.json"),
        );
        (packages::node().unwrap(), modules.unwrap())
    };
    let (node, modules) = tokio::task::spawn_blocking(install).await.unwrap();
    let folder = written().await;
    Spec::new(node, folder.path().join("node.log"))
        .current_dir(folder.path())
        .env("NODE_MODULES", &modules)
        .arg(here().join("read_back.mjs"))
        .run(LIMIT)
        .await
        .unwrap();
}
