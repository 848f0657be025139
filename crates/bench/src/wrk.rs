//! HTTP clients: wrk.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::process::Command;
use url::Url;

use crate::Settings;
use crate::loads::Load;
use crate::stage::Stage;

/// The figures that the clients measured.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Responses per second.
    pub rate: f64,
    /// Median of the latency.
    pub median: Duration,
    /// 99th percentile of the latency.
    pub p99: Duration,
    /// Failed requests.
    pub failed: u64,
}

#[derive(Deserialize)]
struct Summary {
    requests: f64,
    seconds: f64,
    median_us: f64,
    p99_us: f64,
    failed: u64,
}

/// Runs a load against a server.
pub(crate) async fn run(
    stage: &Stage,
    server: &Url,
    load: &Load,
    length: Duration,
    settings: &Settings,
) -> Result<Measured> {
    let file = stage.file("load.lua");
    tokio::fs::write(&file, script(load, settings.rows, &stage.cursors)).await?;
    let mut command = Command::new("wrk");
    command
        .arg("--threads=2")
        .arg(format!("--connections={}", settings.clients(load)))
        .arg(format!("--duration={}s", length.as_secs()))
        .arg("--timeout=30s")
        .arg("--script")
        .arg(&file)
        .arg(server.as_str().trim_end_matches('/'))
        .kill_on_drop(true);
    let output = command.output().await.context("wrk cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(line) = text.lines().find(|line| line.starts_with('{')) else {
        bail!(
            "wrk for {}: {text}\n{}",
            load.name,
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let summary: Summary = serde_json::from_str(line).with_context(|| line.to_owned())?;
    Ok(Measured {
        rate: summary.requests / summary.seconds,
        median: Duration::from_secs_f64(summary.median_us / 1e6),
        p99: Duration::from_secs_f64(summary.p99_us / 1e6),
        failed: summary.failed,
    })
}

fn script(load: &Load, rows: u32, cursors: &[String]) -> String {
    let cursors = cursors.join("', '");
    format!(
        "rows = {rows}
cursors = {{'{cursors}'}}
{lua}
local thread_number = 0
function setup(thread) thread:set('seed', thread_number) thread_number = thread_number + 1 end
function init(arguments) math.randomseed(1000 + seed) end
function request() return wrk.format('GET', path()) end
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('{{\"requests\":%d,\"seconds\":%f,\"median_us\":%f,\"p99_us\":%f,\"failed\":%d}}\\n',
    summary.requests, summary.duration / 1000000, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
",
        lua = load.lua
    )
}
