//! GET /arxiv?state=…: the queries, a page at a time.

use serde_json::json;
use testbed::test_env::json_body;

use crate::support::{Api, Outcome, header};

/// Creates so many queries that do not end; their addresses, in order.
async fn pending(api: &Api, count: usize) -> Vec<String> {
    api.operator.set(Outcome::None);
    let mut created = Vec::new();
    for n in 0..count {
        let query = json!({"search": {"title": n.to_string()}});
        let asynchronous = [("prefer", "respond-async")];
        let response = api.post_with("/arxiv", &query, &asynchronous).await;
        assert_eq!(response.status(), 202);
        created.push(header(&response, "location").unwrap().to_owned());
    }
    created.sort();
    created
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_listed_by_state_in_pages() {
    let api = Api::start(&[]).await;
    let created = pending(&api, 5).await;
    for state in ["pending", "unfinished", "all"] {
        let mut path = format!("/arxiv?state={state}&limit=2");
        let (mut listed, mut pages) = (Vec::new(), 0);
        loop {
            let response = api.get(&path).await;
            assert_eq!(response.status(), 200);
            let link = header(&response, "link").map(str::to_owned);
            let page = json_body(response).await;
            for query in page.as_array().unwrap() {
                assert_eq!(query["phase"], "Pending");
                listed.push(format!("/arxiv/{}", query["name"].as_str().unwrap()));
            }
            pages += 1;
            let Some(link) = link else { break };
            let next = link.strip_prefix('<').unwrap();
            next.strip_suffix(">; rel=\"next\"")
                .unwrap()
                .clone_into(&mut path);
        }
        listed.sort();
        assert_eq!((&listed, pages), (&created, 3), "{state}");
    }
    for state in ["running", "suspended", "succeeded", "failed"] {
        let response = api.get(&format!("/arxiv?state={state}")).await;
        assert_eq!(
            (response.status().as_u16(), json_body(response).await),
            (200, json!([])),
            "{state}"
        );
    }
    for path in [
        "/arxiv?state=x",
        "/arxiv?state=all&limit=0",
        "/arxiv?state=all&continue=x",
    ] {
        assert_eq!(api.get(path).await.status(), 422, "{path}");
    }
    assert_eq!(api.get("/arxiv").await.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_parameter_is_reported_or_an_error_where_strict_handling_is_preferred() {
    let api = Api::start(&[]).await;
    let name = pending(&api, 1).await.remove(0);
    let strict = async |path: &str| {
        let response = api.send_with("GET", path, &[("prefer", "handling=strict")]).await;
        let applied = header(&response, "preference-applied");
        assert_eq!(applied, Some("handling=strict"), "{path}");
        response.status().as_u16()
    };
    for path in [
        "/results?page=0",
        "/read-results",
        "/queries?start_timestamp=2024-01-01T00:00:00",
        "/get-sequence",
        "/arxiv?state=all&limit=1",
    ] {
        assert_eq!(strict(path).await, 200, "{path}");
        let with = if path.contains('?') { '&' } else { '?' };
        let wrong = format!("{path}{with}pgae=1");
        assert_eq!(strict(&wrong).await, 422, "{path}");
        let response = api.get(&wrong).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(
            header(&response, "arxiv-ignored-parameters"),
            Some("pgae"),
            "{path}"
        );
        let response = api.get(path).await;
        assert!(header(&response, "arxiv-ignored-parameters").is_none(), "{path}");
    }
    // An error reports it too: it may be the reason.
    let response = api.get("/arxiv?titel=x").await;
    assert_eq!(response.status(), 400);
    assert_eq!(header(&response, "arxiv-ignored-parameters"), Some("titel"));
    // What the existing service does not have is strict in any case.
    for (method, path) in [
        ("GET", format!("{name}?x")),
        ("HEAD", format!("{name}?x")),
        ("GET", format!("{name}/events?x")),
        ("GET", format!("{name}/results?al=true")),
        ("DELETE", format!("{name}?force=true")),
        ("POST", "/arxiv?title=x".to_owned()),
    ] {
        assert_eq!(api.send(method, &path).await.status(), 422, "{method} {path}");
    }
    assert_eq!(strict(&name).await, 202);
    assert_eq!(strict(&format!("{name}?x")).await, 422);
    assert_eq!(strict("/arxiv?titel=x&title=y").await, 422);
    // A search has no parameter of a list, nor a list one of a search.
    assert_eq!(strict("/arxiv?title=y&limit=5").await, 422);
    assert_eq!(strict("/arxiv?state=all&max_results=5").await, 422);
    // A path may be written in more than one way.
    assert_eq!(api.get("/%72esults").await.status(), 200);
    let encoded = name.replace("arxiv-", "arxiv%2D");
    assert_eq!(api.get(&encoded).await.status(), 202);
}
