//! What pages of other sites can make a browser do, and how often a client may search.

use testbed::test_env::json_body;

use crate::support::{Api, header};

async fn api() -> Api {
    Api::start(&[
        ("CORS_ALLOWED_ORIGINS", "https://app.example"),
        ("CLIENT_SEARCHES_PER_MINUTE", "1"),
        ("CLIENT_BURST", "3"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
    ])
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn request_from_another_site_is_refused_before_it_has_an_effect() {
    let api = api().await;
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
            let response = api.send_with(method, path, headers).await;
            assert_eq!(response.status(), 403, "{method} {path} {headers:?}");
            assert!(header(&response, "access-control-allow-origin").is_none());
            let detail = json_body(response).await["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("another site"), "{detail}");
        }
        for (path, status) in [("/results", 200), ("/arxiv/x", 404)] {
            let read = api.send_with("GET", path, headers).await;
            assert_eq!(read.status(), status, "{path}");
        }
    }
    assert!(api.objects().is_empty() && api.arxiv.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn request_from_an_allowed_origin_is_served_with_cors_headers() {
    let api = api().await;
    let app = ("origin", "https://app.example");
    let preflight = [
        app,
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type,idempotency-key,prefer",
        ),
    ];
    let response = api.send_with("OPTIONS", "/arxiv", &preflight).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "access-control-allow-origin"), Some(app.1));
    assert!(header(&response, "access-control-allow-credentials").is_none());
    assert!(
        header(&response, "access-control-allow-headers")
            .unwrap()
            .contains("idempotency-key")
    );
    let cross_site = [app, ("sec-fetch-site", "cross-site")];
    let response = api.send_with("GET", "/arxiv?title=app", &cross_site).await;
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
    let response = api.send_with("OPTIONS", "/arxiv", &other).await;
    assert!(header(&response, "access-control-allow-origin").is_none());
}

/// Over plain HTTP browsers send no `Sec-Fetch-Site`.
#[tokio::test(flavor = "multi_thread")]
async fn own_page_behind_a_proxy_that_changes_the_host_works_by_the_setting_that_the_error_names() {
    let page = [
        ("host", "127.0.0.1:8000"),
        ("origin", "http://papers.example"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
        ("accept", "application/problem+json"),
    ];
    let forwarded = [&page[..], &[("x-forwarded-host", "papers.example")]].concat();
    let api = Api::start(&[]).await;
    for headers in [&page[..], &forwarded] {
        let response = api.send_with("GET", "/arxiv?title=a", headers).await;
        assert_eq!(response.status(), 403);
        let problem = json_body(response).await;
        assert_eq!(problem["code"], "cross_site");
        assert!(
            problem["detail"].as_str().unwrap().contains("PUBLIC_ORIGINS"),
            "{problem}"
        );
    }
    assert!(api.objects().is_empty());

    let api = Api::start(&[("PUBLIC_ORIGINS", "http://papers.example")]).await;
    let response = api.send_with("GET", "/arxiv?title=a", &page).await;
    assert_eq!(response.status(), 200);
    assert!(
        header(&response, "access-control-allow-origin").is_none(),
        "this is no CORS"
    );
    let evil = [&page[..1], &[("origin", "http://evil.example")]].concat();
    assert_eq!(api.send_with("GET", "/arxiv?title=a", &evil).await.status(), 403);

    // The proxy says so itself. Requests of these tests come from a loopback address.
    let proxies = [
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
        ("ALLOWED_HOSTS", "papers.example"),
    ];
    let api = Api::start(&proxies).await;
    assert_eq!(
        api.send_with("GET", "/arxiv?title=a", &forwarded).await.status(),
        200
    );
    assert_eq!(api.send_with("GET", "/arxiv?title=a", &page).await.status(), 403);
    let rebound = [&page[..], &[("x-forwarded-host", "evil.example")]].concat();
    let response = api.send_with("GET", "/results", &rebound).await;
    assert_eq!(response.status(), 403);
    let problem = json_body(response).await;
    assert!(
        problem["detail"].as_str().unwrap().contains("\"evil.example\""),
        "{problem}"
    );
}

/// DNS rebinding: for the browser, the page and this service have the same origin.
#[tokio::test(flavor = "multi_thread")]
async fn browser_that_names_an_unknown_host_is_refused_and_other_clients_are_not() {
    let api = Api::start(&[("ALLOWED_HOSTS", "papers.example, *.apps.example")]).await;
    let agent = (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    );
    let calls = [
        ("DELETE", "/arxiv/x"),
        ("GET", "/arxiv?title=evil"),
        ("GET", "/arxiv/x"),
        ("GET", "/results"),
        ("GET", "/get-sequence"),
        ("POST", "/write-results"),
    ];
    let evil = ("host", "evil.example");
    let signs: [&[(&str, &str)]; 3] = [
        &[evil, ("origin", "http://evil.example")],
        &[evil, ("sec-fetch-site", "same-origin")],
        &[evil, agent],
    ];
    for headers in signs {
        for (method, path) in calls {
            let headers: Vec<_> = headers
                .iter()
                .copied()
                .chain([("accept", "application/problem+json")])
                .collect();
            let response = api.send_with(method, path, &headers).await;
            assert_eq!(response.status(), 403, "{method} {path} {headers:?}");
            let problem = json_body(response).await;
            assert_eq!(problem["code"], "foreign_host");
            assert!(
                problem["detail"].as_str().unwrap().contains("ALLOWED_HOSTS"),
                "{problem}"
            );
        }
    }
    assert!(api.objects().is_empty() && api.arxiv.requests().is_empty());
    for headers in [
        &[evil][..],
        &[("host", "papers.example"), agent],
        &[("host", "a.apps.example:8443"), ("sec-fetch-site", "same-origin")],
        &[("host", "localhost:8000"), ("origin", "http://localhost:8000")],
        &[("host", "127.0.0.1:8000"), agent],
        &[("host", "[::1]"), agent],
    ] {
        let response = api.send_with("GET", "/arxiv?title=own", headers).await;
        assert_eq!(response.status(), 200, "{headers:?}");
    }
}

/// Three at once for each client, which the proxy names; the spoofed part of its header has no effect.
#[tokio::test(flavor = "multi_thread")]
async fn searches_of_a_client_are_limited_and_reads_are_not() {
    let api = api().await;
    for (client, spoofed) in [("192.0.2.1", "10.1.1."), ("2001:db8::", "10.2.2.")] {
        for left in (0..=2).rev() {
            let address = if client.contains(':') {
                format!("{client}{left}")
            } else {
                client.to_owned()
            };
            let by = format!("{spoofed}{left}, {address}");
            let forwarded = [("x-forwarded-for", &*by)];
            let response = api.send_with("GET", "/arxiv?title=limit", &forwarded).await;
            assert_eq!(response.status(), 200);
            let limit = header(&response, "ratelimit").unwrap();
            assert!(limit.starts_with(&format!("\"client\";r={left};t=")), "{limit}");
            let policy = header(&response, "ratelimit-policy");
            assert_eq!(policy, Some("\"client\";q=3;w=180"));
        }
        let by = format!(
            "{spoofed}9, {client}{}",
            if client.contains(':') { "9" } else { "" }
        );
        let headers = [("x-forwarded-for", &*by), ("accept", "application/problem+json")];
        let response = api.send_with("GET", "/arxiv?title=limit", &headers).await;
        assert_eq!(response.status(), 429);
        let after = header(&response, "retry-after").unwrap().to_owned();
        assert!((1..=60).contains(&after.parse::<u32>().unwrap()));
        assert_eq!(
            header(&response, "ratelimit"),
            Some(&*format!("\"client\";r=0;t={after}"))
        );
        assert_eq!(json_body(response).await["code"], "client_rate_limited");
        let forwarded = [("x-forwarded-for", &*by)];
        let read = api.send_with("GET", "/results", &forwarded).await;
        assert_eq!(read.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_settings_no_client_is_limited_and_no_origin_is_allowed() {
    let api = Api::start(&[]).await;
    for number in 0..20 {
        let forwarded = [("x-forwarded-for", "192.0.2.1")];
        let response = api.send_with("GET", "/arxiv?title=x", &forwarded).await;
        assert_eq!(response.status(), 200, "{number}");
        assert!(header(&response, "ratelimit").is_none());
        assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
    }
    let origin = [("origin", "https://app.example")];
    let response = api.send_with("GET", "/results", &origin).await;
    assert_eq!(response.status(), 200);
    assert!(header(&response, "access-control-allow-origin").is_none());
    let options = api.send_with("OPTIONS", "/results", &origin).await;
    assert_eq!(options.status(), 405);
}
