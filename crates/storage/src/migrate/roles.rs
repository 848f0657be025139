//! The users. Existing ones stay as they are, password included.

use postgres_protocol::password::scram_sha_256;
use sqlx::AssertSqlSafe;

use super::{
    RolePasswords,
    database::{Database, migration_error},
};
use crate::{StorageError, error::sqlstate, schema::Need};

/// The users of all stores.
pub(super) const ROLES: [&str; 5] = [
    "arxiv_rw",
    "arxiv_ro",
    "arxiv_sequence",
    "arxiv_operator",
    "arxiv_upstream",
];

/// Creates the users of the database's stores that are missing.
pub(super) async fn ensure(
    database: &mut Database<'_>,
    passwords: &RolePasswords,
) -> Result<(), StorageError> {
    let passwords = [
        &passwords.arxiv_rw,
        &passwords.arxiv_ro,
        &passwords.arxiv_sequence,
        &passwords.arxiv_operator,
        &passwords.arxiv_upstream,
    ];
    for (role, password) in ROLES.into_iter().zip(passwords) {
        let mut needs = Need::ALL.iter().map(|need| need.of());
        if !needs.any(|(user, store)| user == role && database.stores.contains(&store)) {
            continue;
        }
        let exists = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)").bind(role);
        if !exists.fetch_one(&mut database.connection).await? {
            create(database, role, password.as_deref()).await?;
            database.report(&format!("created user {role}"));
        }
    }
    Ok(())
}

async fn create(database: &mut Database<'_>, role: &str, password: Option<&str>) -> Result<(), StorageError> {
    // As the server stores it, so that the password itself is in no statement, and so in no log of the server.
    let secret = password.map(|text| scram_sha_256(text.as_bytes()));
    // The server quotes it: `create role` takes no parameters.
    let statement: String =
        sqlx::query_scalar("select format('create role %I login password %L', $1::text, $2::text)")
            .bind(role)
            .bind(secret)
            .fetch_one(&mut database.connection)
            .await?;
    let created = sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut database.connection)
        .await;
    let Err(error) = created else {
        return Ok(());
    };
    match sqlstate(&error).as_deref() {
        // Another migration, on another database of the same server, was first.
        Some("42710" | "23505") => Ok(()),
        Some("42501") => Err(StorageError::migration(format!(
            "the user {role} does not exist and this owner may not create users: create it, or give the owner CREATEROLE"
        ))),
        _ => Err(migration_error(&format!("user {role}"), error)),
    }
}
