//! The upper bound: the same SQL by Postgres' own load generator.

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use url::Url;

use super::Settings;
use super::loads::{Database, Load};
use super::stage::Stage;

/// Transactions per second, with the number of clients at which there are most; with that of the load if it has its own.
pub(crate) async fn best(
    stage: &Stage,
    load: &Load,
    script: (Database, &str),
    settings: &Settings,
) -> Result<f64> {
    let own = load.clients.map(|clients| [clients]);
    let mut best = 0_f64;
    for clients in own
        .as_ref()
        .map_or(settings.pgbench_clients, |own| own.as_slice())
    {
        best = best.max(run(stage, load, script, *clients, settings).await?);
    }
    Ok(best)
}

async fn run(
    stage: &Stage,
    load: &Load,
    (database, script): (Database, &str),
    clients: u32,
    settings: &Settings,
) -> Result<f64> {
    let file = stage.file("script.sql");
    tokio::fs::write(&file, script).await?;
    let url = Url::parse(&match database {
        Database::Reads => stage.databases.ro_url(),
        Database::Sequence => stage.databases.sequence_url(),
    })?;
    let mut command = Command::new("pgbench");
    command
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .arg(format!("--client={clients}"))
        .arg(format!("--time={}", settings.length(load).as_secs()))
        .arg(format!("--define=rows={}", settings.rows))
        .arg("--file")
        .arg(&file)
        .arg(format!("--host={}", url.host_str().unwrap_or_default()))
        .arg(format!("--port={}", url.port().unwrap_or_default()))
        .arg(format!("--username={}", url.username()))
        .arg(url.path().trim_start_matches('/'))
        // Every user of this machine can see arguments.
        .env("PGPASSWORD", url.password().unwrap_or_default())
        .kill_on_drop(true);
    let output = command.output().await.context("pgbench cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!(
            "pgbench for {}: {}",
            load.name,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    rate(&text).with_context(|| format!("pgbench printed no rate:\n{text}"))
}

fn rate(output: &str) -> Option<f64> {
    let line = output.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn rate_excludes_connection_time() {
        let output = "latency average = 4.9 ms\ninitial connection time = 93.1 ms\ntps = 12998.5 (without initial connection time)\n";
        assert_eq!(rate(output), Some(12998.5));
        assert_eq!(rate("pgbench: error"), None);
    }
}
