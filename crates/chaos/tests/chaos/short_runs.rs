//! A short run of faults on each layout of the databases, and one on a system that is broken on purpose.
//! `cargo xtask chaos` makes long runs.

use std::path::PathBuf;
use std::time::Duration;

use chaos::{Kind, Report, Settings};

/// Parallel runs would be too much for a small machine, and would exceed each other's time limits.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Its first faults of servers are a restore of etcd and statuses that are denied.
const SEED: u64 = 12;

fn settings(seed: u64) -> Settings {
    let program = std::env::current_exe().unwrap();
    Settings {
        seed,
        length: Duration::from_secs(30),
        split: false,
        min_interval: Settings::DEFAULT_MIN_INTERVAL,
        environment: Vec::new(),
        // Tests are in target/debug/deps.
        binaries: program.ancestors().nth(2).unwrap().to_owned(),
        folder: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    }
}

async fn run(settings: Settings) -> Report {
    let _guard = ONE_AT_A_TIME.lock().await;
    let report = chaos::run(&settings).await;
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    println!("{report}");
    report
}

fn assert_nothing_broke(report: &Report) {
    let broken: Vec<_> = report.violations.iter().map(ToString::to_string).collect();
    assert!(
        report.passed(),
        "{report}\n{}\ntimeline: {}",
        broken.join("\n"),
        report.timeline.display()
    );
    for fault in ["restored-etcd", "rotated-password"] {
        assert!(report.faults.contains_key(fault), "{:?}", report.faults);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_on_one_server() {
    assert_nothing_broke(&run(settings(SEED)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_on_two_servers() {
    let split = Settings {
        split: true,
        ..settings(SEED)
    };
    assert_nothing_broke(&run(split).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn impolite_system_is_found() {
    let report = run(Settings {
        length: Duration::from_secs(5),
        // Longer than the interval of the processes.
        min_interval: Duration::from_millis(400),
        environment: vec![("MIN_INTERVAL_MS".into(), "0".into())],
        ..settings(3)
    })
    .await;
    let kinds: Vec<_> = report.violations.iter().map(|violation| violation.kind).collect();
    assert!(kinds.contains(&Kind::Impolite), "{report}");
    assert!(
        kinds.iter().all(|kind| *kind == Kind::Impolite),
        "{:?}",
        report.violations
    );
}
