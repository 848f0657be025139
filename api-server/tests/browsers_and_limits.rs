//! What pages of other sites can make a browser do here, and how often a client may search.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use reqwest::Response;
use testbed::TestEnv;
use testbed::test_env::json_body;

async fn send(env: &TestEnv, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = env.http.request(method.parse().unwrap(), env.url(path));
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    Some(response.headers().get(name)?.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sites_have_no_effect_and_clients_search_so_often() {
    let env = TestEnv::for_api(&[
        ("CORS_ALLOWED_ORIGINS", "https://app.example"),
        ("CLIENT_SEARCHES_PER_MINUTE", "1"),
        ("CLIENT_BURST", "3"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
    ])
    .await;

    foreign_pages_have_no_effect(&env).await;
    an_allowed_origin_may(&env).await;
    clients_search_so_often(&env).await;
}

/// Refused, whatever they try, and before anything is done.
async fn foreign_pages_have_no_effect(env: &TestEnv) {
    let foreign: [&[(&str, &str)]; 5] = [
        &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
        &[
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ],
        &[("sec-fetch-site", "same-site")],
        &[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://evil.example"),
        ],
        &[("origin", "https://evil.example")],
    ];
    let effects = [
        ("GET", "/arxiv?title=evil"),
        ("DELETE", "/arxiv/x"),
        ("GET", "/get-sequence"),
        ("GET", "/arxiv-api?title=evil"),
        ("POST", "/write-results"),
    ];
    for headers in foreign {
        for (method, path) in effects {
            let response = send(env, method, path, headers).await;
            assert_eq!(response.status(), 403, "{method} {path} {headers:?}");
            assert!(header(&response, "access-control-allow-origin").is_none());
            let detail = json_body(response).await["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("another site"), "{detail}");
        }
        assert_eq!(
            send(env, "GET", "/results", headers).await.status(),
            200,
            "a read"
        );
        assert_eq!(
            send(env, "GET", "/arxiv/x", headers).await.status(),
            404,
            "a look"
        );
    }
    assert!(env.stack.arxiv().unwrap().requests().is_empty());
}

/// And its browser is told what.
async fn an_allowed_origin_may(env: &TestEnv) {
    let app = ("origin", "https://app.example");
    let preflight = [
        app,
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type,idempotency-key,prefer",
        ),
    ];
    let response = send(env, "OPTIONS", "/arxiv", &preflight).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "access-control-allow-origin"), Some(app.1));
    assert!(header(&response, "access-control-allow-credentials").is_none());
    assert!(
        header(&response, "access-control-allow-headers")
            .unwrap()
            .contains("idempotency-key")
    );
    let response = send(
        env,
        "GET",
        "/arxiv?title=app",
        &[app, ("sec-fetch-site", "cross-site")],
    )
    .await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "access-control-allow-origin"), Some(app.1));
    assert!(
        header(&response, "access-control-expose-headers")
            .unwrap()
            .contains("ratelimit")
    );
    let other = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "GET"),
    ];
    let response = send(env, "OPTIONS", "/arxiv", &other).await;
    assert!(header(&response, "access-control-allow-origin").is_none());
}

/// Three at once for each client, which the proxy names; the spoofed part of its header counts for nothing.
async fn clients_search_so_often(env: &TestEnv) {
    for (client, spoofed) in [("192.0.2.1", "10.1.1."), ("2001:db8::", "10.2.2.")] {
        for left in (0..=2).rev() {
            let address = if client.contains(':') {
                format!("{client}{left}")
            } else {
                client.to_owned()
            };
            let by = format!("{spoofed}{left}, {address}");
            let response = send(env, "GET", "/arxiv?title=limit", &[("x-forwarded-for", &by)]).await;
            assert_eq!(response.status(), 200);
            let limit = header(&response, "ratelimit").unwrap();
            assert!(limit.starts_with(&format!("\"client\";r={left};t=")), "{limit}");
            assert_eq!(
                header(&response, "ratelimit-policy"),
                Some("\"client\";q=3;w=180")
            );
        }
        let by = format!(
            "{spoofed}9, {client}{}",
            if client.contains(':') { "9" } else { "" }
        );
        let headers = [("x-forwarded-for", &*by), ("accept", "application/problem+json")];
        let response = send(env, "GET", "/arxiv?title=limit", &headers).await;
        assert_eq!(response.status(), 429);
        let after = header(&response, "retry-after").unwrap().to_owned();
        assert!((1..=60).contains(&after.parse::<u32>().unwrap()));
        assert_eq!(
            header(&response, "ratelimit"),
            Some(&*format!("\"client\";r=0;t={after}"))
        );
        assert_eq!(json_body(response).await["code"], "client_rate_limited");
        // Reads are not counted.
        assert_eq!(
            send(env, "GET", "/results", &[("x-forwarded-for", &by)])
                .await
                .status(),
            200
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unset_nothing_is_limited_and_no_origin_is_allowed() {
    let env = TestEnv::for_api(&[]).await;
    for number in 0..20 {
        let response = send(&env, "GET", "/arxiv?title=x", &[("x-forwarded-for", "192.0.2.1")]).await;
        assert_eq!(response.status(), 200, "{number}");
        assert!(header(&response, "ratelimit").is_none());
        assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
    }
    let origin = [("origin", "https://app.example")];
    let response = send(&env, "GET", "/results", &origin).await;
    assert_eq!(response.status(), 200);
    assert!(header(&response, "access-control-allow-origin").is_none());
    assert_eq!(send(&env, "OPTIONS", "/results", &origin).await.status(), 405);
}
