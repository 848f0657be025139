//! The settings: read once from the command line and the environment, and checked before anything starts.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;
use crd::fields::{MAX_PRIORITY, MAX_RESULTS, MAX_SECONDS, MIN_PRIORITY};
use queue::PriorityCeilings;
use service::logs::LogArgs;
use upstream::UpstreamArgs;

use crate::{
    app::endpoints::{Endpoint, Served},
    auth::{AccessArgs, kubernetes::ProtectedEndpoints},
    http::{middleware::ShownAddress, tls::TlsArgs},
};
use wire::{dates::Zone, root_path::RootPath};

/// The REST API over arXiv searches that run as Kubernetes jobs.
///
/// Database addresses are environment variables: for each of `DATABASE_RW`, `DATABASE_RO`, `DATABASE_SEQUENCE` and
/// `DATABASE_UPSTREAM` either `…_URL` (postgresql://…), `…_STRING` (host=… dbname=…), or `…_HOST`, `…_PORT`, `…_NAME`,
/// `…_USER` and `…_PASSWORD`. Each may be in a file that `…_URL_FILE`, `…_PASSWORD_FILE` and so on name; files are read for
/// each new connection, so that a password may change. `DATABASE_QUERIES_RW`, `DATABASE_RESULTS_RW`,
/// `DATABASE_QUERIES_RO` and `DATABASE_RESULTS_RO` take the place of the common ones for one table. Only what the
/// served endpoints need is read.
///
/// A server is verified by its certificate authority (CA): `…_CA_FILE` or for all `DATABASE_CA_FILE` (`system` means those
/// that the system trusts). The mode is `sslmode` of the URL, `…_SSLMODE` or `DATABASE_SSLMODE`; without one, verify-full
/// with a CA, else prefer.
#[derive(Parser)]
#[command(name = "arxiv-api-server", version, after_help = service::traces::HELP)]
pub struct Settings {
    #[command(flatten)]
    pub(crate) logs: LogArgs,
    /// How the access log names clients that are known only by their addresses. Authenticated ones are named in any case.
    #[arg(
        long,
        env = "ACCESS_LOG_CLIENT",
        value_enum,
        ignore_case = true,
        default_value = "hash"
    )]
    pub(crate) access_log_client: ShownAddress,
    /// Address and port of the API and its health.
    #[arg(long, env = "LISTEN", default_value = "[::]:8000")]
    pub(crate) listen: SocketAddr,
    /// Address and port of /metrics, such as [::]:9090. By default they are served at LISTEN, with the API.
    #[arg(long, env = "METRICS_LISTEN")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// What is served: all, frontend, backend, or a list of endpoints such as "results,read-results".
    #[arg(long, env = "SERVE", default_value = "all")]
    pub(crate) serve: Served,
    /// The path under which a proxy shows this API, such as /arxiv: links and the documentation then name it, and
    /// requests may come with it or without it.
    #[arg(long, env = "ROOT_PATH", default_value = "")]
    pub(crate) root_path: RootPath,
    /// The namespace of the `ArxivQuery` objects; by default that of the kubeconfig or the pod.
    #[arg(long, env = "NAMESPACE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) namespace: Option<String>,
    /// The class (`spec.className`) of the `ArxivQuery` objects: those that /arxiv makes are of it, and no others are
    /// shown. Empty: the default class, that of objects without one. The operator's setting of this name.
    #[arg(long, env = "CLASS_NAME", default_value = crd::DEFAULT_CLASS, value_parser = crd::class_name)]
    pub(crate) class_name: String,

    /// How many milliseconds GET /arxiv waits before it answers 202.
    #[arg(long, env = "ARXIV_WAIT_MS", default_value_t = 30_000,
        value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) arxiv_wait_ms: u64,
    /// How long the objects that /arxiv creates are kept after their end, in seconds.
    #[arg(long, env = "ARXIV_TTL_SECONDS", default_value_t = 4 * 3600,
        value_parser = clap::value_parser!(i32).range(0..=i64::from(MAX_SECONDS)))]
    pub(crate) arxiv_ttl_seconds: i32,
    /// Whether a query fails for good on arXiv's first error while a caller of GET /arxiv waits for it, instead of being
    /// tried again.
    #[arg(long, env = "ARXIV_FAIL_FAST", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) arxiv_fail_fast: bool,
    /// The most pending queries in the namespace; for more, /arxiv answers 429.
    #[arg(long, env = "ARXIV_MAX_PENDING", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) arxiv_max_pending: u32,
    /// The most pending queries of one client; for more, /arxiv answers 429. At one request in three seconds, a hundred
    /// take five minutes.
    #[arg(long, env = "ARXIV_MAX_PENDING_PER_CLIENT", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) arxiv_max_pending_per_client: u32,
    /// The highest priority that a user may give to a query by POST /arxiv; clients without a required token may give
    /// none above 0.
    #[arg(long, env = "ARXIV_MAX_PRIORITY", default_value_t = MAX_PRIORITY, allow_hyphen_values = true,
        value_parser = clap::value_parser!(i32).range(i64::from(MIN_PRIORITY)..=i64::from(MAX_PRIORITY)))]
    pub(crate) arxiv_max_priority: i32,
    /// The operator's setting of this name, for the positions in the queue.
    #[arg(long, env = "PRIORITY_CEILINGS", default_value = "")]
    pub(crate) priority_ceilings: PriorityCeilings,

    /// How many milliseconds /arxiv-api waits for its turn at arXiv before it answers 503.
    #[arg(long, env = "UPSTREAM_PATIENCE_MS", default_value_t = 25_000,
        value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) upstream_patience_ms: u64,
    #[command(flatten)]
    pub(crate) arxiv: UpstreamArgs,
    #[command(flatten)]
    pub(crate) access: AccessArgs,

    /// `max_results` where a request has none.
    #[arg(long, env = "DEFAULT_MAX_QUERY_RESULTS", default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_RESULTS)))]
    pub(crate) default_max_query_results: u32,
    /// `page` where a request has none.
    #[arg(long, env = "RESULTS_DEFAULT_PAGE", default_value_t = 0,
        value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) results_default_page: i64,
    /// `items_per_page` where a request has none.
    #[arg(long, env = "RESULTS_DEFAULT_ITEMS_PER_PAGE", default_value_t = 10,
        value_parser = clap::value_parser!(i64).range(0..=1000))]
    pub(crate) results_default_items_per_page: i64,
    /// The offset from UTC, in hours (also 5.5 or 5.75), of the dates that /queries reads and shows.
    #[arg(
        long,
        env = "TIMEZONE_OFFSET",
        default_value = "2",
        allow_hyphen_values = true
    )]
    pub(crate) timezone_offset: Zone,

    /// The most connections to each database. Two per core of a small server keep it busy; with more, reads wait for a
    /// core in the server, in no order, and not here in the order of their requests.
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) database_max_connections: u32,
    /// Whether statements are prepared once per connection; switch it off behind a transaction pooler.
    #[arg(long, env = "STATEMENT_CACHE", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) statement_cache: bool,
    /// Where queries and results are in different databases: how many seconds old a record must be to be shown, so
    /// that no half of a record is shown.
    #[arg(long, env = "READ_SETTLE_SECONDS", default_value_t = 10)]
    pub(crate) read_settle_seconds: u64,
    /// How long requests in flight may still take after SIGTERM, in seconds.
    #[arg(long, env = "DRAIN_SECONDS", default_value_t = 20)]
    pub(crate) drain_seconds: u64,
}

impl Settings {
    /// Whether Kubernetes is asked who sends a request: where any endpoint that is served requires a token, and for the
    /// removal of queries, unless access control is off.
    pub(crate) fn asks_for_tokens(&self) -> bool {
        let protected = self.access.protected_endpoints;
        let removes = protected != ProtectedEndpoints::Off && self.serve.has(Endpoint::Arxiv);
        removes
            || self
                .serve
                .iter()
                .any(|endpoint| protected.has(endpoint.is_backend()))
    }

    pub(crate) fn arxiv_wait(&self) -> Duration {
        Duration::from_millis(self.arxiv_wait_ms)
    }

    pub(crate) fn upstream_patience(&self) -> Duration {
        Duration::from_millis(self.upstream_patience_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused() {
        let parse = |extra: &[&str]| Settings::try_parse_from(["x"].iter().chain(extra));
        assert_eq!(
            parse(&["--timezone-offset", "-5"]).unwrap().timezone_offset,
            "-5".parse().unwrap()
        );
        for bad in [
            ["--timezone-offset", "x"],
            ["--timezone-offset", "24"],
            ["--serve", "nothing"],
            ["--listen", "x"],
            ["--allowed-hosts", "http://x"],
            ["--root-path", "x"],
            ["--class-name", "A"],
            ["--results-default-items-per-page", "1001"],
            ["--default-max-query-results", "0"],
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }
}
