//! One request, followed by its id through the logs of all processes.

use std::collections::BTreeMap;

use crd::{ArxivQuery, REQUEST_ID_ANNOTATION, TRACE_PARENT_ANNOTATION};
use kube::api::DeleteParams;
use serde_json::json;
use testbed::TestEnv;
use testbed::arxiv::{Behaviour, Mode};
use testbed::test_env::{LIMIT, eventually, search};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn operator_log(env: &TestEnv) -> String {
    std::fs::read_to_string(env.operator().child().log()).unwrap()
}

/// A `grep` of the id shows the line of the API, each attempt, and the record.
pub(super) async fn request(env: &TestEnv) {
    let once = Behaviour::from(Mode::Status(500)).times(1);
    env.stack.arxiv().unwrap().set(once);
    let request = env.http.post(env.url("/arxiv"));
    let request = request
        .header("x-request-id", "follow-1")
        .header("traceparent", TRACE)
        .header("prefer", "respond-async");
    let response = request
        .json(&json!({"search": {"title": "followed"}}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
    let objects = env.objects().await;
    let object = objects
        .iter()
        .find(|object| object.spec.search.title.as_deref() == Some("followed"))
        .unwrap();
    let name = object.metadata.name.clone().unwrap();
    let annotations = object.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations[REQUEST_ID_ANNOTATION], "follow-1");
    assert_eq!(annotations[TRACE_PARENT_ANNOTATION], TRACE);

    let recorded = eventually("the query is recorded", async || {
        let log = operator_log(env);
        let done = log
            .lines()
            .any(|line| line.contains("query succeeded") && line.contains(&name));
        done.then_some(log)
    })
    .await;
    let of_request: Vec<_> = recorded
        .lines()
        .filter(|line| line.contains("follow-1"))
        .collect();
    for text in ["a request to arXiv failed", "arXiv answered", "query succeeded"] {
        let line = of_request.iter().find(|line| line.contains(text));
        let line = line.unwrap_or_else(|| panic!("{text}: {of_request:#?}"));
        assert!(line.contains(&name) && line.contains(&TRACE[3..35]), "{line}");
    }
    let log = env.api_server_log();
    let access = |line: &&str| line.contains(" access - ") && line.contains("request_id=follow-1");
    let lines: Vec<_> = log.lines().filter(access).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for field in [
        &*format!("object={name}"),
        "method=POST route=/arxiv",
        "status=202",
        "client=hash:",
        "end=complete",
    ] {
        assert!(lines[0].contains(field), "{field}: {}", lines[0]);
    }
}

/// Whoever may write objects may write anything into their annotations.
pub(super) async fn invalid_annotations(env: &TestEnv) {
    let mut object = ArxivQuery::new("not-followed", search("unfollowed"));
    object.metadata.annotations = Some(BTreeMap::from([
        (
            REQUEST_ID_ANNOTATION.to_owned(),
            "INJECTED\nERROR operator - x - y".to_owned(),
        ),
        (TRACE_PARENT_ANNOTATION.to_owned(), "00-INJECTED".to_owned()),
    ]));
    env.create_object(&object).await;
    env.finished("not-followed").await;
    env.queries
        .delete("not-followed", &DeleteParams::default())
        .await
        .unwrap();
    let log = operator_log(env);
    let line = log
        .lines()
        .find(|line| line.contains("query succeeded") && line.contains("not-followed"));
    assert!(line.is_some(), "{log}");
    assert!(!log.contains("INJECTED"), "{log}");
}

/// From a search before its answer, and from a stream of events.
pub(super) async fn clients_that_leave(env: &TestEnv) {
    env.stack.arxiv().unwrap().set(Behaviour {
        delay_ms: 5000,
        ..Behaviour::default()
    });
    let search = env.http.get(env.url("/arxiv?title=left"));
    let search = search.header("x-request-id", "left-search").send();
    let arxiv = env.stack.arxiv().unwrap();
    let begun = tokio::select! {
        begun = arxiv.wait_for_requests(1, LIMIT) => begun,
        answer = search => panic!("answered too early: {answer:?}"),
    };
    begun.unwrap();
    let stream = env.http.get(env.url("/arxiv?state=unfinished"));
    let stream = stream
        .header("x-request-id", "left-stream")
        .header("accept", "text/event-stream");
    let mut stream = stream.send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    drop(stream);
    for (id, status, object) in [("left-search", None, true), ("left-stream", Some(200), false)] {
        let line = eventually("the request's line is written", async || {
            let log = env.api_server_log();
            let id = format!("request_id={id} ");
            let mut lines = log.lines();
            let line = lines.find(|line| line.contains(&id) && line.contains(" access - "))?;
            Some(line.to_owned())
        })
        .await;
        assert!(line.contains("end=client_left"), "{line}");
        assert_eq!(line.contains(" status="), status.is_some(), "{line}");
        assert_eq!(line.contains(" object=arxiv-"), object, "{line}");
    }
}
