//! The whole of it, small.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::stage::Stage;
use super::{Settings, run, table};

fn settings(rows: u32, compare: Option<Url>) -> Settings {
    // Tests run in target/PROFILE/deps.
    let program = std::env::current_exe().unwrap();
    let binaries: PathBuf = program.ancestors().nth(2).unwrap().into();
    Settings {
        binaries,
        rows,
        length: Duration::from_secs(1),
        connections: 4,
        pgbench_clients: &[4],
        compare,
        only: "deep".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_server_is_compared() {
    let stage = Stage::set(&settings(10_000, None)).await.unwrap();
    let other = stage.server.url().clone();

    let figures = run(&settings(10_000, Some(other.clone()))).await.unwrap();
    assert_eq!(figures.len(), 3);
    for figures in &figures {
        assert!(
            figures.served.rate > 0.0 && figures.served.failed == 0,
            "{figures:?}"
        );
        // Cursors of one server mean nothing to another.
        assert_eq!(figures.compared.is_some(), figures.load.for_all, "{figures:?}");
        assert!(
            figures
                .compared
                .is_none_or(|other| other.rate > 0.0 && other.failed == 0),
            "{figures:?}"
        );
    }
    let table = table(&figures);
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(
        table
            .lines()
            .next()
            .unwrap()
            .ends_with("other/s   ratio  other p99  failed"),
        "{table}"
    );

    let error = run(&settings(20_000, Some(other))).await.unwrap_err().to_string();
    assert!(error.contains("has 0 results instead of 10"), "{error}");
}
