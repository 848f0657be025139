//! The time from the start of a process until it is ready, with everything that it needs available.

use std::time::{Duration, Instant};

use anyhow::Result;
use testbed::stack::Service;
use testbed::wait;

use super::Bench;
use crate::figures::{Figure, Goal};

const LIMIT: Duration = Duration::from_mins(1);
const MOST_MS: f64 = 300.0;

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let stack = &bench.env.stack;
    let mut figures = Vec::new();
    for (name, service) in [
        ("operator", &stack.operators[0]),
        ("API server", &stack.api_servers[0]),
    ] {
        let name = format!("{name}, from start to ready");
        let figure = Figure::new(name, "ms", Some(Goal::AtMost(MOST_MS)));
        let took = ready_after(bench, service).await?;
        figures.push(figure.measured(took.as_secs_f64() * 1e3));
    }
    Ok(figures)
}

async fn ready_after(bench: &Bench<'_>, service: &Service) -> Result<Duration> {
    let url = service.url().join("/readyz")?;
    service.child().kill9();
    let start = Instant::now();
    service.child().start_again()?;
    wait::until("readiness", LIMIT, async || {
        let answer = bench.env.http.get(url.clone()).send().await;
        Ok(answer
            .is_ok_and(|answer| answer.status().is_success())
            .then(|| start.elapsed()))
    })
    .await
}
