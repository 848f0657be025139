//! HTTP clients: wrk.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::process::Command;
use url::Url;

/// The figures that the clients measured.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Responses per second.
    pub rate: f64,
    /// The number of responses.
    pub responses: u64,
    /// Median of the latency.
    pub median: Duration,
    /// 99th percentile of the latency.
    pub p99: Duration,
    /// Failed requests.
    pub failed: u64,
}

/// What the clients send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    /// The server's root.
    pub(crate) server: &'a Url,
    /// The function `request()` in Lua, which returns the next request. `thread` is the number of its thread, 0 or 1; each
    /// has variables of its own.
    pub(crate) script: &'a str,
    /// The number of clients.
    pub(crate) connections: u32,
    /// How long they send.
    pub(crate) length: Duration,
}

#[derive(Deserialize)]
struct Summary {
    requests: u64,
    seconds: f64,
    median_us: f64,
    p99_us: f64,
    failed: u64,
}

/// Runs a load. `file` is written for it.
pub(crate) async fn run(run: &Run<'_>, file: &Path) -> Result<Measured> {
    tokio::fs::write(file, format!("{}{COMMON}", run.script)).await?;
    let mut command = Command::new("wrk");
    command
        // At least one connection for each.
        .arg(format!("--threads={}", run.connections.clamp(1, 2)))
        .arg(format!("--connections={}", run.connections))
        .arg(format!("--duration={}s", run.length.as_secs()))
        .arg("--timeout=30s")
        .arg("--script")
        .arg(file)
        .arg(run.server.as_str().trim_end_matches('/'))
        .kill_on_drop(true);
    let output = command.output().await.context("wrk cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(line) = text.lines().find(|line| line.starts_with('{')) else {
        bail!("wrk: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    let summary: Summary = serde_json::from_str(line).with_context(|| line.to_owned())?;
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
    let rate = summary.requests as f64 / summary.seconds;
    Ok(Measured {
        rate,
        responses: summary.requests,
        median: Duration::from_secs_f64(summary.median_us / 1e6),
        p99: Duration::from_secs_f64(summary.p99_us / 1e6),
        failed: summary.failed,
    })
}

const COMMON: &str = r#"
local next_thread = 0
function setup(new) new:set('thread', next_thread) next_thread = next_thread + 1 end
function init(arguments) math.randomseed(1000 + thread) end
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%f,"median_us":%f,"p99_us":%f,"failed":%d}\n',
    summary.requests, summary.duration / 1000000, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"#;
