//! /arxiv/NAME/results: what one query found.

use serde_json::Value;
use testbed::test_env::{eventually, json_body};

use super::finished;
use crate::support::{Api, header};

#[tokio::test(flavor = "multi_thread")]
async fn results_of_a_query_are_read_in_pages() {
    let api = Api::start(&[]).await;
    let search = "/arxiv?title=a&max_results=3";
    assert_eq!(api.get(search).await.status(), 200);
    let results = format!("/arxiv/{}/results", api.name_of("a"));
    let page = async |number: i32| {
        let path = format!("{results}?items_per_page=2&page={number}");
        json_body(api.get(&path).await).await
    };
    let first = page(0).await;
    assert_eq!(first.as_array().unwrap().len(), 2);
    assert_eq!(first[0]["author"], "Author 0-0 Erdős");
    assert_eq!(page(1).await.as_array().unwrap().len(), 1);
    assert_eq!(api.get(&format!("{results}?page=-1")).await.status(), 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn export_of_a_query_has_all_of_its_papers() {
    let api = Api::start(&[]).await;
    // More than one batch.
    for (title, count) in [("few", 25), ("many", 1001)] {
        let search = format!("/arxiv?title={title}&max_results={count}");
        assert_eq!(api.get(&search).await.status(), 200);
        let results = format!("/arxiv/{}/results", api.name_of(title));
        for (format, item) in [
            ("bibtex", "\n  eprint = "),
            ("csl-json", "\"type\":"),
            ("ris", "ER  - "),
            ("atom", "</entry>"),
            ("csv", "\r\n"),
            ("ndjson", "\n"),
            ("json&all=true", "\"author\":"),
        ] {
            let text = api
                .get(&format!("{results}?format={format}"))
                .await
                .text()
                .await
                .unwrap();
            let head = usize::from(format == "csv");
            assert_eq!(text.matches(item).count(), count + head, "{format}");
            let page = format!("{results}?format={format}&items_per_page=2");
            let text = api.get(&page).await.text().await.unwrap();
            // All of them, whatever page is asked for.
            let expected = if format.ends_with("all=true") { count } else { 2 };
            assert_eq!(text.matches(item).count(), expected + head, "{format}: {text}");
        }
        let page = json_body(api.get(&results).await).await;
        assert_eq!(page.as_array().unwrap().len(), 10, "as in the existing service");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_are_not_replicated_yet_are_503_until_they_are() {
    let api = Api::with_replica().await;
    let first = api.get("/arxiv?title=first&max_results=3").await;
    assert_eq!(first.status(), 200);
    api.databases.replicated().await;
    api.databases.replica().pause_replay().await.unwrap();
    let asynchronous = [("prefer", "respond-async")];
    let response = api
        .send_with("GET", "/arxiv?title=second&max_results=2", &asynchronous)
        .await;
    let location = header(&response, "location").unwrap().to_owned();
    finished(&api, &location).await;
    let results = format!("{location}/results");
    let response = api.get(&results).await;
    assert_eq!(response.status(), 503, "not there yet, and limited");
    assert!(header(&response, "retry-after").is_some());
    api.databases.replica().resume_replay().await.unwrap();
    api.databases.replicated().await;
    let response = api.get(&results).await;
    assert_eq!(response.status(), 200);
    let rows: Vec<Value> = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(rows.len(), 2, "its own rows only");
    lag_of_the_replica_is_reported_for_a_removed_query(&api, &location).await;
}

/// Everything that is read from the replica says how far it is behind.
async fn lag_of_the_replica_is_reported_for_a_removed_query(api: &Api, location: &str) {
    assert_eq!(api.send("DELETE", location).await.status(), 204);
    api.databases.replica().pause_replay().await.unwrap();
    let late = "insert into public.results (author) values ('late')";
    api.databases.execute_unreplicated("arxiv", late).await;
    for path in ["", "/events", "/results"] {
        eventually("the lag is reported", async || {
            let answer = api.get(&format!("{location}{path}")).await;
            assert_eq!(answer.status(), 200, "{path}");
            header(&answer, "arxiv-replica-lag").map(|_| ())
        })
        .await;
    }
    api.databases.replica().resume_replay().await.unwrap();
    api.execute("delete from public.results where author = 'late'")
        .await;
    eventually("it is behind no more", async || {
        let answer = api.get(location).await;
        header(&answer, "arxiv-replica-lag").is_none().then_some(())
    })
    .await;
}
