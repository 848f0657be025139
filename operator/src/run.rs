//! `arxiv-operator run`: builds what the tasks use, starts them, and shuts them down in order.

use std::time::Duration;

use anyhow::Context as _;
use databases::{PoolError, Pools, add_check};
use kube::Api;
use service::{
    backoff::Backoff,
    health::{Checks, Liveness, Readiness, Required},
    metrics::Metrics as Registry,
    settings::Environment,
};
use storage::{Access, Ledger, Pages, PgPool, Records, schema::Need};
use tokio_util::sync::CancellationToken;

use crate::{
    leader::{
        election::{Election, Leadership},
        tasks::{Dependencies, LeaderTasks},
    },
    process::{
        kubernetes,
        metrics::Metrics,
        readiness, serve,
        settings::{Databases, RunArgs},
        supervisor::Supervisor,
    },
};

/// The name of this process in the databases' session lists.
const APPLICATION: &str = "arxiv-operator";
/// Connections for `queries` and `results`: more than half of the default concurrency rarely needs one at
/// once.
const RECORD_CONNECTIONS: u32 = 10;
/// Connections for the ledger and for the pages: each query sends one short statement.
const OTHER_CONNECTIONS: u32 = 4;
/// The pause between two rounds of readiness checks that found all, and the one while something is not there.
const CHECK_PAUSES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(1));
/// The longest wait after a failed request: that of a Kubernetes Job.
const RETRY_CAP: Duration = Duration::from_mins(6);

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn run(args: &RunArgs) -> anyhow::Result<()> {
    let shutdown = service::signals::shutdown().context("signals cannot be handled")?;
    let (liveness, readiness) = (Liveness::default(), Readiness::default());
    let registry = Registry::with_prefix("arxiv_operator");
    let metrics = Metrics::registered(&registry);
    let mut tasks = Supervisor::new(shutdown.clone());
    let health = service::health::router(liveness.clone(), readiness.clone());
    let server = serve::listen(args.listen, health.merge(service::metrics::router(registry))).await?;
    tasks.spawn("health server", server);

    let databases = Databases::read(&Environment::of_process())?;
    let stores = DatabasePools::open(args, &databases)?;
    let client = kubernetes::client().await?;
    let all = match &args.watch_namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let mut checks = Checks::new(CHECK_PAUSES.0, CHECK_PAUSES.1);
    stores.add_checks(&mut checks);
    let queries = all.clone();
    checks.add("kubernetes", Required::Always, move || {
        readiness::kubernetes(queries.clone())
    });
    let (checked, stop) = (readiness.clone(), shutdown.clone());
    tasks.spawn("readiness check", async move {
        stop.run_until_cancelled(checks.run(checked, None)).await;
    });
    if !until_ready(&mut tasks, &readiness).await? {
        return Ok(());
    }

    let election = args.leader_election.then(|| {
        // By default the watched namespace: this process has its rights there, and processes that watch other
        // namespaces have leases of their own.
        let namespace = [&args.lease_namespace, &args.watch_namespace]
            .into_iter()
            .flatten();
        let namespace = namespace.map(String::as_str).next();
        let namespace = namespace.unwrap_or_else(|| client.default_namespace());
        Election::new(
            client.clone(),
            namespace,
            &args.lease_name,
            readiness.clone(),
            metrics.clone(),
        )
    });
    let dependencies = Dependencies {
        upstream: args.arxiv.upstream(
            databases.upstream.as_str(),
            APPLICATION,
            Pages::new(stores.upstream.clone()),
        )?,
        records: Records::new(stores.queries, stores.results, databases.tables.are_split()),
        ledger: Ledger::new(stores.ledger),
        pages: Pages::new(stores.upstream),
        client,
        all,
        metrics,
        liveness,
        request_retry: Backoff {
            base: args.retry_base(),
            cap: RETRY_CAP,
        },
        interval: Duration::from_millis(args.arxiv.min_interval_ms),
        concurrency: args.max_concurrent_reconciles,
        sweep_interval: args.sweep_interval(),
    };
    lead(&mut tasks, election.as_ref(), &dependencies, &shutdown).await?;
    service::notice!("shut down");
    Ok(())
}

/// Runs the tasks of the leader whenever this process leads, until the shutdown.
async fn lead(
    tasks: &mut Supervisor,
    election: Option<&Election>,
    dependencies: &Dependencies,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let leadership = match election {
            None => Leadership::without_election(&dependencies.metrics),
            Some(election) => tokio::select! {
                leadership = election.acquire() => leadership,
                ended = tasks.supervise() => return ended,
            },
        };
        let mut leader = LeaderTasks::start(dependencies, shutdown);
        service::notice!("running");
        tokio::select! {
            ended = tasks.supervise() => ended?,
            ended = leader.supervise() => ended?,
            () = leadership.lost() => {
                service::notice!("not the leader any more: all work is aborted");
                leader.abort().await;
                continue;
            }
        }
        tokio::select! {
            ended = leader.finish() => ended?,
            () = leadership.lost() => tracing::warn!("not the leader any more: shutting down with work in progress"),
        }
        leadership.release().await;
        return Ok(());
    }
}

/// False if the shutdown comes first.
async fn until_ready(tasks: &mut Supervisor, readiness: &Readiness) -> anyhow::Result<bool> {
    tokio::select! {
        () = readiness.until_ready() => Ok(true),
        ended = tasks.supervise() => ended.map(|()| false),
    }
}

/// A pool for each database.
struct DatabasePools {
    queries: PgPool,
    results: PgPool,
    ledger: PgPool,
    upstream: PgPool,
}

impl DatabasePools {
    fn open(args: &RunArgs, databases: &Databases) -> Result<Self, PoolError> {
        let mut pools = Pools {
            application_name: APPLICATION,
            statement_cache: args.statement_cache,
            opened: Vec::new(),
        };
        let access = Access::ReadWrite;
        let names = ["queries", "results"];
        let (queries, results) = pools.open_tables(names, &databases.tables, access, RECORD_CONNECTIONS)?;
        Ok(Self {
            queries,
            results,
            ledger: pools.open("ledger", &databases.ledger, access, OTHER_CONNECTIONS)?,
            upstream: pools.open("upstream", &databases.upstream, access, OTHER_CONNECTIONS)?,
        })
    }

    fn add_checks(&self, checks: &mut Checks) {
        for (name, pool, need) in [
            ("database of queries", &self.queries, Need::QueriesWrite),
            ("database of results", &self.results, Need::ResultsWrite),
            ("database of the ledger", &self.ledger, Need::Ledger),
            ("database of the upstream gate", &self.upstream, Need::Upstream),
        ] {
            add_check(checks, name, Required::Always, pool, need);
        }
    }
}
