//! Databases full of rows, and an API server before them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::ports::Port;
use testbed::process::{Child, Spec};
use testbed::scratch::Scratch;
use testbed::stack::Databases;
use testbed::{http_get, progress, wait};
use url::Url;

use crate::Settings;

const READY_LIMIT: Duration = Duration::from_mins(1);
const CAUGHT_UP_LIMIT: Duration = Duration::from_mins(5);

/// What loads run on. Everything ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    // Fields are dropped in this order: what depends on others first.
    server: Child,
    url: Url,
    _port: Port,
    pub(crate) databases: Databases,
    scratch: Scratch,
}

impl Stage {
    pub(crate) async fn set(settings: &Settings) -> Result<Self> {
        let scratch = Scratch::new("bench")?;
        let folder = scratch.path();
        std::fs::create_dir_all(folder.join("logs"))?;
        let databases = Databases::start(folder, false, false).await?;
        databases
            .migrate(&settings.binaries.join("arxiv-operator"), folder)
            .await?;
        progress::say(&format!("bench: {} rows", settings.rows));
        databases.primary.execute("arxiv", &rows(settings.rows)).await?;
        databases.primary.execute("arxiv", "vacuum analyze").await?;
        let port = Port::reserve()?;
        let url = Url::parse(&format!("http://127.0.0.1:{}", port.number()))?;
        let spec = Spec::new(
            settings.binaries.join("arxiv-api-server"),
            folder.join("logs/api-server.log"),
        )
        .env("LISTEN", format!("127.0.0.1:{}", port.number()))
        .env("SERVE", "queries,results,get-sequence")
        .env("TIMEZONE_OFFSET", "0")
        // One line a request would be part of what is measured.
        .env("LOG_LEVEL", "WARN")
        .env("DATABASE_RO_URL", databases.ro_url())
        .env("DATABASE_SEQUENCE_URL", databases.sequence_url());
        let server = Child::spawn(spec)?;
        let stage = Self {
            server,
            url,
            _port: port,
            databases,
            scratch,
        };
        stage.ready(settings.rows).await?;
        Ok(stage)
    }

    /// The API server's root.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// A file that goes with the stage.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The largest resident memory of the API server so far, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line
            .and_then(|line| line.trim().strip_suffix("kB"))
            .context("no VmHWM")?;
        Ok(kib.trim().parse::<u64>()? * 1024)
    }

    async fn ready(&self, rows: u32) -> Result<()> {
        let ready = wait::until("API server ready", READY_LIMIT, async || {
            anyhow::ensure!(self.server.is_running(), "the API server ended");
            let answer = http_get(self.url.join("/readyz")?).await;
            Ok(matches!(answer, Ok((200, _))).then_some(()))
        });
        ready.await.with_context(|| self.server.log_tail())?;
        wait::until("the replica caught up", CAUGHT_UP_LIMIT, async || {
            let last = self
                .databases
                .replica
                .psql("arxiv", "select max(id) from results")
                .await?;
            Ok(last.contains(&rows.to_string()).then_some(()))
        })
        .await
    }
}

/// Rows as the operator writes them, ten papers a query, one query every ten seconds from 2020 on.
fn rows(count: u32) -> String {
    format!(
        "insert into queries (query_id, timestamp, status, num_results, num_entries, query)
         select n, 1577836800 + 10 * n, 200, 1000 + n % 977, 10, 'search_query=ti:topic' || n % 5003 || '&start=0&max_results=10'
         from generate_series(0, {queries} - 1) as n;
         insert into results (query_id, timestamp, result_number, author, title, journal)
         select n / 10, 1577836800 + 10 * (n / 10), n % 10,
                'Author ' || n % 9973 || ', Somebody Else', 'A paper of usual length about topic ' || n % 5003 || ' and number ' || n,
                case when n % 3 = 0 then 'Journal of Things ' || n % 89 || ' (2024)' else '' end
         from generate_series(0, {count} - 1) as n;",
        queries = count / 10
    )
}
