//! The whole system starts and works, and ended processes are restarted.

use std::time::Duration;

use testbed::Stack;
use testbed::stack::Options;

#[tokio::test]
async fn stack_runs_search_and_restarts_killed_process() {
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
    let lines = std::sync::Mutex::new(Vec::new());
    let restarted = async {
        while operator.child().pid() == pid {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        operator.ready(Duration::from_mins(1)).await.unwrap();
    };
    tokio::select! {
        () = stack.supervise(|line| lines.lock().unwrap().push(line.to_owned())) => {}
        done = tokio::time::timeout(Duration::from_mins(2), restarted) => done.unwrap(),
    }
    assert_eq!(operator.url(), url, "on the same port");
    assert!(lines.lock().unwrap()[0].contains("operator-0"), "{lines:?}");

    // An ended server is not restarted, but it must not stay a zombie, which would count as running.
    let replica = stack.databases.replica.child();
    replica.signal(testbed::process::Signal::KILL);
    let gone = async {
        while std::path::Path::new(&format!("/proc/{}", replica.pid())).exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = stack.supervise(|line| lines.lock().unwrap().push(line.to_owned())) => {}
        done = tokio::time::timeout(Duration::from_mins(1), gone) => done.unwrap(),
    }
    assert!(lines.lock().unwrap()[1].contains("postgres replica"), "{lines:?}");
}
