//! The whole of it, small.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::stage::Stage;
use super::{Settings, figures, run, table};

fn settings(rows: u32, compare: Option<Url>) -> Settings {
    // Tests run in target/PROFILE/deps.
    let program = std::env::current_exe().unwrap();
    let binaries: PathBuf = program.ancestors().nth(2).unwrap().into();
    Settings {
        binaries,
        rows,
        papers: None,
        length: Duration::from_secs(1),
        rounds: 1,
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

    let report = run(&settings(10_000, Some(other.clone()))).await.unwrap();
    assert_eq!(report.figures.len(), 3);
    for figures in &report.figures {
        assert!(
            figures.median(|served| served.rate) > 0.0 && figures.failed() == 0,
            "{figures:?}"
        );
        // Cursors of one server mean nothing to another.
        assert_eq!(!figures.compared.is_empty(), figures.load.for_all, "{figures:?}");
        assert!(
            figures
                .compared
                .iter()
                .all(|other| other.rate > 0.0 && other.failed == 0),
            "{figures:?}"
        );
    }
    let table = table(&report);
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

#[tokio::test(flavor = "multi_thread")]
async fn loads_on_papers_answer_and_papers_have_a_size() {
    let settings = Settings {
        papers: Some(20_000),
        only: "/papers".into(),
        ..settings(10_000, None)
    };
    let report = run(&settings).await.unwrap();
    assert_eq!(report.figures.len(), 7);
    for figures in &report.figures {
        assert!(
            figures.median(|served| served.rate) > 0.0 && figures.failed() == 0,
            "{figures:?}"
        );
    }
    let bytes = report.bytes.unwrap();
    let of_abstract = bytes.whole - bytes.without_abstract;
    assert!(of_abstract > 1_200 && bytes.without_abstract > 1_000, "{bytes:?}");
    assert!(table(&report).contains("without the abstract"));
    let figures = figures(&report);
    let [first, .., whole, _] = figures.as_slice() else {
        panic!("{figures:?}");
    };
    assert_eq!(first.name, "GET /papers/ID");
    #[allow(clippy::cast_precision_loss, reason = "small")]
    let bytes = bytes.whole as f64;
    assert_eq!(
        (whole.name.as_str(), whole.measured[0].to_bits()),
        ("bytes per paper", bytes.to_bits())
    );
}
