//! Every error in both of its formats: the wire format, and problem details with a code.

use http::{HeaderMap, Method};
use reqwest::{Response, header};
use serde_json::{Value, json};

use crate::health::server_without_databases;
use crate::support::url;

pub(crate) const PROBLEM: &str = "application/problem+json";

/// An answer with status, headers and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text:?}"));
        Self {
            status,
            headers,
            body,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Checks what all problem details have in common, and the code.
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
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
        assert!(has_limit || status != 429, "{code}: a 429 names its limit");
        if has_limit {
            let after = self.header("retry-after").unwrap();
            let limit = self.header("ratelimit").unwrap();
            assert!(limit.ends_with(&format!(";t={after}")));
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

    pub(crate) fn names_the_limit_of_arxiv(&self) {
        for (name, start) in [
            ("ratelimit", "\"arxiv\";r=0;t="),
            ("ratelimit-policy", "\"arxiv\";q="),
        ] {
            assert!(self.header(name).unwrap().starts_with(start), "{name}");
        }
    }

    /// Checks that the wire format says the same in its own way.
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
async fn error_has_the_format_that_its_client_accepts() {
    let server = server_without_databases("backend,results,queries").await;
    let long = format!("/results?a={}", "x".repeat(17_000));
    let megabyte = "x".repeat(1024 * 1024 + 1);
    let cases: &[(Method, &str, &str, u16, &str)] = &[
        (Method::GET, "/nope", "", 404, "not_found"),
        (Method::GET, "/arxiv", "", 404, "not_found"),
        (Method::DELETE, "/results", "", 405, "method_not_allowed"),
        (Method::OPTIONS, "/healthz", "", 405, "method_not_allowed"),
        (Method::GET, &long, "", 414, "address_too_long"),
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
            let request = server.http.request(method.clone(), url(path));
            let request = request.header(header::CONTENT_TYPE, "application/json");
            let request = request.header(header::ACCEPT, accept).body((*body).to_owned());
            Answer::of(server.respond(request).await).await
        };
        let problem = send(PROBLEM).await;
        problem.is_problem(*status, code);
        assert_eq!(problem.body.get("errors").is_some(), *status == 422, "{path}");
        for accept in ["*/*", "application/json"] {
            send(accept).await.is_wire_of(&problem);
        }
    }
    // A HEAD has the head of its GET.
    let accept = [("accept", PROBLEM)];
    let head = server.send_with("HEAD", "/results?page=x", &accept).await;
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-type"]),
        (422, &PROBLEM.parse().unwrap())
    );
}
