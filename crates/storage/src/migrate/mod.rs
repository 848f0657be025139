//! Prepares the databases: run with the owner's credential as a step of its own.

use crate::StorageError;

/// Where the stores are and what new users' passwords are. No `Debug`: it holds secrets.
#[derive(Clone)]
pub struct MigrateSettings {
    /// Owner's `postgresql://` URL of the database with the sequence and the ledger.
    pub sequence_url: String,
    /// Owner's URL of the database with the gate and the pages.
    pub upstream_url: String,
    /// Owner's URL of the database with `queries`.
    pub queries_url: String,
    /// Owner's URL of the database with `results`.
    pub results_url: String,
    /// Passwords for users that do not exist yet.
    pub passwords: RolePasswords,
}

/// Passwords for users that do not exist yet; existing ones keep theirs. Without one a user is created without a password.
#[derive(Clone, Default)]
pub struct RolePasswords {
    /// `arxiv_rw`: records and writes.
    pub arxiv_rw: Option<String>,
    /// `arxiv_ro`: reads.
    pub arxiv_ro: Option<String>,
    /// `arxiv_sequence`: numbers.
    pub arxiv_sequence: Option<String>,
    /// `arxiv_operator`: the ledger.
    pub arxiv_operator: Option<String>,
    /// `arxiv_upstream`: gate and pages.
    pub arxiv_upstream: Option<String>,
}

/// Brings all stores to this version: new ones, those of the existing service (which may go on writing), and our own.
/// May be run again, and by several at once. `progress` gets a line for each step.
pub async fn run(settings: &MigrateSettings, progress: &(dyn Fn(&str) + Sync)) -> Result<(), StorageError> {
    progress(&settings.queries_url);
    todo!()
}
