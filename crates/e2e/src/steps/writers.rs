//! Clients that behave like the existing service's frontend: they take a number, and write results and a query with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::task::JoinSet;

use super::endpoints::{QUERIES_CASE, RESULTS_CASE, body};

/// The pause between two numbers of one client.
const PAUSE: Duration = Duration::from_millis(50);

/// Several such clients. Nothing is retried: a missing response is a failure.
#[derive(Debug)]
pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Result<Written>>,
}

/// What the clients have written.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// All numbers from `/get-sequence`, whatever happened afterwards.
    pub(super) numbers: Vec<i64>,
    /// The numbers whose two writes were confirmed.
    pub(super) complete: Vec<i64>,
    pub(super) requests: usize,
    pub(super) failures: Vec<String>,
}

impl Writers {
    pub(super) fn start(clients: usize, api: &str, token: &str) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let client = Client::builder().timeout(Duration::from_secs(40)).build()?;
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let (client, api, token) = (client.clone(), api.to_owned(), token.to_owned());
            let stop = Arc::clone(&stop);
            tasks.spawn(async move {
                let mut written = Written::default();
                while !stop.load(Ordering::Relaxed) {
                    let ask = |path: &str| client.get(format!("{api}{path}")).bearer_auth(&token);
                    let send = |path: &str, body: &Value| {
                        client.post(format!("{api}{path}")).bearer_auth(&token).json(body)
                    };
                    written.once(ask, send).await?;
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(written)
            });
        }
        Ok(Self { stop, clients: tasks })
    }

    /// Waits until each client has finished its number, and returns what they have written.
    pub(super) async fn stop(mut self) -> Result<Written> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Written::default();
        while let Some(written) = self.clients.join_next().await {
            let written = written??;
            all.numbers.extend(written.numbers);
            all.complete.extend(written.complete);
            all.requests += written.requests;
            all.failures.extend(written.failures);
        }
        Ok(all)
    }
}

impl Written {
    async fn once(
        &mut self,
        ask: impl Fn(&str) -> RequestBuilder,
        send: impl Fn(&str, &Value) -> RequestBuilder,
    ) -> Result<()> {
        let Some(issued) = self.answer(ask("/get-sequence"), 200).await else {
            return Ok(());
        };
        let number = issued["sequence"].as_i64().context("a number")?;
        self.numbers.push(number);
        // In the order of the existing frontend: the results before their query.
        for (path, case) in [("/write-results", RESULTS_CASE), ("/write-queries", QUERIES_CASE)] {
            let body = body(case, number)?;
            if self.answer(send(path, &body), 201).await.is_none() {
                return Ok(());
            }
        }
        self.complete.push(number);
        Ok(())
    }

    /// The response, if it has this status.
    async fn answer(&mut self, request: RequestBuilder, expected: u16) -> Option<Value> {
        self.requests += 1;
        match send(request).await {
            Ok((status, body)) if status == expected => return Some(body),
            Ok((status, body)) => self.failures.push(format!("{status} {body}")),
            Err(error) => self.failures.push(format!("{error:?}")),
        }
        None
    }
}

async fn send(request: RequestBuilder) -> reqwest::Result<(u16, Value)> {
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.json().await?))
}
