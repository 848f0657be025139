//! Requests to the API server, and what its answers say.

use reqwest::{Client, Method, Response, redirect};
use serde_json::Value;

use super::{LIMIT, TestEnv};

impl TestEnv {
    /// The URL of a path of the first API server.
    pub fn url(&self, path: &str) -> String {
        let root = self.stack.api_url().expect("an API server");
        format!("{}{path}", root.as_str().trim_end_matches('/'))
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Response {
        self.send("GET", path).await
    }

    /// A request without a body.
    pub async fn send(&self, method: &str, path: &str) -> Response {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.http.request(method, self.url(path));
        request.send().await.expect("a response")
    }

    /// POST of a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Response {
        let request = self
            .http
            .post(self.url(path))
            .header("content-type", "application/json");
        request.body(body.to_string()).send().await.expect("a response")
    }
}

/// An HTTP client that follows no redirect and uses no proxy.
pub fn http_client() -> Client {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(LIMIT)
        .build()
        .expect("a client")
}

/// A response's body as JSON.
pub async fn json_body(response: Response) -> Value {
    let text = response.text().await.expect("a body");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Status and `detail` of an error response.
pub async fn error_of(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, json_body(response).await["detail"].clone())
}

/// `type` and `loc` of each problem in the `detail` of a 422.
pub fn problems(detail: &Value) -> Vec<(String, String)> {
    let problems = detail.as_array().unwrap_or_else(|| panic!("{detail}"));
    problems
        .iter()
        .map(|problem| {
            let kind = problem["type"].as_str().expect("a type");
            (kind.to_owned(), problem["loc"].to_string())
        })
        .collect()
}
