//! The logical databases of the project, which may all be one database: where their addresses are set, their pools, and
//! whether they can be used. Both processes and the migrations read their addresses from the one table in [`Store`].

mod check;
mod pools;

pub use check::{add_check, check};
pub use pools::{PoolError, Pools};

use service::settings::{DatabaseUrl, Environment, SettingError, database_url};
use storage::Access;

/// A database, as one user sees it.
#[derive(Clone, Copy, Debug)]
pub struct Store {
    /// Before the names of its settings: `PREFIX_URL`, `PREFIX_HOST`, …
    prefix: &'static str,
    /// The store whose settings are used where this one has none.
    common: Option<&'static Self>,
    /// What it holds; completes "… is not set; it names ".
    holds: &'static str,
}

const READ_WRITE: Store = Store::new(
    "DATABASE_RW",
    None,
    "the database with queries and results, to write",
);
const READ_ONLY: Store = Store::new(
    "DATABASE_RO",
    None,
    "the database with queries and results, to read",
);
const OWNER: Store = Store::new(
    "DATABASE_OWNER",
    None,
    "the owner of the database with queries and results",
);

impl Store {
    /// The sequence, for its users.
    pub const SEQUENCE: Self = Self::new("DATABASE_SEQUENCE", None, "the database with the sequence");
    /// The sequence with its ledger, for the operator.
    pub const LEDGER: Self = Self::new(
        "DATABASE_LEDGER",
        None,
        "the database with the sequence and its ledger",
    );
    /// The gate and the pages.
    pub const UPSTREAM: Self = Self::new(
        "DATABASE_UPSTREAM",
        None,
        "the database with the gate and the pages",
    );
    /// The sequence with its ledger, for the migrations.
    pub const SEQUENCE_OWNER: Self = Self::new(
        "DATABASE_SEQUENCE_OWNER",
        None,
        "the owner of the sequence database",
    );
    /// The gate and the pages, for the migrations.
    pub const UPSTREAM_OWNER: Self = Self::new(
        "DATABASE_UPSTREAM_OWNER",
        Some(&Self::SEQUENCE_OWNER),
        "the owner of the database with the gate and the pages",
    );

    const fn new(prefix: &'static str, common: Option<&'static Self>, holds: &'static str) -> Self {
        Self {
            prefix,
            common,
            holds,
        }
    }

    /// Its address; an error if there is none.
    pub fn url(&self, environment: &Environment) -> Result<DatabaseUrl, SettingError> {
        match (database_url(environment, self.prefix)?, self.common) {
            (Some(url), _) => Ok(url),
            (None, Some(common)) => common.url(environment),
            (None, None) => Err(SettingError::missing(
                format!("{}_URL", self.prefix),
                format!("it names {}", self.holds),
            )),
        }
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
    /// For reads or writes.
    pub fn read(environment: &Environment, access: Access) -> Result<Self, SettingError> {
        let (queries, results, common) = match access {
            Access::ReadOnly => ("DATABASE_QUERIES_RO", "DATABASE_RESULTS_RO", &READ_ONLY),
            Access::ReadWrite => ("DATABASE_QUERIES_RW", "DATABASE_RESULTS_RW", &READ_WRITE),
        };
        Self::of(environment, queries, results, common)
    }

    /// For the migrations.
    pub fn of_owner(environment: &Environment) -> Result<Self, SettingError> {
        Self::of(
            environment,
            "DATABASE_QUERIES_OWNER",
            "DATABASE_RESULTS_OWNER",
            &OWNER,
        )
    }

    fn of(
        environment: &Environment,
        queries: &'static str,
        results: &'static str,
        common: &'static Store,
    ) -> Result<Self, SettingError> {
        let url = |prefix| Store::new(prefix, Some(common), common.holds).url(environment);
        Ok(Self {
            queries: url(queries)?,
            results: url(results)?,
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
            let tables = Tables::read(&environment, Access::ReadWrite).unwrap();
            assert_eq!(tables.are_split(), split, "{extra:?}");
        }
    }

    #[test]
    fn store_without_settings_takes_those_of_its_common_store() {
        let sequence = ("DATABASE_SEQUENCE_OWNER_URL", "postgresql://o@h/s");
        let own = ("DATABASE_UPSTREAM_OWNER_URL", "postgresql://o@h/u");
        for (settings, expected) in [(vec![sequence], sequence.1), (vec![sequence, own], own.1)] {
            let url = Store::UPSTREAM_OWNER.url(&Environment::given(settings)).unwrap();
            assert_eq!(url.as_str(), expected);
        }
    }

    #[test]
    fn missing_setting_is_named() {
        let none = Environment::given([("X", "y")]);
        for (missing, error) in [
            ("DATABASE_LEDGER_URL", Store::LEDGER.url(&none).err()),
            (
                "DATABASE_SEQUENCE_OWNER_URL",
                Store::UPSTREAM_OWNER.url(&none).err(),
            ),
            ("DATABASE_RW_URL", Tables::read(&none, Access::ReadWrite).err()),
            ("DATABASE_RO_URL", Tables::read(&none, Access::ReadOnly).err()),
            ("DATABASE_OWNER_URL", Tables::of_owner(&none).err()),
        ] {
            let error = error.unwrap().to_string();
            assert!(
                error.starts_with(&format!("{missing} is not set; it names ")),
                "{error}"
            );
        }
    }
}
