//! Queries in progress: their list, and what their callers get when the process ends.

use reqwest::{Response, header};
use rustix::process::Signal;
use serde_json::json;
use testbed::TestEnv;
use testbed::arxiv::Behaviour;
use testbed::test_env::{LIMIT, eventually, json_body};

/// arXiv answers late, but before the operator's timeout.
fn slow(env: &TestEnv, delay_ms: u64) {
    env.stack.arxiv().unwrap().set(Behaviour {
        delay_ms,
        ..Behaviour::default()
    });
}

async fn post(env: &TestEnv, title: &str) -> String {
    let request = env.http.post(env.url("/arxiv")).header("prefer", "respond-async");
    let response = request
        .json(&json!({"search": {"title": title}}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
    location(&response)
}

fn location(response: &Response) -> String {
    response.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

/// With the tokens and the selectors of Kubernetes.
pub(super) async fn list(env: &TestEnv) {
    slow(env, 5000);
    let mut created = Vec::new();
    for n in 0..3 {
        created.push(post(env, &format!("listed{n}")).await);
    }
    created.sort();
    let (mut path, mut listed, mut pages) = ("/arxiv?state=unfinished&limit=2".to_owned(), Vec::new(), 0);
    loop {
        let response = env.get(&path).await;
        assert_eq!(response.status(), 200);
        let link = response.headers().get(header::LINK).cloned();
        for query in json_body(response).await.as_array().unwrap() {
            listed.push(format!("/arxiv/{}", query["name"].as_str().unwrap()));
        }
        pages += 1;
        let Some(link) = link else { break };
        let next = link.to_str().unwrap().strip_prefix('<').unwrap();
        next.strip_suffix(">; rel=\"next\"")
            .unwrap()
            .clone_into(&mut path);
    }
    listed.sort();
    assert_eq!((&listed, pages), (&created, 2));
    assert_eq!(env.get("/arxiv?state=all&continue=x").await.status(), 422);
    for location in created {
        assert_eq!(env.send("DELETE", &location).await.status(), 204);
    }
}

/// The address of the query for a caller that waits, the end for one that follows.
pub(super) async fn end_of_the_process(env: &TestEnv) {
    slow(env, 6000);
    let list = env.http.get(env.url("/arxiv?state=unfinished"));
    let list = list.header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(list.status(), 200);
    let waiting = tokio::spawn(env.http.get(env.url("/arxiv?title=ending")).send());
    let arxiv = env.stack.arxiv().unwrap();
    arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    let server = env.stack.api_servers[0].child();
    server.signal(Signal::TERM);
    let response = waiting.await.unwrap().unwrap();
    assert_eq!(response.status(), 202);
    let location = location(&response);
    assert!(
        server.wait(LIMIT).await.unwrap().success(),
        "{}",
        server.log_tail()
    );
    list.text().await.unwrap();
    let log = env.api_server_log();
    let line = log.lines().find(|line| line.contains("end=process_ending"));
    assert!(
        line.is_some_and(|line| line.contains("route=/arxiv status=200")),
        "{log}"
    );
    server.start_again().unwrap();
    env.stack.ready().await.unwrap();
    let state = eventually("the query ends", async || {
        let response = env.get(&location).await;
        (response.status() == 200).then_some(response)
    })
    .await;
    assert_eq!(json_body(state).await["phase"], "Succeeded");
}
