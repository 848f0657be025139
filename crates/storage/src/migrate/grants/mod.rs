//! Rights: those that each user needs, and no others. Compared with the existing ones, so that a second run changes nothing.

mod desired;
mod existing;

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use self::existing::Existing;
use super::{Progress, Store, files::migration_error};
use crate::StorageError;

/// Sequences that fill columns of the public table `$1` (serial or not), quoted.
pub(super) const SERIAL_SEQUENCES: &str = "select distinct format('%I.%I', sn.nspname, s.relname)
    from pg_class t join pg_namespace n on n.oid = t.relnamespace
    join pg_attrdef d on d.adrelid = t.oid
    join pg_depend p on p.classid = 'pg_attrdef'::regclass and p.objid = d.oid and p.refclassid = 'pg_class'::regclass
    join pg_class s on s.oid = p.refobjid and s.relkind = 'S' join pg_namespace sn on sn.oid = s.relnamespace
    where n.nspname = 'public' and t.relname = $1";

/// One right of one grantee, as `grant` and `revoke` spell it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Right {
    /// Kind and quoted name.
    object: String,
    /// A quoted user, or `public`.
    grantee: String,
    privilege: String,
}

/// Grants missing rights and revokes superfluous ones, in one transaction: a user that writes meanwhile does not notice.
pub(super) async fn apply(
    connection: &mut PgConnection,
    stores: &[Store],
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    let desired = desired::rights(connection, stores).await?;
    let before = existing::rights(connection).await?;
    let mut statements = existing::defaults(connection).await?;
    statements.extend(existing::memberships(connection).await?);
    for Existing {
        right,
        grantable,
        revocable,
    } in &before
    {
        let Right {
            object,
            grantee,
            privilege,
        } = right;
        if !revocable {
            continue;
        }
        if !desired.contains(right) {
            statements.push(format!("revoke {privilege} on {object} from {grantee} cascade"));
        } else if *grantable {
            statements.push(format!(
                "revoke grant option for {privilege} on {object} from {grantee} cascade"
            ));
        }
    }
    let held: BTreeSet<&Right> = before.iter().map(|existing| &existing.right).collect();
    for right in desired.iter().filter(|right| !held.contains(right)) {
        let Right {
            object,
            grantee,
            privilege,
        } = right;
        statements.push(format!("grant {privilege} on {object} to {grantee}"));
    }
    if !statements.is_empty() {
        execute(connection, &statements, progress).await?;
    }
    verify(connection, &desired, progress).await
}

async fn execute(
    connection: &mut PgConnection,
    statements: &[String],
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    let mut transaction = connection.begin().await?;
    for statement in statements {
        progress(statement);
        let done = sqlx::raw_sql(AssertSqlSafe(statement.as_str()))
            .execute(&mut *transaction)
            .await;
        done.map_err(|error| migration_error(statement, error))?;
    }
    Ok(transaction.commit().await?)
}

/// A missing right is an error; a right that could not be revoked (the owner may not do that) is reported.
async fn verify(
    connection: &mut PgConnection,
    desired: &BTreeSet<Right>,
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    let after = existing::rights(connection).await?;
    let held: BTreeSet<&Right> = after.iter().map(|existing| &existing.right).collect();
    if let Some(Right {
        object,
        grantee,
        privilege,
    }) = desired.iter().find(|right| !held.contains(right))
    {
        return Err(StorageError::migration(format!(
            "this owner cannot grant {privilege} on {object} to {grantee}"
        )));
    }
    for Right {
        object,
        grantee,
        privilege,
    } in held.into_iter().filter(|right| !desired.contains(right))
    {
        progress(&format!(
            "warning: {grantee} keeps {privilege} on {object}, which this owner cannot revoke"
        ));
    }
    for warning in existing::powers(connection).await? {
        progress(&warning);
    }
    Ok(())
}
