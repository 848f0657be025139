//! The system under test: databases with rows, and an API server that reads them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use testbed::TempDir;
use testbed::postgres::Cache;
use testbed::stack::{Databases, Layout};
use testbed::{tools::progress, wait};

use super::papers::{self, PaperBytes};
use super::server::Server;
use super::{Draws, Settings, walk};

const CAUGHT_UP_LIMIT: Duration = Duration::from_mins(15);
const AT_REST_LIMIT: Duration = Duration::from_mins(1);

/// The system under test. Everything ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    // Fields are dropped in this order: dependents first.
    pub(crate) server: Server,
    pub(crate) databases: Databases,
    /// What requests draw from. `cursors` of pages behind the first half of all results are none before they are settled.
    pub(crate) draws: Draws,
    /// How large papers are, if there are any.
    pub(crate) bytes: Option<PaperBytes>,
    temp_dir: TempDir,
}

impl Stage {
    pub(crate) async fn set(settings: &Settings) -> Result<Self> {
        let temp_dir = TempDir::new("bench")?;
        let folder = temp_dir.path();
        std::fs::create_dir_all(folder.join("logs"))?;
        let layout = Layout {
            cache: Cache::Production,
            ..Layout::default()
        };
        let databases = Databases::start(folder, layout).await?;
        databases
            .migrate(&settings.binaries.join("arxiv-operator"), folder)
            .await?;
        progress::print(&format!("bench: {} rows", settings.rows));
        databases.primary.execute("arxiv", &rows(settings.rows)).await?;
        let mut draws = Draws::from([("cursors", Vec::new())]);
        let mut bytes = None;
        if let Some(count) = settings.papers {
            papers::fill(&databases.primary, count).await?;
            bytes = Some(papers::bytes(&databases.primary, count).await?);
            draws.extend(papers::draws(&databases.primary, count).await?);
        }
        databases.primary.execute("arxiv", "vacuum analyze").await?;
        caught_up(&databases).await?;
        let program = settings.binaries.join("arxiv-api-server");
        let log = folder.join("logs").join("api-server.log");
        Ok(Self {
            server: Server::start(&program, &log, &databases).await?,
            databases,
            draws,
            bytes,
            temp_dir,
        })
    }

    /// Settles all rows, as the operator does it every two seconds, a part at a time.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        let settle =
            "do $$ begin for n in 1..100 loop perform public.advance_results_watermark(); end loop; end $$";
        self.databases.primary.execute("arxiv", settle).await?;
        self.databases.primary.execute("arxiv", "vacuum analyze").await?;
        caught_up(&self.databases).await?;
        let cursors = walk::deep_cursors(self.server.url()).await?;
        self.draws.insert("cursors", cursors);
        Ok(())
    }

    /// Waits until Postgres runs no read: those of clients that have disconnected end first.
    pub(crate) async fn at_rest(&self) -> Result<()> {
        let rest = "select 'at rest' where not exists (
                      select from pg_stat_activity where usename = 'arxiv_ro' and state = 'active')";
        wait::until("no running read", AT_REST_LIMIT, async || {
            let output = self.databases.replica.psql("arxiv", rest).await?;
            Ok(output.contains("at rest").then_some(()))
        })
        .await
    }

    /// How often the table of papers was read as a whole, by those who have disconnected or been idle for a while.
    pub(crate) async fn scans(&self) -> Result<String> {
        let scans = "select seq_scan from pg_stat_user_tables where relname = 'arxiv_papers'";
        self.databases.replica.psql("arxiv", scans).await
    }

    /// A file in the temporary folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.temp_dir.path().join(name)
    }
}

/// Replaying many rows takes longer than one wait.
async fn caught_up(databases: &Databases) -> Result<()> {
    wait::until("the replica caught up", CAUGHT_UP_LIMIT, async || {
        let replayed = databases.replica.wait_replayed(&databases.primary).await;
        Ok(replayed.ok())
    })
    .await
}

/// SQL that inserts rows like those of the operator: ten papers per query, one query every ten seconds from 2020 on.
pub fn rows(count: u32) -> String {
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
