//! Clients of the API servers, who ask, read and write over HTTP.

use std::collections::BTreeMap;
use std::time::Instant;

use reqwest::{RequestBuilder, Url};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::checks::PAGE;
use crate::facts::{Answer, Endpoint, Paper, Read};
use crate::wishes::Search;
use crate::workload::{TRY_EVERY, TRY_FOR};

/// How many results a writer brings.
fn results_of(number: i64) -> i64 {
    number % 4
}

impl Bed {
    fn endpoint(&self, server: usize, path: &str) -> Option<Url> {
        self.stack.api_servers[server].url().join(path).ok()
    }

    /// The status and body of an answer that came whole.
    async fn ask(&self, request: Option<RequestBuilder>) -> Option<(u16, Value)> {
        let response = request?.send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.ok()?))
    }

    /// What the results of an object are, should it have ended.
    pub(crate) async fn read(&self, server: usize, name: &str) {
        let url = self.endpoint(server, &format!("arxiv/{name}/results?items_per_page={PAGE}"));
        let Some((200, body)) = self.ask(url.map(|url| self.http.get(url))).await else {
            return;
        };
        self.timeline.say(&format!("{name} is read"));
        self.notes().reads.push(Read {
            name: name.to_owned(),
            papers: papers(&body),
        });
    }

    /// All results, as long as one answer has room for them.
    pub(crate) async fn read_all(&self, server: usize) {
        let url = self.endpoint(server, &format!("results?page=0&items_per_page={PAGE}"));
        if let Some((200, body)) = self.ask(url.map(|url| self.http.get(url))).await {
            let papers = papers(&body);
            if papers.len() < PAGE {
                self.notes().overviews.push(papers);
            }
        }
    }

    /// Takes a number, and writes rows under another, as often as it takes.
    pub(crate) async fn write(&self, server: usize, number: i64) {
        let url = self.endpoint(server, "get-sequence");
        if let Some((200, body)) = self.ask(url.map(|url| self.http.get(url))).await {
            let told = body.get("sequence").and_then(Value::as_i64);
            self.notes().told_numbers.extend(told);
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
        let both = self.insist(server, "write-results", &results).await
            && self.insist(server, "write-queries", &query).await;
        if both {
            self.notes().strangers.insert(number, count);
        }
    }

    /// Until it is answered that it is written.
    async fn insist(&self, server: usize, path: &str, body: &Value) -> bool {
        let deadline = Instant::now() + TRY_FOR;
        while Instant::now() < deadline {
            let url = self.endpoint(server, path);
            match self.ask(url.map(|url| self.http.post(url).json(body))).await {
                Some((201, _)) => return true,
                Some((status, answer)) if status != 503 => {
                    self.timeline
                        .say(&format!("broken: {path} {body}: {status} {answer}"));
                    return false;
                }
                _ => tokio::time::sleep(TRY_EVERY).await,
            }
        }
        self.timeline.say(&format!("{path} was not done: {body}"));
        false
    }

    pub(crate) async fn call(
        &self,
        endpoint: Endpoint,
        server: usize,
        search: &Search,
        alone: bool,
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
        let mut request = self.http.get(url);
        if respond_async {
            request = request.header("prefer", "respond-async");
        }
        let mut answer = Answer {
            endpoint,
            search: search.query(),
            max_results: i64::from(search.max_results),
            alone,
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
        self.timeline.say(&format!("{query}: {status:?} {}", answer.body));
        self.notes().answers.push(answer);
    }
}

fn papers(body: &Value) -> Vec<Option<Paper>> {
    let rows = body.as_array().into_iter().flatten();
    rows.map(|row| Paper::of_title(row.get("title")?.as_str()?))
        .collect()
}

impl Answer {
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
