//! The settings of `arxiv-operator run`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use queue::PriorityCeilings;
use upstream::UpstreamArgs;
use webhooks::Networks;

use super::namespaces::Namespaces;

/// Settings of the controller. The databases are read from the environment alone, as their URLs hold passwords.
#[derive(Args)]
#[command(after_help = format!("{HELP}\n\n{}", service::traces::HELP))]
pub(crate) struct RunArgs {
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:8080")]
    pub(crate) listen: SocketAddr,
    /// The namespaces whose objects are run, as a list like `team-a,team-b` of up to 100; all namespaces if not set.
    #[arg(long, env = "WATCH_NAMESPACE", default_value = "")]
    pub(crate) watch_namespace: Namespaces,
    /// The class of the objects that are run: those with this `spec.className`. Empty: the default class, that of objects
    /// without one.
    #[arg(long, env = "CLASS_NAME", default_value = crd::DEFAULT_CLASS, value_parser = crd::class_name)]
    pub(crate) class_name: String,
    #[command(flatten)]
    pub(crate) arxiv: UpstreamArgs,
    /// The wait after a query's first failed request, in milliseconds; it doubles with each further one, up to six
    /// minutes.
    #[arg(long, env = "RETRY_BASE_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=360_000))]
    pub(crate) retry_base_ms: u64,
    /// The highest priority that counts for the queries of each namespace, as a list like `team-a=100,*=0`, where `*` is
    /// every other namespace; by default as the queries say.
    #[arg(long, env = "PRIORITY_CEILINGS", default_value = "")]
    pub(crate) priority_ceilings: PriorityCeilings,
    /// How many objects are reconciled at once.
    #[arg(long, env = "MAX_CONCURRENT_RECONCILES", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) max_concurrent_reconciles: u16,
    /// How often expired objects, old pages and other remains are removed, in seconds.
    #[arg(long, env = "SWEEP_INTERVAL_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) sweep_interval_seconds: u64,
    /// Networks that webhooks of feeds may be sent to although their addresses are not public, and without TLS, as a list
    /// like `10.96.0.0/12,fd00::/8`; by default none. Whoever may create feeds can send requests to all that is in them.
    #[arg(long, env = "WEBHOOK_NETWORKS", default_value = "")]
    pub(crate) webhook_networks: Networks,
    /// A PEM file of certificates to trust for webhooks, in addition to those of the system.
    #[arg(long, env = "WEBHOOK_CA_BUNDLE")]
    pub(crate) webhook_ca_bundle: Option<PathBuf>,
    /// Whether several processes elect a leader by a Lease; only the leader works. Switch it off only for a single
    /// process that has no right to Leases: then nothing keeps another installation from running the same objects.
    #[arg(long, env = "LEADER_ELECTION", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) leader_election: bool,
    /// The name of the Lease; the name of the class is added, if it has one.
    #[arg(long, env = "LEASE_NAME", default_value = "arxiv-operator")]
    pub(crate) lease_name: String,
    /// The namespace of the Lease; by default the watched namespace if it is one, else that of the pod or the kubeconfig.
    #[arg(long, env = "LEASE_NAMESPACE")]
    pub(crate) lease_namespace: Option<String>,
    /// Whether statements are prepared once per connection; switch it off behind a transaction pooler.
    #[arg(long, env = "STATEMENT_CACHE", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) statement_cache: bool,
}

const HELP: &str = "\
Environment (each database also in parts: NAME_HOST, NAME_PORT, NAME_NAME, NAME_USER, NAME_PASSWORD
instead of NAME_URL; each also in a file, which is read for each new connection: NAME_URL_FILE, NAME_PASSWORD_FILE, …):
  DATABASE_RW_URL               queries and results, as user arxiv_rw
  DATABASE_QUERIES_RW_URL, DATABASE_RESULTS_RW_URL
                                where one of them is in another database
  DATABASE_LEDGER_URL           the sequence database, as user arxiv_operator
  DATABASE_UPSTREAM_URL         the gate and the pages, as user arxiv_upstream; not through a transaction pooler
  DATABASE_SSLMODE, DATABASE_CA_FILE
                                how servers are verified, and by which CA (a file, or `system`); with a CA, the
                                mode is verify-full unless it is set. For one database NAME_SSLMODE, NAME_CA_FILE
  KUBECONFIG                    outside of a cluster";
