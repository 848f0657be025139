//! What the tasks of this process share: Kubernetes, the databases, arXiv, and the settings of their work.

use std::{sync::Arc, time::Duration};

use cluster::Revisions;
use crd::QueryWithoutManagedFields;
use databases::{Pools, Store, Tables, add_check, address};
use kube::{Api, Client};
use queue::PriorityCeilings;
use service::{
    backoff::Backoff,
    health::{Checks, Liveness, Readiness, Required},
    settings::Environment,
};
use storage::{Access, Ledger, Pages, Records, schema::Need};
use upstream::Upstream;

use super::{
    claims::{Claims, Scope},
    kubernetes::{self, Check},
    metrics::Metrics,
    namespaces::Namespaces,
    settings::RunArgs,
};

/// The name of this process in the databases' session lists.
const APPLICATION: &str = "arxiv-operator";
/// Connections for `queries` and `results`: more than half of the default concurrency rarely needs one at
/// once.
const RECORD_CONNECTIONS: u32 = 10;
/// Connections for the ledger and for the pages: each query sends one short statement.
const OTHER_CONNECTIONS: u32 = 4;
/// The longest wait after a failed request: that of a Kubernetes Job.
const RETRY_CAP: Duration = Duration::from_mins(6);

/// What the tasks share; it outlives each leadership.
pub(crate) struct Dependencies {
    pub(crate) client: Client,
    /// What this process watches, whatever the class of an object: everything, or each watched namespace.
    pub(crate) watched: Vec<Api<QueryWithoutManagedFields>>,
    /// The field selector of the class.
    pub(crate) of_class: String,
    /// The field selector of the unfinished objects of the class.
    pub(crate) unfinished: String,
    /// The field selector of the finished objects of the class.
    pub(crate) finished: String,
    /// The names of the watched namespaces, if not all are watched.
    pub(crate) namespaces: Namespaces,
    pub(crate) claims: Claims,
    /// To notice that the database of Kubernetes was restored.
    pub(crate) revisions: Revisions,
    pub(crate) records: Records,
    pub(crate) ledger: Ledger,
    pub(crate) pages: Pages,
    pub(crate) upstream: Upstream,
    /// Sends to the webhooks of feeds.
    pub(crate) sender: webhooks::Sender,
    pub(crate) metrics: Metrics,
    pub(crate) liveness: Liveness,
    /// The waits of a query after failed requests.
    pub(crate) request_retry: Backoff,
    /// Between two requests to arXiv.
    pub(crate) interval: Duration,
    pub(crate) priority_ceilings: PriorityCeilings,
    pub(crate) concurrency: u16,
    pub(crate) sweep_interval: Duration,
}

impl Dependencies {
    /// Reads the addresses; connects when something is first used. `checks` gets everything that must be
    /// there.
    pub(crate) async fn open(
        args: &RunArgs,
        metrics: Metrics,
        liveness: Liveness,
        readiness: &Readiness,
        checks: &mut Checks,
    ) -> anyhow::Result<Self> {
        let environment = Environment::of_process();
        let tables = Tables::read(&environment, Store::QueriesRw, Store::ResultsRw)?;
        let ledger_url = Store::Ledger.url(&environment)?;
        let upstream_url = Store::Upstream.url(&environment)?;
        let mut pools = Pools {
            application_name: APPLICATION,
            statement_cache: args.statement_cache,
            opened: Vec::new(),
        };
        let names = ["queries", "results"];
        let (queries, results) = pools.open_tables(names, &tables, Access::ReadWrite, RECORD_CONNECTIONS)?;
        let access = Access::ReadWriteByKey;
        let ledger = pools.open("ledger", &ledger_url, access, OTHER_CONNECTIONS)?;
        let upstream = pools.open("upstream", &upstream_url, access, OTHER_CONNECTIONS)?;
        for (name, pool, need) in [
            ("database of queries", &queries, Need::QueriesWrite),
            ("database of results", &results, Need::ResultsWrite),
            ("database of the ledger", &ledger, Need::Ledger),
            ("database of the upstream gate", &upstream, Need::Upstream),
        ] {
            add_check(checks, name, Required::Always, pool, need);
        }
        let client = kubernetes::client().await?;
        let watched = args.watch_namespace.apis(&client);
        let of_class = crd::class_selector(&args.class_name);
        let check = Check {
            watched: watched.clone(),
            of_class: of_class.clone(),
            revisions: Revisions::default(),
            has_classes: Arc::default(),
        };
        let revisions = check.revisions.clone();
        checks.add("kubernetes", Required::Always, move || check.clone().run());
        let records = Records::new(queries, results, tables.are_split());
        let scope = Scope {
            class: args.class_name.clone(),
            enabled: args.leader_election,
            all_namespaces: args.watch_namespace.is_everywhere(),
        };
        let pages = Pages::new(upstream);
        Ok(Self {
            claims: Claims::new(&client, &records, &metrics, readiness, scope),
            client,
            watched,
            of_class,
            revisions,
            namespaces: args.watch_namespace.clone(),
            unfinished: crd::unfinished_selector(&args.class_name),
            finished: crd::finished_selector(&args.class_name),
            records,
            ledger: Ledger::new(ledger),
            upstream: args
                .arxiv
                .upstream(address(&upstream_url), APPLICATION, pages.clone())?,
            pages,
            sender: webhooks::Sender::new(args.webhook_networks.clone(), args.webhook_ca_bundle.as_deref())?,
            metrics,
            liveness,
            request_retry: Backoff {
                base: Duration::from_millis(args.retry_base_ms),
                cap: RETRY_CAP,
            },
            interval: Duration::from_millis(args.arxiv.min_interval_ms),
            priority_ceilings: args.priority_ceilings.clone(),
            concurrency: args.max_concurrent_reconciles,
            sweep_interval: Duration::from_secs(args.sweep_interval_seconds),
        })
    }
}
