//! What one client may take of what all share: tokens of the rate limit, turns at arXiv, priority.

use serde_json::json;
use testbed::test_env::{eventually, json_body};

use crate::support::{Api, Outcome, header};

const ASYNCHRONOUS: (&str, &str) = ("prefer", "respond-async");
const PROXIES: (&str, &str) = ("TRUSTED_PROXIES", "127.0.0.0/8");

#[tokio::test(flavor = "multi_thread")]
async fn search_of_many_results_counts_once_for_each_of_its_requests_to_arxiv() {
    let limits = [("CLIENT_SEARCHES_PER_MINUTE", "1"), ("CLIENT_BURST", "10")];
    let api = Api::start(&limits).await;
    api.operator.set(Outcome::None);
    let left = async |max_results: u32| {
        let query = json!({"search": {"title": "x"}, "max_results": max_results});
        let response = api.post_with("/arxiv", &query, &[ASYNCHRONOUS]).await;
        let limit = header(&response, "ratelimit").unwrap().to_owned();
        let left = limit.strip_prefix("\"client\";r=").unwrap().split(';').next();
        (response.status().as_u16(), left.unwrap().parse::<u32>().unwrap())
    };
    assert_eq!(left(2000).await, (202, 9));
    assert_eq!(left(2001).await, (202, 7));
    assert_eq!(left(10_000).await, (202, 2));
    assert_eq!(left(6000).await, (429, 0));
    let path = "/arxiv?title=x&max_results=6000";
    let response = api.send_with("GET", path, &[ASYNCHRONOUS]).await;
    assert_eq!(response.status(), 429);
    // One more is missing, and one comes each minute.
    let after = header(&response, "retry-after").unwrap().parse::<u32>().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    // Refused searches have taken nothing.
    assert_eq!(left(4000).await, (202, 0));
    assert_eq!(api.objects().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn anonymous_client_has_no_priority_and_a_user_has_it_up_to_its_limit() {
    let api = Api::start(&[]).await;
    let post = async |api: &Api, priority: i32, headers: &[(&str, &str)]| {
        let query = json!({"search": {"title": "x"}, "priority": priority});
        api.post_with("/arxiv", &query, headers).await
    };
    for (priority, status) in [(1, 422), (1000, 422), (0, 201), (-3, 201)] {
        let response = post(&api, priority, &[]).await;
        assert_eq!(response.status(), status, "{priority}");
        if status == 422 {
            let problems = json_body(response).await;
            assert_eq!(problems["detail"][0]["loc"], json!(["body", "priority"]));
            assert_eq!(problems["detail"][0]["type"], "less_than_equal");
        }
    }
    let api = Api::start(&[("ACCESS", "all"), ("ARXIV_MAX_PRIORITY", "7")]).await;
    api.kubernetes.add_user("ada", "ada-token", &[("post", "/arxiv")]);
    let ada = [("authorization", "Bearer ada-token")];
    for (priority, status) in [(8, 422), (7, 201)] {
        assert_eq!(post(&api, priority, &ada).await.status(), status, "{priority}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_take_turns_and_no_client_fills_the_queue() {
    let settings = [
        PROXIES,
        ("ARXIV_MAX_PENDING_PER_CLIENT", "3"),
        ("PRIORITY_CEILINGS", "*=5"),
    ];
    let api = Api::start(&settings).await;
    api.operator.set(Outcome::None);
    let post = async |client: &str, title: &str| {
        let headers = [ASYNCHRONOUS, ("x-forwarded-for", client)];
        let response = api
            .post_with("/arxiv", &json!({"search": {"title": title}}), &headers)
            .await;
        response.status().as_u16()
    };
    for title in ["a1", "a2", "a3"] {
        assert_eq!(post("192.0.2.1", title).await, 202);
    }
    assert_eq!(post("192.0.2.1", "a4").await, 429);
    for title in ["b1", "b2"] {
        assert_eq!(post("192.0.2.2", title).await, 202);
    }
    let place = async |title: &str| {
        let path = format!("/arxiv/{}", api.name_of(title));
        json_body(api.get(&path).await).await["queue"]["place"].as_u64()
    };
    // Both clients' first ones, in whichever order, then both clients' second ones.
    eventually("the positions are known", async || place("b2").await).await;
    let places = [
        place("a1").await,
        place("b1").await,
        place("a2").await,
        place("b2").await,
        place("a3").await,
    ];
    let mut numbers = places.map(Option::unwrap);
    numbers[..2].sort_unstable();
    numbers[2..4].sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5], "{places:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn search_by_the_proxy_of_arxiv_counts_towards_the_same_limit() {
    let limits = [("CLIENT_SEARCHES_PER_MINUTE", "1"), ("CLIENT_BURST", "4")];
    let api = Api::start(&limits).await;
    api.operator.set(Outcome::None);
    for (path, status, left) in [
        ("/arxiv-api?title=x&max_results=2", 200, "3"),
        ("/arxiv-api?title=x&max_results=4001", 200, "0"),
        ("/arxiv-api?title=x&max_results=2", 429, "0"),
    ] {
        let response = api.get(path).await;
        assert_eq!(response.status(), status, "{path}");
        let limit = header(&response, "ratelimit").unwrap();
        assert!(
            limit.starts_with(&format!("\"client\";r={left};")),
            "{path}: {limit}"
        );
    }
    let search = api.send_with("GET", "/arxiv?title=x", &[ASYNCHRONOUS]).await;
    assert_eq!(search.status(), 429);
}
