//! The whole system starts, works, and what dies is started again.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use testbed::Stack;
use testbed::stack::Options;

#[tokio::test]
async fn a_search_runs_and_a_killed_process_is_started_again() {
    let options = Options {
        api_servers: vec!["frontend".into(), "backend".into()],
        ..Options::default()
    };
    let stack = Stack::start(options).await.unwrap();
    let search = stack
        .api_url()
        .unwrap()
        .join("/arxiv?title=graphs&max_results=2")
        .unwrap();
    let (status, body) = testbed::http_get(search).await.unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(stack.arxiv().unwrap().requests().len(), 1);

    let operator = &stack.operators[0];
    let (pid, url) = (operator.child().pid(), operator.url());
    operator.child().kill9();
    let told = std::sync::Mutex::new(Vec::new());
    let restarted = async {
        while operator.child().pid() == pid {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        operator.ready(Duration::from_mins(1)).await.unwrap();
    };
    tokio::select! {
        () = stack.supervise(|line| told.lock().unwrap().push(line.to_owned())) => {}
        done = tokio::time::timeout(Duration::from_mins(2), restarted) => done.unwrap(),
    }
    assert_eq!(operator.url(), url, "on the same port");
    assert!(told.lock().unwrap()[0].contains("operator-0"), "{told:?}");

    // A server is left to whoever ended it, but not as a zombie: that would pass for running.
    let replica = stack.databases.replica.child();
    replica.signal(testbed::process::Signal::KILL);
    let gone = async {
        while std::path::Path::new(&format!("/proc/{}", replica.pid())).exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = stack.supervise(|line| told.lock().unwrap().push(line.to_owned())) => {}
        done = tokio::time::timeout(Duration::from_mins(1), gone) => done.unwrap(),
    }
    assert!(told.lock().unwrap()[1].contains("postgres replica"), "{told:?}");
}
