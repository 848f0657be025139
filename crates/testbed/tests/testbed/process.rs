//! Children end on request, when they are dropped, and when their parent is killed.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use testbed::TempDir;
use testbed::net::Port;
use testbed::process::{Child, Signal, Spec};

const LIMIT: Duration = Duration::from_secs(10);
/// Set for the copy of this program that is the killed parent.
const PARENT: &str = "TESTBED_PARENT_WRITES_TO";

fn shell(temp_dir: &TempDir, script: &str) -> Spec {
    Spec::new("/bin/sh", temp_dir.path().join("log")).args(["-c", script])
}

fn exists(pid: u32) -> bool {
    // A zombie counts as ended.
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .any(|line| line.starts_with("State:") && !line.contains('Z'))
}

async fn until(mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !check() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn child_ends_by_itself_by_signal_or_when_dropped() {
    let temp_dir = TempDir::new("process").unwrap();
    let failing = Child::spawn(shell(&temp_dir, "echo first; echo second >&2; exit 3")).unwrap();
    assert_eq!(failing.wait(LIMIT).await.unwrap().code(), Some(3));
    assert!(failing.log_tail().contains("first\nsecond"));

    let patient = "trap 'exit 7' TERM; echo ready; while true; do sleep 0.05; done";
    let child = Child::spawn(shell(&temp_dir, patient)).unwrap();
    until(|| child.log_tail().contains("ready")).await;
    child.freeze();
    assert!(child.wait(Duration::from_millis(100)).await.is_err());
    child.thaw();
    assert_eq!(child.terminate(LIMIT).await.unwrap().code(), Some(7));
    child.start_again().unwrap();
    let second = child.pid();
    assert!(exists(second) && child.start_again().is_err());
    drop(child);
    assert!(!exists(second));

    let deaf = Child::spawn(shell(
        &temp_dir,
        "trap '' TERM; echo deaf; while true; do sleep 0.05; done",
    ))
    .unwrap();
    until(|| deaf.log_tail().contains("deaf")).await;
    assert!(deaf.terminate(Duration::from_millis(200)).await.is_err());
    assert!(!deaf.is_running(), "killed after the limit");
}

#[tokio::test]
async fn child_does_not_inherit_shell_environment() {
    let temp_dir = TempDir::new("process").unwrap();
    let child = Child::spawn(shell(&temp_dir, "env").env("GIVEN", "yes")).unwrap();
    child.wait(LIMIT).await.unwrap();
    let environment = child.log_tail();
    assert!(environment.contains("GIVEN=yes") && environment.contains("PATH="));
    assert!(!environment.contains("CARGO_"), "{environment}");
}

#[tokio::test]
async fn child_ends_when_parent_is_killed() {
    if let Some(file) = std::env::var_os(PARENT) {
        // The end of the thread must not end the child: only the end of the process may.
        let log = Path::new(&file).with_extension("log");
        let start = move || Child::spawn(Spec::new("/bin/sleep", log).arg("1000")).unwrap();
        let child = std::thread::spawn(start).join().unwrap();
        // setpriv has set the death signal when it has become the program.
        let name = format!("/proc/{}/comm", child.pid());
        until(|| fs::read_to_string(&name).is_ok_and(|name| name.trim() == "sleep")).await;
        fs::write(&file, child.pid().to_string()).unwrap();
        child.wait(Duration::from_mins(1)).await.unwrap();
        return;
    }
    let temp_dir = TempDir::new("process").unwrap();
    let file = temp_dir.path().join("pid");
    let parent = Spec::new(
        std::env::current_exe().unwrap(),
        temp_dir.path().join("parent.log"),
    )
    .args(["--exact", "process::child_ends_when_parent_is_killed"])
    .env(PARENT, &file);
    let parent = Child::spawn(parent).unwrap();
    let pid = || fs::read_to_string(&file).ok().and_then(|text| text.parse().ok());
    until(|| pid().is_some()).await;
    let pid = pid().unwrap();
    assert!(exists(pid), "{}", parent.log_tail());
    parent.signal(Signal::KILL);
    until(|| !exists(pid)).await;
}

#[tokio::test]
async fn port_is_reserved_until_dropped() {
    let (first, second) = (Port::reserve().unwrap(), Port::reserve().unwrap());
    assert_ne!(first.number(), second.number());
    let listener = std::net::TcpListener::bind(("127.0.0.1", first.number())).unwrap();
    assert!(Port::exactly(first.number()).is_err());
    drop(listener);
    // Not at once: a child that another test has just forked holds a copy of this listener until it executes its program.
    until(|| Port::exactly(first.number()).is_ok()).await;
}

#[test]
fn temp_dir_exists_until_dropped() {
    let temp_dir = TempDir::new("folder").unwrap();
    let path = temp_dir.path().to_owned();
    fs::write(path.join("file"), "").unwrap();
    let _other = TempDir::new("folder").unwrap();
    assert!(path.exists(), "held ones are not swept");
    drop(temp_dir);
    assert!(!path.exists());
}
