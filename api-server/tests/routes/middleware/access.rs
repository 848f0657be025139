//! Tokens of Kubernetes, and the decisions about them that are cached.

use reqwest::Response;
use serde_json::Value;
use testbed::test_env::json_body;

use crate::support::{Api, header};

const TOKEN: &str = "reader-token";

async fn send(api: &Api, method: &str, path: &str, token: Option<&str>) -> Response {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let bearer = bearer.as_deref().map(|bearer| ("authorization", bearer));
    let accept = ("accept", "application/problem+json, */*");
    let headers: Vec<_> = [accept].into_iter().chain(bearer).collect();
    api.send_with(method, path, &headers).await
}

/// Status, and code if it is an error of access control.
async fn decision(api: &Api, method: &str, path: &str, token: Option<&str>) -> (u16, String) {
    let response = send(api, method, path, token).await;
    let status = response.status().as_u16();
    let challenge = header(&response, "www-authenticate");
    assert_eq!(challenge.is_some(), status == 401, "{challenge:?}");
    if !matches!(status, 401 | 403 | 503) {
        return (status, String::new());
    }
    let text = response.text().await.unwrap();
    assert!(!text.contains("127.0.0.1") && token.is_none_or(|token| !text.contains(token)));
    let body: Value = serde_json::from_str(&text).unwrap();
    (status, body["code"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_decisions_hold_while_kubernetes_is_unavailable() {
    let api = Api::start(&[("ACCESS", "all"), ("ACCESS_CACHE_SECONDS", "60")]).await;
    let rights = [("get", "/results"), ("get", "/arxiv")];
    api.kubernetes.add_user("reader", TOKEN, &rights);
    let allowed = (200, String::new());
    assert_eq!(decision(&api, "GET", "/results", Some(TOKEN)).await, allowed);
    let unauthenticated = (401, "unauthenticated".to_owned());
    assert_eq!(decision(&api, "GET", "/results", None).await, unauthenticated);
    let created = send(&api, "GET", "/arxiv?title=x", Some(TOKEN)).await;
    assert_eq!(created.status(), 200, "{:?}", json_body(created).await);
    let forbidden = (403, "forbidden".to_owned());
    assert_eq!(decision(&api, "DELETE", "/arxiv/x", Some(TOKEN)).await, forbidden);

    // Known for a minute; a token that is not known has to wait.
    api.kubernetes.set_available(false);
    assert_eq!(decision(&api, "GET", "/results", Some(TOKEN)).await, allowed);
    let bearer = format!("Bearer {TOKEN}");
    for headers in [&[][..], &[("authorization", &*bearer)]] {
        let response = api.send_with("GET", "/results", headers).await;
        let vary = header(&response, "vary").unwrap();
        let mut names: Vec<_> = vary.split(", ").collect();
        assert!(names.contains(&"authorization"), "{response:?}");
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{vary}: each once");
    }
    let unavailable = (503, "kubernetes_unavailable".to_owned());
    assert_eq!(
        decision(&api, "GET", "/results", Some("other")).await,
        unavailable
    );
    let ready = api.get("/readyz").await.text().await.unwrap();
    assert!(!ready.contains(TOKEN));
}
