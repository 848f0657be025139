//! HTTP clients of the API servers, which search, read and write.

use std::collections::BTreeMap;
use std::time::Instant;

use reqwest::{RequestBuilder, Url};
use serde_json::{Value, json};

use super::operations::Search;
use super::{RETRY_EVERY, RETRY_FOR};
use crate::checks::PAGE;
use crate::harness::Harness;
use crate::history::{ApiResponse, Endpoint, Paper, Read};

/// How many results are written with this number.
fn results_of(number: i64) -> i64 {
    number % 4
}

impl Harness {
    fn endpoint(&self, server: usize, path: &str) -> Option<Url> {
        self.env.stack.api_servers[server].url().join(path).ok()
    }

    /// Status and body of a response, if it arrives completely.
    async fn send(&self, request: Option<RequestBuilder>) -> Option<(u16, Value)> {
        let response = request?.send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.ok()?))
    }

    /// Reads the results of an object, if it has finished.
    pub(crate) async fn read_results(&self, server: usize, name: &str) {
        let url = self.endpoint(server, &format!("arxiv/{name}/results?items_per_page={PAGE}"));
        let Some((200, body)) = self.send(url.map(|url| self.env.http.get(url))).await else {
            return;
        };
        self.timeline.log(&format!("{name} is read"));
        self.observations().reads.push(Read {
            name: name.to_owned(),
            papers: papers(&body),
        });
    }

    /// Reads all results, as long as they fit into one response.
    pub(crate) async fn read_all(&self, server: usize) {
        let url = self.endpoint(server, &format!("results?page=0&items_per_page={PAGE}"));
        if let Some((200, body)) = self.send(url.map(|url| self.env.http.get(url))).await {
            let papers = papers(&body);
            if papers.len() < PAGE {
                self.observations().full_reads.push(papers);
            }
        }
    }

    /// Takes a number from the sequence, and writes rows with another number, with retries.
    pub(crate) async fn write_rows(&self, server: usize, number: i64) {
        let url = self.endpoint(server, "get-sequence");
        if let Some((200, body)) = self.send(url.map(|url| self.env.http.get(url))).await {
            let issued = body.get("sequence").and_then(Value::as_i64);
            self.observations().issued_numbers.extend(issued);
        }
        let count = results_of(number);
        let results =
            (0..count).map(|n| json!({"authors": "a writer", "title": format!("T{n}"), "journal": ""}));
        let results = json!({
            "query_id": number, "timestamp": 1_711_843_200, "results": results.collect::<Vec<_>>(),
        });
        let query = json!({
            "query_id": number, "timestamp": 1_711_843_200, "status": 200, "num_results": count, "num_entries": count,
            "query": "a writer's",
        });
        let both = self.post_until_written(server, "write-results", &results).await
            && self.post_until_written(server, "write-queries", &query).await;
        if both {
            self.observations().foreign_rows.insert(number, count);
        }
    }

    /// Repeats a write until it is confirmed.
    async fn post_until_written(&self, server: usize, path: &str, body: &Value) -> bool {
        let deadline = Instant::now() + RETRY_FOR;
        while Instant::now() < deadline {
            let url = self.endpoint(server, path);
            match self.send(url.map(|url| self.env.http.post(url).json(body))).await {
                Some((201, _)) => return true,
                Some((status, answer)) if status != 503 => {
                    self.timeline
                        .log(&format!("violation: {path} {body}: {status} {answer}"));
                    return false;
                }
                _ => tokio::time::sleep(RETRY_EVERY).await,
            }
        }
        self.timeline.log(&format!("{path} never succeeded: {body}"));
        false
    }

    pub(crate) async fn search(
        &self,
        endpoint: Endpoint,
        server: usize,
        search: &Search,
        exclusive: bool,
        respond_async: bool,
    ) {
        let path = match endpoint {
            Endpoint::Search => "arxiv",
            Endpoint::Papers => "arxiv-api",
        };
        let query = format!("{path}?title={}&max_results={}", search.word, search.max_results);
        let Some(url) = self.endpoint(server, &query) else {
            return;
        };
        let mut request = self.env.http.get(url);
        if respond_async {
            request = request.header("prefer", "respond-async");
        }
        let mut answer = ApiResponse {
            began: self.timeline.now(),
            endpoint,
            search: search.query(),
            max_results: i64::from(search.max_results),
            exclusive,
            status: None,
            body: String::new(),
            name: None,
            timestamp: None,
            num_entries: None,
            papers: Vec::new(),
        };
        if let Ok(response) = request.send().await {
            let status = response.status().as_u16();
            if let Ok(body) = response.text().await {
                answer.status = Some(status);
                answer.read(&body);
            }
        }
        let status = answer.status;
        self.timeline.log(&format!("{query}: {status:?} {}", answer.body));
        self.observations().answers.push(answer);
    }
}

fn papers(body: &Value) -> Vec<Option<Paper>> {
    let rows = body.as_array().into_iter().flatten();
    rows.map(|row| Paper::of_title(row.get("title")?.as_str()?))
        .collect()
}

impl ApiResponse {
    fn read(&mut self, body: &str) {
        const SHOWN: usize = 200;
        self.body = body.chars().take(SHOWN).collect();
        let Ok(fields) = serde_json::from_str::<BTreeMap<String, Value>>(body) else {
            return;
        };
        let number = |name| fields.get(name).and_then(Value::as_i64);
        self.timestamp = number("timestamp");
        self.num_entries = number("num_entries");
        self.name = fields.get("name").and_then(Value::as_str).map(str::to_owned);
        let papers = fields.get("data").and_then(Value::as_array).into_iter().flatten();
        self.papers = papers
            .map(|paper| Paper::of_title(paper.get("title")?.as_str()?))
            .collect();
    }
}
