//! Settings: command line or environment, read once, checked before anything starts.

use std::{net::SocketAddr, time::Duration};

use arxiv::MAX_RESULTS;
use clap::Parser;
use service::{
    logs::LogArgs,
    settings::{DatabaseUrl, Environment, SettingError, database_url},
};
use upstream::UpstreamArgs;

use crate::{
    auth::AccessArgs,
    auth::kubernetes::ProtectedEndpoints,
    http::middleware::root_path::RootPath,
    openapi::Described,
    routes::endpoints::{Endpoint, Served},
};
use wire::dates::Zone;

/// The REST API over arXiv searches that run as Kubernetes jobs.
///
/// Database addresses are environment variables: for each of `DATABASE_RW`, `DATABASE_RO`, `DATABASE_SEQUENCE` and
/// `DATABASE_UPSTREAM` either `…_URL` (postgresql://…), `…_STRING` (host=… dbname=…), or `…_HOST`, `…_PORT`, `…_NAME`,
/// `…_USER` and `…_PASSWORD` or `…_PASSWORD_FILE`. `DATABASE_QUERIES_RW`, `DATABASE_RESULTS_RW`,
/// `DATABASE_QUERIES_RO` and `DATABASE_RESULTS_RO` take the place of the common ones for one table. Only what the
/// served endpoints need is read.
#[derive(Parser)]
#[command(name = "arxiv-api-server", version)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(crate) logs: LogArgs,
    /// Address and port of the API, its health and its metrics.
    #[arg(long, env = "LISTEN", default_value = "[::]:8000")]
    pub(crate) listen: SocketAddr,
    /// What is served: all, frontend, backend, or a list of endpoints such as "results,read-results".
    #[arg(long, env = "SERVE", default_value = "all")]
    pub(crate) serve: Served,
    /// The path under which a proxy shows this API, such as /arxiv: links and the documentation then name it, and
    /// requests may come with it or without it.
    #[arg(long, env = "ROOT_PATH", default_value = "")]
    pub(crate) root_path: RootPath,
    /// Namespace of the `ArxivQuery` objects; that of the kubeconfig or the pod when not given.
    #[arg(long, env = "NAMESPACE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) namespace: Option<String>,

    /// How many milliseconds GET /arxiv waits before it answers 202.
    #[arg(long, env = "ARXIV_WAIT_MS", default_value_t = 30_000,
        value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) arxiv_wait_ms: u64,
    /// How long the objects that GET /arxiv makes are kept after their end, in seconds.
    #[arg(long, env = "ARXIV_TTL_SECONDS", default_value_t = 4 * 3600,
        value_parser = clap::value_parser!(i32).range(0..=31_536_000))]
    pub(crate) arxiv_ttl_seconds: i32,
    /// Whether what a caller of GET /arxiv waits for fails for good on arXiv's first error, instead of trying again.
    #[arg(long, env = "ARXIV_FAIL_FAST", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) arxiv_fail_fast: bool,
    /// Most queries that may be pending in the namespace; past it /arxiv answers 429.
    #[arg(long, env = "ARXIV_MAX_PENDING", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) arxiv_max_pending: u32,
    /// Most queries of one client that may be pending; past it /arxiv answers 429.
    #[arg(long, env = "ARXIV_MAX_PENDING_PER_CLIENT", default_value_t = 5_000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) arxiv_max_pending_per_client: u32,
    /// The highest priority that a client of POST /arxiv may give to a query.
    #[arg(long, env = "ARXIV_MAX_PRIORITY", default_value_t = 1_000, allow_hyphen_values = true,
        value_parser = clap::value_parser!(i32).range(-1_000..=1_000))]
    pub(crate) arxiv_max_priority: i32,

    /// How many milliseconds /arxiv-api waits for its turn at arXiv before it answers 503.
    #[arg(long, env = "UPSTREAM_PATIENCE_MS", default_value_t = 25_000,
        value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) upstream_patience_ms: u64,
    #[command(flatten)]
    pub(crate) arxiv: UpstreamArgs,
    #[command(flatten)]
    pub(crate) access: AccessArgs,

    /// `max_results` when a caller does not say.
    #[arg(long, env = "DEFAULT_MAX_QUERY_RESULTS", default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_RESULTS)))]
    pub(crate) default_max_query_results: u32,
    /// `page` when a caller does not say.
    #[arg(long, env = "RESULTS_DEFAULT_PAGE", default_value_t = 0,
        value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) results_default_page: i64,
    /// `items_per_page` when a caller does not say.
    #[arg(long, env = "RESULTS_DEFAULT_ITEMS_PER_PAGE", default_value_t = 10,
        value_parser = clap::value_parser!(i64).range(0..=1000))]
    pub(crate) results_default_items_per_page: i64,
    /// Hours from UTC of the dates that /queries takes and shows.
    #[arg(long, env = "TIMEZONE_OFFSET", default_value = "2", allow_hyphen_values = true,
        value_parser = zone)]
    pub(crate) timezone_offset: Zone,

    /// Most connections to each database. Two a core of a small server keep it busy; of more, some wait for a core in the middle of
    /// their read, where here they would wait in the order of their coming.
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) database_max_connections: u32,
    /// Whether statements are prepared once a connection; to be off behind a transaction pooler.
    #[arg(long, env = "STATEMENT_CACHE", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) statement_cache: bool,
    /// Where queries and results are in different databases: how many seconds old a record must be to be shown, so
    /// that no half of one is.
    #[arg(long, env = "READ_SETTLE_SECONDS", default_value_t = 10)]
    pub(crate) read_settle_seconds: u64,
    /// How long requests in flight may take after SIGTERM, in seconds.
    #[arg(long, env = "DRAIN_SECONDS", default_value_t = 20)]
    pub(crate) drain_seconds: u64,
}

fn zone(text: &str) -> Result<Zone, &'static str> {
    let hours = text
        .trim()
        .parse()
        .map_err(|_| "is not a whole number of hours")?;
    Zone::new(hours).ok_or("must be between -23 and 23")
}

impl Settings {
    /// What the `OpenAPI` document tells of these settings.
    pub(crate) fn described(&self, results_of_objects: bool) -> Described {
        Described {
            served: self.serve.clone(),
            results_of_objects,
            root: self.root_path.clone(),
            max_results: self.default_max_query_results.into(),
            page: self.results_default_page,
            items_per_page: self.results_default_items_per_page,
        }
    }

    /// Whether any endpoint that is served asks for a token.
    pub(crate) fn asks_for_tokens(&self) -> bool {
        match self.access.protected_endpoints {
            ProtectedEndpoints::Off => false,
            ProtectedEndpoints::Backend => self.serve.iter().any(Endpoint::is_backend),
            ProtectedEndpoints::All => true,
        }
    }

    pub(crate) fn arxiv_wait(&self) -> Duration {
        Duration::from_millis(self.arxiv_wait_ms)
    }

    pub(crate) fn upstream_patience(&self) -> Duration {
        Duration::from_millis(self.upstream_patience_ms)
    }
}

/// A pair of addresses: of `queries` and of `results`.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) queries: DatabaseUrl,
    pub(crate) results: DatabaseUrl,
}

/// The databases that the served endpoints need.
#[derive(Debug)]
pub(crate) struct Databases {
    /// For the reading endpoints; and for `/arxiv/NAME/results` if it is there.
    pub(crate) ro: Option<Tables>,
    pub(crate) rw: Option<Tables>,
    pub(crate) sequence: Option<DatabaseUrl>,
    pub(crate) upstream: Option<DatabaseUrl>,
}

impl Databases {
    /// Reads what is needed and no other credential.
    pub(crate) fn read(environment: &Environment, served: &Served) -> Result<Self, SettingError> {
        use Endpoint::{
            Arxiv, ArxivApi, GetSequence, Queries, ReadQueries, ReadResults, Results, WriteQueries,
            WriteResults,
        };
        let readers = [Queries, Results, ReadQueries, ReadResults];
        let ro = if served.any(&readers) {
            Some(tables(environment, "RO")?)
        } else if served.any(&[Arxiv]) {
            match tables(environment, "RO") {
                Ok(tables) => Some(tables),
                Err(SettingError::Missing { .. }) => None,
                Err(error) => return Err(error),
            }
        } else {
            None
        };
        Ok(Self {
            ro,
            rw: served
                .any(&[WriteQueries, WriteResults])
                .then(|| tables(environment, "RW"))
                .transpose()?,
            sequence: served
                .any(&[GetSequence])
                .then(|| needed(environment, "DATABASE_SEQUENCE", "/get-sequence needs it"))
                .transpose()?,
            upstream: served
                .any(&[ArxivApi])
                .then(|| needed(environment, "DATABASE_UPSTREAM", "/arxiv-api needs it"))
                .transpose()?,
        })
    }
}

fn tables(environment: &Environment, access: &str) -> Result<Tables, SettingError> {
    let common = format!("DATABASE_{access}");
    let of = |table: &str| match database_url(environment, &format!("DATABASE_{table}_{access}"))? {
        Some(url) => Ok(url),
        None => needed(environment, &common, "the endpoints that are served need it"),
    };
    Ok(Tables {
        queries: of("QUERIES")?,
        results: of("RESULTS")?,
    })
}

fn needed(environment: &Environment, prefix: &str, purpose: &str) -> Result<DatabaseUrl, SettingError> {
    database_url(environment, prefix)?.ok_or_else(|| SettingError::missing(format!("{prefix}_URL"), purpose))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(served: &str, names: &[&str]) -> Result<Databases, SettingError> {
        let pairs = names
            .iter()
            .map(|name| (*name, format!("postgresql://u@{}/d", name.to_lowercase())));
        Databases::read(&Environment::given(pairs), &served.parse().unwrap())
    }

    #[test]
    fn only_what_is_served_needs_its_database() {
        let all = [
            "DATABASE_RW_URL",
            "DATABASE_RO_URL",
            "DATABASE_SEQUENCE_URL",
            "DATABASE_UPSTREAM_URL",
        ];
        let cases: &[(&str, &[&str])] = &[
            ("all", &all),
            ("frontend", &["DATABASE_RO_URL"]),
            ("backend", &all),
            ("arxiv", &[]),
            ("queries", &["DATABASE_RO_URL"]),
            ("read-results", &["DATABASE_RO_URL"]),
            ("get-sequence", &["DATABASE_SEQUENCE_URL"]),
            ("write-queries", &["DATABASE_RW_URL"]),
            (
                "write-results",
                &["DATABASE_QUERIES_RW_URL", "DATABASE_RESULTS_RW_URL"],
            ),
            ("arxiv-api", &["DATABASE_UPSTREAM_URL"]),
        ];
        for (served, names) in cases {
            read(served, names).unwrap();
            for missing in *names {
                let rest: Vec<_> = names.iter().copied().filter(|name| name != missing).collect();
                let error = read(served, &rest).unwrap_err().to_string();
                let named = missing.replace("QUERIES_", "").replace("RESULTS_", "");
                assert!(error.contains(&named), "{served} without {missing}: {error}");
            }
        }
        let databases = read("results", &all).unwrap();
        assert!(databases.rw.is_none() && databases.sequence.is_none() && databases.upstream.is_none());
    }

    #[test]
    fn one_table_may_live_elsewhere() {
        let ro = read("frontend", &["DATABASE_RO_URL", "DATABASE_RESULTS_RO_URL"])
            .unwrap()
            .ro
            .unwrap();
        assert!(!ro.queries.same_database(&ro.results));
        assert!(ro.results.as_str().contains("database_results_ro_url"));
    }

    #[test]
    fn settings_are_checked() {
        let parse = |extra: &[&str]| Settings::try_parse_from(["x"].iter().chain(extra));
        assert_eq!(
            parse(&["--timezone-offset", "-5"]).unwrap().timezone_offset,
            Zone::new(-5).unwrap()
        );
        for bad in [
            ["--timezone-offset", "x"],
            ["--timezone-offset", "24"],
            ["--serve", "nothing"],
            ["--listen", "x"],
            ["--root-path", "x"],
            ["--results-default-items-per-page", "1001"],
            ["--default-max-query-results", "0"],
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }
}
