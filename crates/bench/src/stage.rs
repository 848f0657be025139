//! Databases full of rows, and API servers before them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use testbed::scratch::Scratch;
use testbed::stack::Databases;
use testbed::{progress, wait};

use crate::Settings;
use crate::loads::Asked;
use crate::server::Server;

const CAUGHT_UP_LIMIT: Duration = Duration::from_mins(5);

/// What loads run on. Everything ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    // Fields are dropped in this order: what depends on others first.
    unshared: Server,
    shipped: Server,
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
        // The operator does this every two seconds, a part at a time.
        let settle = "do $$ begin for n in 1..100 loop perform public.settle_results(); end loop; end $$";
        databases.primary.execute("arxiv", settle).await?;
        databases.primary.execute("arxiv", "vacuum analyze").await?;
        let caught_up = wait::until("the replica caught up", CAUGHT_UP_LIMIT, async || {
            let last = databases
                .replica
                .psql("arxiv", "select max(id) from results")
                .await?;
            Ok(last.contains(&settings.rows.to_string()).then_some(()))
        });
        caught_up.await?;
        let program = settings.binaries.join("arxiv-api-server");
        let start = async |name: &str, connections| {
            let log = folder.join("logs").join(name);
            Server::start(&program, &log, &databases, connections).await
        };
        Ok(Self {
            unshared: start("unshared.log", Some(settings.connections)).await?,
            shipped: start("shipped.log", None).await?,
            databases,
            scratch,
        })
    }

    /// The API server of a load.
    pub(crate) fn server(&self, asked: Asked) -> &Server {
        match asked {
            Asked::Unshared => &self.unshared,
            Asked::Shipped => &self.shipped,
        }
    }

    /// A file that goes with the stage.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
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
