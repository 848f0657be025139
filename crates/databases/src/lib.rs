//! The logical databases of the project, which may all be one database: where their addresses are set, their pools, and
//! whether they can be used. Both processes and the migrations read their addresses from the one table of [`Store`].

mod pools;

pub use pools::{PoolError, Pools, add_check, address, check};

use service::settings::{DatabaseUrl, Environment, SettingError, database_url};

/// A logical database, as one user sees it.
#[derive(Clone, Copy, Debug)]
pub enum Store {
    /// `queries`, to read.
    QueriesRo,
    /// `results`, to read.
    ResultsRo,
    /// `queries`, to write.
    QueriesRw,
    /// `results`, to write.
    ResultsRw,
    /// The sequence.
    Sequence,
    /// The sequence with its ledger.
    Ledger,
    /// The gate and the pages.
    Upstream,
    /// `queries`, to migrate.
    QueriesOwner,
    /// `results`, to migrate.
    ResultsOwner,
    /// The sequence with its ledger, to migrate.
    SequenceOwner,
    /// The gate and the pages, to migrate.
    UpstreamOwner,
}

impl Store {
    /// Before the names of its settings (`PREFIX_URL`, `PREFIX_HOST`, …): the prefixes of which the first one that is set counts;
    /// and what the last one names.
    fn settings(self) -> (&'static [&'static str], &'static str) {
        const RO: &str = "the database with queries and results, to read";
        const RW: &str = "the database with queries and results, to write";
        const OWNER: &str = "the owner of the database with queries and results";
        const SEQUENCE: &str = "the owner of the sequence database";
        match self {
            Self::QueriesRo => (&["DATABASE_QUERIES_RO", "DATABASE_RO"], RO),
            Self::ResultsRo => (&["DATABASE_RESULTS_RO", "DATABASE_RO"], RO),
            Self::QueriesRw => (&["DATABASE_QUERIES_RW", "DATABASE_RW"], RW),
            Self::ResultsRw => (&["DATABASE_RESULTS_RW", "DATABASE_RW"], RW),
            Self::Sequence => (&["DATABASE_SEQUENCE"], "the database with the sequence"),
            Self::Ledger => (
                &["DATABASE_LEDGER"],
                "the database with the sequence and its ledger",
            ),
            Self::Upstream => (&["DATABASE_UPSTREAM"], "the database with the gate and the pages"),
            Self::QueriesOwner => (&["DATABASE_QUERIES_OWNER", "DATABASE_OWNER"], OWNER),
            Self::ResultsOwner => (&["DATABASE_RESULTS_OWNER", "DATABASE_OWNER"], OWNER),
            Self::SequenceOwner => (&["DATABASE_SEQUENCE_OWNER"], SEQUENCE),
            Self::UpstreamOwner => (&["DATABASE_UPSTREAM_OWNER", "DATABASE_SEQUENCE_OWNER"], SEQUENCE),
        }
    }

    /// Its address; an error if there is none.
    pub fn url(self, environment: &Environment) -> Result<DatabaseUrl, SettingError> {
        let (prefixes, names) = self.settings();
        let mut last = "";
        for prefix in prefixes {
            if let Some(url) = database_url(environment, prefix)? {
                return Ok(url);
            }
            last = prefix;
        }
        let purpose = format!("it names {names}");
        Err(SettingError::missing(&format!("{last}_URL"), &purpose))
    }
}

/// The addresses of the tables `queries` and `results`, which may be in different databases.
#[derive(Clone, Debug)]
pub struct Tables {
    /// The database with `queries`.
    pub queries: DatabaseUrl,
    /// The database with `results`.
    pub results: DatabaseUrl,
}

impl Tables {
    /// The addresses of both.
    pub fn read(environment: &Environment, queries: Store, results: Store) -> Result<Self, SettingError> {
        Ok(Self {
            queries: queries.url(environment)?,
            results: results.url(environment)?,
        })
    }

    /// Whether the two tables are in different databases, so that no transaction spans them.
    pub fn are_split(&self) -> bool {
        !self.queries.same_database(&self.results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RW: (&str, &str) = ("DATABASE_RW_URL", "postgresql://rw@h/arxiv");

    #[test]
    fn tables_are_split_when_their_databases_differ() {
        for (extra, split) in [
            (None, false),
            (
                Some(("DATABASE_RESULTS_RW_URL", "postgresql://rw@h/arxiv")),
                false,
            ),
            (
                Some(("DATABASE_RESULTS_RW_URL", "postgresql://rw@other/arxiv")),
                true,
            ),
            (
                Some(("DATABASE_QUERIES_RW_URL", "postgresql://rw@h/elsewhere")),
                true,
            ),
        ] {
            let environment = Environment::given([RW].into_iter().chain(extra));
            let tables = Tables::read(&environment, Store::QueriesRw, Store::ResultsRw).unwrap();
            assert_eq!(tables.are_split(), split, "{extra:?}");
        }
    }

    #[test]
    fn store_without_settings_takes_the_common_ones() {
        let sequence = ("DATABASE_SEQUENCE_OWNER_URL", "postgresql://o@h/s");
        let own = ("DATABASE_UPSTREAM_OWNER_URL", "postgresql://o@h/u");
        for (settings, expected) in [(vec![sequence], sequence.1), (vec![sequence, own], own.1)] {
            let url = Store::UpstreamOwner.url(&Environment::given(settings)).unwrap();
            assert_eq!(url.as_str(), expected);
        }
    }

    #[test]
    fn missing_setting_is_named() {
        let none = Environment::given([("X", "y")]);
        for (missing, store) in [
            ("DATABASE_LEDGER_URL", Store::Ledger),
            ("DATABASE_SEQUENCE_OWNER_URL", Store::UpstreamOwner),
            ("DATABASE_RW_URL", Store::ResultsRw),
            ("DATABASE_RO_URL", Store::QueriesRo),
            ("DATABASE_OWNER_URL", Store::ResultsOwner),
        ] {
            let error = store.url(&none).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{missing} is not set; it names ")),
                "{error}"
            );
        }
    }
}
