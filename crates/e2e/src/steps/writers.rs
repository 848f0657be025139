//! Clients that do what the existing service's frontend did: take a number, and write results and a query under it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::task::JoinSet;

use super::endpoints::{QUERIES_CASE, RESULTS_CASE, body};

/// Between two numbers of one client.
const PAUSE: Duration = Duration::from_millis(50);

/// A number of such clients. Nothing is tried twice: an answer that does not come is a failure.
#[derive(Debug)]
pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Result<Written>>,
}

/// What they did.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Those that `/get-sequence` told, whatever came after.
    pub(super) numbers: Vec<i64>,
    /// Those under which both were said to be written.
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

    /// Lets each client finish its number, and gives what they did.
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
        let Some(told) = self.answer(ask("/get-sequence"), 200).await else {
            return Ok(());
        };
        let number = told["sequence"].as_i64().context("a number")?;
        self.numbers.push(number);
        // As the existing frontend does: what is found before the query that found it.
        for (path, case) in [("/write-results", RESULTS_CASE), ("/write-queries", QUERIES_CASE)] {
            let body = body(case, number)?;
            if self.answer(send(path, &body), 201).await.is_none() {
                return Ok(());
            }
        }
        self.complete.push(number);
        Ok(())
    }

    /// The answer, where it is this one.
    async fn answer(&mut self, request: RequestBuilder, expected: u16) -> Option<Value> {
        self.requests += 1;
        match told(request).await {
            Ok((status, body)) if status == expected => return Some(body),
            Ok((status, body)) => self.failures.push(format!("{status} {body}")),
            Err(error) => self.failures.push(format!("{error:?}")),
        }
        None
    }
}

async fn told(request: RequestBuilder) -> reqwest::Result<(u16, Value)> {
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.json().await?))
}
