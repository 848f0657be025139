//! `arxiv-operator run`: builds what the tasks use, starts them, and shuts them down in order.

use std::time::Duration;

use anyhow::Context as _;
use crd::ArxivQuery;
use kube::Api;
use service::{
    health::{Liveness, Readiness},
    metrics::Metrics as Registry,
    settings::{DatabaseUrl, Environment},
};
use storage::{Access, Ledger, Pages, PgPool, PoolSettings, Records, pool, schema::Need};
use tokio_util::sync::CancellationToken;

use crate::{
    leader::{
        election::{Election, Leadership},
        tasks::{Dependencies, LeaderTasks},
    },
    process::{
        backoff::Backoff,
        kubernetes,
        metrics::Metrics,
        readiness::Needs,
        serve,
        settings::{Databases, RunArgs},
        supervisor::Supervisor,
    },
};

/// The name of this process in the databases' session lists.
const APPLICATION: &str = "arxiv-operator";
/// Connections for `queries` and `results`: more than half of the default concurrency rarely needs one at once.
const RECORD_CONNECTIONS: u32 = 10;
/// Connections for the ledger and for the pages: each query sends one short statement.
const OTHER_CONNECTIONS: u32 = 4;
/// How long an operation waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
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
    let pools = Pools::new(args, &databases)?;
    let client = kubernetes::client()
        .await
        .context("no way to Kubernetes: set KUBECONFIG, or run in a pod with a ServiceAccount")?;
    let all = match &args.watch_namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    tasks.spawn(
        "readiness check",
        pools
            .needs(all.clone())
            .watch(readiness.clone(), shutdown.clone()),
    );
    if !until_ready(&mut tasks, &readiness).await? {
        return Ok(());
    }

    let election = args.leader_election.then(|| {
        // By default the watched namespace: this process has its rights there, and processes that watch other namespaces
        // have leases of their own.
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
            Pages::new(pools.upstream.clone()),
        )?,
        records: Records::new(pools.queries, pools.results, databases.split()),
        ledger: Ledger::new(pools.ledger),
        pages: Pages::new(pools.upstream),
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
    let ready = async {
        while !readiness.is_ready() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = ready => Ok(true),
        ended = tasks.supervise() => ended.map(|()| false),
    }
}

/// A pool for each database.
struct Pools {
    queries: PgPool,
    results: PgPool,
    ledger: PgPool,
    upstream: PgPool,
}

impl Pools {
    fn new(args: &RunArgs, databases: &Databases) -> anyhow::Result<Self> {
        let make = |url: &DatabaseUrl, max_connections| {
            pool(
                url.as_str(),
                &PoolSettings {
                    access: Access::ReadWrite,
                    max_connections,
                    acquire_timeout: ACQUIRE_TIMEOUT,
                    statement_cache: args.statement_cache,
                    application_name: APPLICATION.to_owned(),
                },
            )
        };
        let queries = make(&databases.queries, RECORD_CONNECTIONS)?;
        let results = if databases.split() {
            make(&databases.results, RECORD_CONNECTIONS)?
        } else {
            queries.clone()
        };
        Ok(Self {
            queries,
            results,
            ledger: make(&databases.ledger, OTHER_CONNECTIONS)?,
            upstream: make(&databases.upstream, OTHER_CONNECTIONS)?,
        })
    }

    fn needs(&self, queries: Api<ArxivQuery>) -> Needs {
        Needs {
            queries,
            databases: vec![
                ("database of queries", self.queries.clone(), Need::QueriesWrite),
                ("database of results", self.results.clone(), Need::ResultsWrite),
                ("database of the ledger", self.ledger.clone(), Need::Ledger),
                (
                    "database of the upstream gate",
                    self.upstream.clone(),
                    Need::Upstream,
                ),
            ],
        }
    }
}
