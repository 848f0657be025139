//! The pause between two requests to arXiv: with a backlog, how much of the time that it leaves is used.

use std::time::Duration;

use anyhow::Result;
use testbed::tools::progress;

use super::Bench;
use crate::figures::{Figure, Goal};

/// What arXiv asks for.
pub(super) const INTERVAL: Duration = Duration::from_secs(3);

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let count = bench.settings.intervals;
    let length = INTERVAL * u32::try_from(count)?;
    progress::print(&format!("bench: {count} intervals, {} s", length.as_secs()));
    bench.env.create_many("interval-", count + 20).await;
    let arxiv = bench.env.stack.arxiv()?;
    arxiv.wait_for_requests(count + 1, length * 2).await?;
    let times: Vec<_> = arxiv
        .requests()
        .iter()
        .map(|request| request.at)
        .take(count + 1)
        .collect();
    let took = match times.as_slice() {
        [first, .., last] => last.duration_since(*first).as_secs_f64(),
        _ => f64::NAN,
    };
    let shortest = times
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]).as_secs_f64() * 1e3)
        .fold(f64::INFINITY, f64::min);
    let figure = |name: &str, unit, measured, goal| Figure::new(name, unit, Some(goal)).measured(measured);
    Ok(vec![
        figure(
            "used share of the time for requests to arXiv",
            "",
            length.as_secs_f64() / took,
            Goal::AtLeast(0.99),
        ),
        figure(
            "shortest pause between two requests to arXiv",
            "ms",
            shortest,
            Goal::AtLeast(INTERVAL.as_secs_f64() * 1e3),
        ),
    ])
}
