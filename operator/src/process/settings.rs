//! What `arxiv-operator run` can be told.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use service::settings::{DatabaseUrl, Environment, SettingError, database_url};
use upstream::UpstreamArgs;

/// Settings of the controller. The databases are read from the environment alone, as their URLs hold passwords.
#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct RunArgs {
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:8080")]
    pub(crate) listen: SocketAddr,
    /// The only namespace to work in; all of them when not given.
    #[arg(long, env = "WATCH_NAMESPACE")]
    pub(crate) watch_namespace: Option<String>,
    #[command(flatten)]
    pub(crate) arxiv: UpstreamArgs,
    /// The wait after a query's first failed request, in milliseconds; it doubles with each further one, up to six
    /// minutes.
    #[arg(long, env = "RETRY_BASE_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=360_000))]
    pub(crate) retry_base_ms: u64,
    /// How many objects are worked on at once.
    #[arg(long, env = "MAX_CONCURRENT_RECONCILES", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) max_concurrent_reconciles: u16,
    /// How often expired objects, old pages and other left-overs are removed, in seconds.
    #[arg(long, env = "SWEEP_INTERVAL_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) sweep_interval_seconds: u64,
    /// Whether several processes elect a leader, who alone works, by a Lease. Off only for a single process without the
    /// right to it.
    #[arg(long, env = "LEADER_ELECTION", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) leader_election: bool,
    /// The name of the Lease.
    #[arg(long, env = "LEASE_NAME", default_value = "arxiv-operator")]
    pub(crate) lease_name: String,
    /// The namespace of the Lease; the watched one if that is set, else that of the pod or of the kubeconfig.
    #[arg(long, env = "LEASE_NAMESPACE")]
    pub(crate) lease_namespace: Option<String>,
    /// Whether statements are prepared once per connection; off behind a transaction pooler.
    #[arg(long, env = "STATEMENT_CACHE", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) statement_cache: bool,
}

const HELP: &str = "\
Environment (each database also in parts: NAME_HOST, NAME_PORT, NAME_NAME, NAME_USER, NAME_PASSWORD or
NAME_PASSWORD_FILE instead of NAME_URL):
  DATABASE_RW_URL               queries and results, as user arxiv_rw
  DATABASE_QUERIES_RW_URL, DATABASE_RESULTS_RW_URL
                                where one of them is elsewhere
  DATABASE_LEDGER_URL           the sequence database, as user arxiv_operator
  DATABASE_UPSTREAM_URL         the gate and the pages, as user arxiv_upstream; not through a transaction pooler
  KUBECONFIG                    outside of a cluster";

impl RunArgs {
    pub(crate) fn retry_base(&self) -> Duration {
        Duration::from_millis(self.retry_base_ms)
    }
    pub(crate) fn sweep_interval(&self) -> Duration {
        Duration::from_secs(self.sweep_interval_seconds)
    }
}

/// Where the stores are.
#[derive(Debug)]
pub(crate) struct Databases {
    pub(crate) queries: DatabaseUrl,
    pub(crate) results: DatabaseUrl,
    pub(crate) ledger: DatabaseUrl,
    pub(crate) upstream: DatabaseUrl,
}

impl Databases {
    pub(crate) fn read(environment: &Environment) -> Result<Self, SettingError> {
        let common = database_url(environment, "DATABASE_RW")?;
        let of_common = |prefix: &str| -> Result<DatabaseUrl, SettingError> {
            database_url(environment, prefix)?
                .or_else(|| common.clone())
                .ok_or_else(|| {
                    SettingError::missing(
                        "DATABASE_RW_URL",
                        "it names the database with queries and results",
                    )
                })
        };
        let needed = |prefix: &str, purpose: &str| {
            database_url(environment, prefix)?
                .ok_or_else(|| SettingError::missing(format!("{prefix}_URL"), purpose))
        };
        Ok(Self {
            queries: of_common("DATABASE_QUERIES_RW")?,
            results: of_common("DATABASE_RESULTS_RW")?,
            ledger: needed(
                "DATABASE_LEDGER",
                "it names the database with the sequence and its ledger",
            )?,
            upstream: needed(
                "DATABASE_UPSTREAM",
                "it names the database with the gate and the pages",
            )?,
        })
    }

    /// Whether the two tables are in different databases, so that no transaction spans them.
    pub(crate) fn split(&self) -> bool {
        !self.queries.same_database(&self.results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: [(&str, &str); 2] = [
        ("DATABASE_LEDGER_URL", "postgresql://l@h/s"),
        ("DATABASE_UPSTREAM_URL", "postgresql://u@h/s"),
    ];

    fn read(extra: &[(&str, &str)]) -> Result<Databases, String> {
        let all = REST.iter().chain(extra).copied();
        Databases::read(&Environment::given(all)).map_err(|error| error.to_string())
    }

    #[test]
    fn tables_are_split_when_their_databases_differ() {
        let rw = ("DATABASE_RW_URL", "postgresql://rw@h/arxiv");
        for (extra, split) in [
            (vec![rw], false),
            (
                vec![rw, ("DATABASE_RESULTS_RW_URL", "postgresql://rw@h/arxiv")],
                false,
            ),
            (
                vec![rw, ("DATABASE_RESULTS_RW_URL", "postgresql://rw@other/arxiv")],
                true,
            ),
            (
                vec![rw, ("DATABASE_QUERIES_RW_URL", "postgresql://rw@h/elsewhere")],
                true,
            ),
        ] {
            assert_eq!(read(&extra).unwrap().split(), split, "{extra:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(read(&[]).unwrap_err().starts_with("DATABASE_RW_URL is not set"));
        let none: [(&str, &str); 1] = [("DATABASE_RW_URL", "postgresql://rw@h/arxiv")];
        let error = Databases::read(&Environment::given(none))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("DATABASE_LEDGER_URL is not set"), "{error}");
    }
}
