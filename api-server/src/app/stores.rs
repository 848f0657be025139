//! The databases that the served endpoints need: their addresses, their stores, and how far replicas are behind.

use std::time::Duration;

use databases::{Pools, Store, Tables, add_check};
use service::{
    health::{Checks, Required},
    metrics::Metrics,
    settings::{DatabaseUrl, Environment, SettingError},
};
use storage::{Access, Pages, Pool, Reads, Sequence, Writes, feeds::Feeds, schema::Need};

use crate::{
    app::{
        endpoints::{Endpoint, Served},
        metrics::{register_lags, register_pools},
        readiness,
        settings::Settings,
    },
    output::lag::Lag,
};

/// How the databases list this process.
pub(crate) const APPLICATION_NAME: &str = "arxiv-api-server";

/// The addresses of the databases that the served endpoints need.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// For the reading endpoints; and for `/arxiv/NAME/results` where it is set.
    pub(crate) ro: Option<Tables>,
    pub(crate) rw: Option<Tables>,
    pub(crate) sequence: Option<DatabaseUrl>,
    pub(crate) upstream: Option<DatabaseUrl>,
}

impl Addresses {
    /// Reads what is needed and no other credential.
    pub(crate) fn read(environment: &Environment, served: &Served) -> Result<Self, SettingError> {
        use Endpoint::{
            Arxiv, ArxivApi, GetSequence, Queries, ReadQueries, ReadResults, Results, WriteQueries,
            WriteResults,
        };
        let ro = || Tables::read(environment, Store::QueriesRo, Store::ResultsRo);
        let ro = if served.any(&[Queries, Results, ReadQueries, ReadResults]) {
            Some(ro()?)
        } else if served.has(Arxiv) {
            match ro() {
                Err(SettingError::Missing(_)) => None,
                tables => Some(tables?),
            }
        } else {
            None
        };
        let rw = || Tables::read(environment, Store::QueriesRw, Store::ResultsRw);
        let writes = served.any(&[WriteQueries, WriteResults]);
        let store = |endpoint, store: Store| {
            let is_served = served.has(endpoint);
            is_served.then(|| store.url(environment)).transpose()
        };
        Ok(Self {
            ro,
            rw: writes.then(rw).transpose()?,
            sequence: store(GetSequence, Store::Sequence)?,
            upstream: store(ArxivApi, Store::Upstream)?,
        })
    }
}

/// The stores; those that are not needed are not there.
#[derive(Default)]
pub(crate) struct Stores {
    pub(crate) reads: Option<Reads>,
    /// How far the replica with `queries` is behind.
    pub(crate) queries_lag: Lag,
    /// How far the replica with `results` is behind.
    pub(crate) results_lag: Lag,
    pub(crate) writes: Option<Writes>,
    /// To request deliveries again, where results may be written.
    pub(crate) feeds: Option<Feeds>,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) pages: Option<Pages>,
}

impl Stores {
    /// Connects to nothing yet: a database that is unavailable at the start is waited for.
    pub(crate) fn open(
        settings: &Settings,
        addresses: &Addresses,
        checks: &mut Checks,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let mut stores = Self::default();
        let mut pools = Pools {
            application_name: APPLICATION_NAME,
            statement_cache: settings.statement_cache,
            opened: Vec::new(),
        };
        let max_connections = settings.database_max_connections;
        if let Some(tables) = &addresses.ro {
            let (queries, results) =
                pools.open_tables(["ro", "results_ro"], tables, Access::ReadOnly, max_connections)?;
            stores.add_replicas(checks, metrics, &queries, &results);
            // In one database a record appears as a whole; in two, one half of it may come before the other.
            let settle = Duration::from_secs(settings.read_settle_seconds);
            stores.reads = Some(Reads::new(queries, results, tables.are_split().then_some(settle)));
        }
        if let Some(tables) = &addresses.rw {
            let (queries, results) =
                pools.open_tables(["rw", "results_rw"], tables, Access::ReadWrite, max_connections)?;
            for (endpoint, name, pool, need) in [
                (Endpoint::WriteQueries, "queries_rw", &queries, Need::QueriesWrite),
                (Endpoint::WriteResults, "results_rw", &results, Need::ResultsWrite),
            ] {
                if settings.serve.has(endpoint) {
                    add_check(checks, name, Required::AtStart, pool, need);
                }
            }
            stores.feeds = settings
                .serve
                .has(Endpoint::WriteResults)
                .then(|| Feeds::new(results.clone()));
            stores.writes = Some(Writes::new(queries, results, tables.are_split()));
        }
        let mut open = |name, url, need| {
            let pool = pools.open(name, url, Access::ReadWriteByKey, max_connections)?;
            add_check(checks, name, Required::AtStart, &pool, need);
            anyhow::Ok(pool)
        };
        if let Some(url) = &addresses.sequence {
            stores.sequence = Some(Sequence::new(open("sequence", url, Need::Sequence)?));
        }
        if let Some(url) = &addresses.upstream {
            stores.pages = Some(Pages::new(open("upstream", url, Need::Upstream)?));
        }
        register_pools(metrics, pools.opened);
        Ok(stores)
    }

    /// Replicas are shared by all processes, so none of them is taken out of service for one that is lost later.
    fn add_replicas(&self, checks: &mut Checks, metrics: &Metrics, queries: &Pool, results: &Pool) {
        let replicas = [
            ("queries_ro", queries, Need::QueriesRead, &self.queries_lag),
            ("results_ro", results, Need::ResultsRead, &self.results_lag),
        ];
        for (name, pool, need, lag) in replicas {
            let (pool, lag) = (pool.clone(), lag.clone());
            checks.add(name, Required::AtStart, move || {
                readiness::replica(pool.clone(), need, lag.clone())
            });
        }
        let lags = replicas.map(|(name, .., lag)| (name, lag.clone()));
        register_lags(metrics, lags.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(served: &str, names: &[&str]) -> Result<Addresses, SettingError> {
        let pairs = names
            .iter()
            .map(|name| (*name, format!("postgresql://u@{}/d", name.to_lowercase())));
        Addresses::read(&Environment::given(pairs), &served.parse().unwrap())
    }

    #[test]
    fn only_databases_of_served_endpoints_are_needed() {
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
        let addresses = read("results", &all).unwrap();
        assert!(addresses.rw.is_none() && addresses.sequence.is_none() && addresses.upstream.is_none());
    }

    #[test]
    fn one_table_may_be_in_another_database() {
        let ro = read("frontend", &["DATABASE_RO_URL", "DATABASE_RESULTS_RO_URL"])
            .unwrap()
            .ro
            .unwrap();
        assert!(ro.are_split());
        assert!(ro.results.as_str().contains("database_results_ro_url"));
    }
}
