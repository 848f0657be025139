//! The database servers, their users and passwords.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::postgres::{Cache, Postgres, Settings};
use crate::process::Spec;

/// Owns the databases and may create roles, but is no superuser: the rights that a careful administrator grants to migrations.
const OWNER: &str = "arxiv_owner";
const USERS: [&str; 5] = [
    "arxiv_rw",
    "arxiv_ro",
    "arxiv_sequence",
    "arxiv_operator",
    "arxiv_upstream",
];
const MAIN: &str = "arxiv";
const SEQUENCE: &str = "arxiv_sequence";
/// Names of the servers' folders and of the file with the passwords.
pub(super) const POSTGRES: &str = "postgres";
pub(super) const REPLICA: &str = "replica";
pub(super) const RESULTS: &str = "results";
pub(super) const PASSWORDS: &str = "passwords.json";
const MIGRATE_LIMIT: Duration = Duration::from_mins(2);

/// A primary, its replica, and optionally a second server with the `results` table.
#[derive(Debug)]
pub struct Databases {
    /// The replica, which serves reads.
    pub replica: Postgres,
    /// The primary.
    pub primary: Postgres,
    /// The separate server of the `results` table, if there is one.
    pub results: Option<Postgres>,
    passwords: BTreeMap<String, String>,
}

/// How the servers are started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// Flush to disk as in production.
    pub fsync: bool,
    /// A server of its own for `results`.
    pub separate_results_server: bool,
    /// The cache of each server.
    pub cache: Cache,
}

impl Databases {
    /// Starts the servers with their data in `folder`: empty databases and their owner, ready for migrations.
    pub async fn start(folder: &Path, layout: Layout) -> Result<Self> {
        let passwords = passwords(&folder.join(PASSWORDS))?;
        let settings = |name: &str| Settings {
            fsync: layout.fsync,
            folder: Some(folder.join(name)),
            port: None,
            cache: layout.cache,
        };
        let primary = Postgres::start_with(&settings(POSTGRES)).await?;
        prepare(&primary, &[MAIN, SEQUENCE], &passwords[OWNER]).await?;
        let replica = primary.replica_with(&settings(REPLICA)).await?;
        let results = if layout.separate_results_server {
            let server = Postgres::start_with(&settings(RESULTS)).await?;
            prepare(&server, &[MAIN], &passwords[OWNER]).await?;
            Some(server)
        } else {
            None
        };
        Ok(Self {
            replica,
            primary,
            results,
            passwords,
        })
    }

    /// Runs `arxiv-operator migrate` with the owner's credential.
    pub async fn migrate(&self, operator: &Path, folder: &Path) -> Result<()> {
        let mut spec = Spec::new(operator, folder.join("logs/migrate.log"))
            .arg("migrate")
            .env("DATABASE_OWNER_URL", self.url(&self.primary, OWNER, MAIN))
            .env(
                "DATABASE_SEQUENCE_OWNER_URL",
                self.url(&self.primary, OWNER, SEQUENCE),
            );
        if let Some(results) = &self.results {
            spec = spec.env("DATABASE_RESULTS_OWNER_URL", self.url(results, OWNER, MAIN));
        }
        for user in USERS {
            spec = spec.env(format!("{}_PASSWORD", user.to_uppercase()), &self.passwords[user]);
        }
        spec.run(MIGRATE_LIMIT).await
    }

    /// `arxiv_rw` on the primary.
    pub fn rw_url(&self) -> String {
        self.url(&self.primary, "arxiv_rw", MAIN)
    }

    /// `arxiv_ro` on the replica.
    pub fn ro_url(&self) -> String {
        self.url(&self.replica, "arxiv_ro", MAIN)
    }

    /// `arxiv_sequence` on the primary.
    pub fn sequence_url(&self) -> String {
        self.url(&self.primary, "arxiv_sequence", SEQUENCE)
    }

    /// `arxiv_operator`, the user of the ledger, on the primary.
    pub fn ledger_url(&self) -> String {
        self.url(&self.primary, "arxiv_operator", SEQUENCE)
    }

    /// `arxiv_upstream`, the user of the gate and the pages, on the primary.
    pub fn upstream_url(&self) -> String {
        self.url(&self.primary, "arxiv_upstream", SEQUENCE)
    }

    /// `arxiv_rw` on the separate server of the `results` table, if there is one.
    pub fn results_rw_url(&self) -> Option<String> {
        self.results
            .as_ref()
            .map(|server| self.url(server, "arxiv_rw", MAIN))
    }

    /// `arxiv_ro` on the separate server of the `results` table, if there is one.
    pub fn results_ro_url(&self) -> Option<String> {
        self.results
            .as_ref()
            .map(|server| self.url(server, "arxiv_ro", MAIN))
    }

    /// The owner of the database with queries and results.
    pub fn owner_url(&self) -> String {
        self.url(&self.primary, OWNER, MAIN)
    }

    /// The owner of the sequence database.
    pub fn sequence_owner_url(&self) -> String {
        self.url(&self.primary, OWNER, SEQUENCE)
    }

    /// The superuser on the primary.
    pub fn admin_url(&self) -> String {
        self.primary.admin_url(MAIN)
    }

    pub(super) async fn stop(&self) -> Result<()> {
        // A primary that stops first sends everything it has written to its running replica.
        self.primary.stop().await?;
        self.replica.stop().await?;
        if let Some(results) = &self.results {
            results.stop().await?;
        }
        Ok(())
    }

    fn url(&self, server: &Postgres, user: &str, database: &str) -> String {
        server.url(user, &self.passwords[user], database)
    }
}

/// Random passwords, stored next to the data they belong to.
fn passwords(file: &Path) -> Result<BTreeMap<String, String>> {
    if file.exists() {
        return Ok(serde_json::from_str(&fs::read_to_string(file)?)?);
    }
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let all = USERS
        .iter()
        .chain([&OWNER])
        .map(|user| ((*user).to_owned(), random()))
        .collect();
    crate::temp_dir::write_private(file, &serde_json::to_string(&all)?)?;
    Ok(all)
}

/// Creates the owner and its empty databases, if they do not exist yet.
async fn prepare(server: &Postgres, databases: &[&str], password: &str) -> Result<()> {
    let mut connection = server.connect("postgres").await?;
    let existing: Vec<String> = sqlx::query_scalar("select datname::text from pg_database")
        .fetch_all(&mut connection)
        .await?;
    if existing.iter().any(|name| name == MAIN) {
        return Ok(());
    }
    let owner = format!("create role {OWNER} login createrole password '{password}'");
    server.execute("postgres", &owner).await?;
    for database in databases {
        server
            .execute("postgres", &format!("create database {database} owner {OWNER}"))
            .await?;
    }
    Ok(())
}
