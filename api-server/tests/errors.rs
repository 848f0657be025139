//! Every error in both of its forms: the wire format, and problem details with a code of their own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use http::{HeaderMap, Method};
use reqwest::{Response, header};
use serde_json::{Value, json};
use testbed::TestEnv;
use testbed::arxiv::{Behaviour, Mode};
use testbed::test_env::{EMPTY, ServerOnly, http_client};

/// Nobody listens at port 1.
const NOWHERE: &str = "postgresql://u:p@127.0.0.1:1/d";
const PROBLEM: &str = "application/problem+json";

/// An answer with status, headers and body.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text:?}"));
        Self {
            status,
            headers,
            body,
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Checks what all problem details have in common, and the code.
    fn is_problem(&self, status: u16, code: &str) {
        let body = &self.body;
        assert_eq!(
            (self.status, body["code"].as_str()),
            (status, Some(code)),
            "{body}"
        );
        assert_eq!(self.header("content-type"), Some(PROBLEM));
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("tag:arxiv-operator.dev,2026:error/{code}"));
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
        let has_limit = self.headers.contains_key("ratelimit");
        assert!(has_limit || status != 429, "{code}: a 429 tells its limit");
        if has_limit {
            let after = self.header("retry-after").unwrap();
            assert!(
                self.header("ratelimit")
                    .unwrap()
                    .ends_with(&format!(";t={after}"))
            );
        }
        assert!(self.headers.contains_key("retry-after") || !matches!(status, 429 | 503));
        let vary = self.headers.get_all("vary").into_iter();
        let vary: Vec<_> = vary
            .flat_map(|value| value.to_str().unwrap().split(", "))
            .collect();
        let named = |name: &str| vary.iter().filter(|there| **there == name).count();
        assert!(named("accept") == 1 && named("accept-encoding") <= 1, "{vary:?}");
        for inside in ["127.0.0.1", "postgres", "sqlx", "hyper", "select "] {
            assert!(!body.to_string().contains(inside), "{body}");
        }
    }

    /// Checks that the wire format says the same in its own form.
    fn is_wire_of(&self, problem: &Self) {
        assert_eq!(self.status, problem.status);
        assert_eq!(self.header("content-type"), Some("application/json"));
        let detail = problem.body.get("errors").unwrap_or(&problem.body["detail"]);
        assert_eq!(self.body, json!({ "detail": detail }));
        for name in ["allow", "retry-after", "ratelimit-policy", "vary"] {
            assert_eq!(self.header(name), problem.header(name), "{name}");
        }
    }
}

#[tokio::test]
async fn errors_of_a_process_alone_have_both_forms() {
    let server = ServerOnly::start(&[
        ("SERVE", "backend,results,queries"),
        ("DATABASE_RO_URL", NOWHERE),
        ("DATABASE_RW_URL", NOWHERE),
        ("DATABASE_SEQUENCE_URL", NOWHERE),
        ("DATABASE_UPSTREAM_URL", NOWHERE),
    ])
    .listening()
    .await;
    let client = http_client();
    let long = |n: usize| format!("/results?a={}", "x".repeat(n));
    let megabyte = "x".repeat(1024 * 1024 + 1);
    let cases: &[(Method, &str, &str, u16, &str)] = &[
        (Method::GET, "/nope", "", 404, "not_found"),
        (Method::GET, "/arxiv", "", 404, "not_found"),
        (Method::DELETE, "/results", "", 405, "method_not_allowed"),
        (Method::OPTIONS, "/healthz", "", 405, "method_not_allowed"),
        (Method::GET, &long(17_000), "", 414, "address_too_long"),
        (Method::GET, "/results?page=x", "", 422, "invalid_parameter"),
        (Method::GET, "/queries", "", 400, "invalid_parameter"),
        (Method::GET, "/arxiv-api", "", 400, "invalid_parameter"),
        (Method::GET, "/arxiv-api?author=", "", 422, "invalid_parameter"),
        (Method::POST, "/write-queries", "{bad", 422, "invalid_parameter"),
        (Method::POST, "/write-queries", &megabyte, 413, "body_too_long"),
        (Method::GET, "/results", "", 503, "database_unavailable"),
        (Method::GET, "/get-sequence", "", 503, "database_unavailable"),
        (Method::GET, "/arxiv-api?title=x", "", 503, "database_unavailable"),
    ];
    for (method, path, body, status, code) in cases {
        let send = async |accept: &str| {
            let request = client.request(method.clone(), server.url(path));
            let request = request.header(header::CONTENT_TYPE, "application/json");
            let request = request.header(header::ACCEPT, accept).body((*body).to_owned());
            Answer::of(request.send().await.unwrap()).await
        };
        let problem = send(PROBLEM).await;
        problem.is_problem(*status, code);
        assert_eq!(problem.body.get("errors").is_some(), *status == 422, "{path}");
        for accept in ["*/*", "application/json"] {
            send(accept).await.is_wire_of(&problem);
        }
    }
    // Too long a head is refused by the edge, one that never ends by the HTTP library: that one reads no Accept.
    let raw = |header: &str| {
        let head =
            format!("GET / HTTP/1.1\r\nhost: x\r\naccept: {PROBLEM}\r\nconnection: close\r\n{header}\r\n");
        server.raw(head.as_bytes())
    };
    let edge = raw(&format!("a: {}\r\n", "x".repeat(17_000)));
    assert!(
        edge.starts_with("HTTP/1.1 431") && edge.contains(r#""code":"headers_too_long""#),
        "{edge}"
    );
    let library = raw("no colon\r\n");
    assert!(
        library.starts_with("HTTP/1.1 400") && library.ends_with("{\"detail\":\"Bad Request\"}"),
        "{library}"
    );
    // A HEAD has the head of its GET.
    let head = client
        .head(server.url("/results?page=x"))
        .header(header::ACCEPT, PROBLEM);
    let head = head.send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-type"]),
        (422, &PROBLEM.parse().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_of_a_search_has_a_code_of_its_own() {
    let env = TestEnv::for_api(&[("MIN_INTERVAL_MS", "50")]).await;
    env.execute(EMPTY).await;
    let ends = [
        ("zero", 404, "nothing_found"),
        ("malformed", 502, "broken_answer"),
        ("html", 502, "broken_answer"),
        ("close", 503, "upstream_unreachable"),
        ("429", 429, "rate_limited"),
        ("503", 503, "rate_limited"),
        ("400", 400, "search_refused"),
        ("403", 403, "upstream_error"),
        ("500", 500, "upstream_error"),
    ];
    for (mode, status, code) in ends {
        env.stack.arxiv().unwrap().set(mode.parse::<Mode>().unwrap());
        for path in ["/arxiv", "/arxiv-api"] {
            env.forget_pages().await;
            let request = env.http.get(env.url(&format!("{path}?title=x")));
            let answer = Answer::of(request.header(header::ACCEPT, PROBLEM).send().await.unwrap()).await;
            answer.is_problem(status, code);
            if code == "rate_limited" {
                assert!(
                    answer
                        .header("ratelimit")
                        .unwrap()
                        .starts_with("\"arxiv\";r=0;t=")
                );
                assert!(
                    answer
                        .header("ratelimit-policy")
                        .unwrap()
                        .starts_with("\"arxiv\";q=")
                );
            }
            let instance = answer.body["instance"].as_str();
            assert_eq!(instance.is_some(), path == "/arxiv", "{}", answer.body);
            if let Some(address) = instance {
                assert_eq!(env.get(address).await.status(), 200, "{address}");
            }
        }
    }

    // The client's own deadline, while arXiv does not answer.
    env.stack.arxiv().unwrap().set("close".parse::<Mode>().unwrap());
    let request = env.http.post(env.url("/arxiv")).header(header::ACCEPT, PROBLEM);
    let request = request.json(&json!({"title": "x", "activeDeadlineSeconds": 1}));
    let answer = Answer::of(request.send().await.unwrap()).await;
    answer.is_problem(504, "deadline_exceeded");

    // Not ended: no error, but with a code too.
    env.forget_pages().await;
    env.stack.arxiv().unwrap().set(Behaviour {
        delay_ms: 5000,
        ..Behaviour::default()
    });
    let request = env
        .http
        .get(env.url("/arxiv?title=x"))
        .header("prefer", "respond-async");
    let waiting = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(
        (waiting.status, &waiting.body["code"]),
        (202, &json!("still_waiting"))
    );
    let state = Answer::of(env.get(waiting.header("location").unwrap()).await).await;
    for answer in [&waiting, &state] {
        assert_eq!(answer.status, 202);
        let after = answer.header("retry-after").unwrap();
        assert_eq!(
            answer.header("ratelimit"),
            Some(&*format!("\"arxiv\";r=0;t={after}"))
        );
    }
    let request = env
        .http
        .get(env.url("/arxiv/nope"))
        .header(header::ACCEPT, PROBLEM);
    Answer::of(request.send().await.unwrap())
        .await
        .is_problem(404, "not_found");
    assert_eq!(
        env.send("DELETE", waiting.header("location").unwrap())
            .await
            .status(),
        204
    );
}
