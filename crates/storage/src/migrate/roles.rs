//! The users. Existing ones stay as they are, password included.

use postgres_protocol::password::scram_sha_256;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{Progress, RolePasswords, Store, files::migration_error};
use crate::StorageError;

/// A user of one of the processes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Role {
    Rw,
    Ro,
    Sequence,
    Operator,
    Upstream,
}

impl Role {
    pub(super) const ALL: [Self; 5] = [Self::Rw, Self::Ro, Self::Sequence, Self::Operator, Self::Upstream];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rw => "arxiv_rw",
            Self::Ro => "arxiv_ro",
            Self::Sequence => "arxiv_sequence",
            Self::Operator => "arxiv_operator",
            Self::Upstream => "arxiv_upstream",
        }
    }

    /// The users of a store.
    pub(super) fn of(store: Store) -> &'static [Self] {
        match store {
            Store::Sequence => &[Self::Sequence, Self::Operator],
            Store::Upstream => &[Self::Upstream],
            Store::Queries | Store::Results => &[Self::Rw, Self::Ro],
        }
    }

    fn password(self, passwords: &RolePasswords) -> Option<&str> {
        match self {
            Self::Rw => passwords.arxiv_rw.as_deref(),
            Self::Ro => passwords.arxiv_ro.as_deref(),
            Self::Sequence => passwords.arxiv_sequence.as_deref(),
            Self::Operator => passwords.arxiv_operator.as_deref(),
            Self::Upstream => passwords.arxiv_upstream.as_deref(),
        }
    }
}

/// Creates the stores' users that are missing.
pub(super) async fn ensure(
    connection: &mut PgConnection,
    stores: &[Store],
    passwords: &RolePasswords,
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    let mut roles: Vec<Role> = stores
        .iter()
        .flat_map(|store| Role::of(*store))
        .copied()
        .collect();
    roles.sort_unstable();
    roles.dedup();
    for role in roles {
        if !exists(connection, role).await? {
            create(connection, role, role.password(passwords)).await?;
            progress(&format!("created user {}", role.name()));
        }
    }
    Ok(())
}

async fn exists(connection: &mut PgConnection, role: Role) -> Result<bool, StorageError> {
    let exists =
        sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)").bind(role.name());
    Ok(exists.fetch_one(connection).await?)
}

async fn create(
    connection: &mut PgConnection,
    role: Role,
    password: Option<&str>,
) -> Result<(), StorageError> {
    let name = role.name();
    // As the server stores it, so that the password itself is in no statement, and so in no log of the server.
    let secret = password.map(|text| scram_sha_256(text.as_bytes()));
    // The server quotes it: `create role` takes no parameters.
    let statement: String =
        sqlx::query_scalar("select format('create role %I login password %L', $1::text, $2::text)")
            .bind(name)
            .bind(secret)
            .fetch_one(&mut *connection)
            .await?;
    let Err(error) = sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await else {
        return Ok(());
    };
    match error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .as_deref()
    {
        // Another migration, on another database of the same server, was first.
        Some("42710" | "23505") => Ok(()),
        Some("42501") => Err(StorageError::migration(format!(
            "the user {name} does not exist and this owner may not create users: create it, or give the owner CREATEROLE"
        ))),
        _ => Err(migration_error(&format!("user {name}"), error)),
    }
}
