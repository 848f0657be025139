//! Rights: what each user needs, and nothing else. Compared with what stands there, so that a second run changes nothing.

mod standing;
mod wanted;

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use self::standing::Standing;
use super::{Progress, Store, sql::explained};
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

/// Grants what is missing and revokes what is beyond, in one transaction: nobody who writes meanwhile notices.
pub(super) async fn settle(
    connection: &mut PgConnection,
    stores: &[Store],
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    let wanted = wanted::rights(connection, stores).await?;
    let before = standing::rights(connection).await?;
    let mut statements = standing::defaults(connection).await?;
    statements.extend(standing::memberships(connection).await?);
    for Standing {
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
        if !wanted.contains(right) {
            statements.push(format!("revoke {privilege} on {object} from {grantee} cascade"));
        } else if *grantable {
            statements.push(format!(
                "revoke grant option for {privilege} on {object} from {grantee} cascade"
            ));
        }
    }
    let held: BTreeSet<&Right> = before.iter().map(|standing| &standing.right).collect();
    for right in wanted.iter().filter(|right| !held.contains(right)) {
        let Right {
            object,
            grantee,
            privilege,
        } = right;
        statements.push(format!("grant {privilege} on {object} to {grantee}"));
    }
    if !statements.is_empty() {
        apply(connection, &statements, progress).await?;
    }
    verify(connection, &wanted, progress).await
}

async fn apply(
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
        done.map_err(|error| explained(statement, error))?;
    }
    Ok(transaction.commit().await?)
}

/// What is missing is an error; what could not be taken away (it is not the owner's to take) is told.
async fn verify(
    connection: &mut PgConnection,
    wanted: &BTreeSet<Right>,
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    let after = standing::rights(connection).await?;
    let held: BTreeSet<&Right> = after.iter().map(|standing| &standing.right).collect();
    if let Some(Right {
        object,
        grantee,
        privilege,
    }) = wanted.iter().find(|right| !held.contains(right))
    {
        return Err(StorageError::migration(format!(
            "this owner cannot grant {privilege} on {object} to {grantee}"
        )));
    }
    for Right {
        object,
        grantee,
        privilege,
    } in held.into_iter().filter(|right| !wanted.contains(right))
    {
        progress(&format!(
            "warning: {grantee} keeps {privilege} on {object}, which this owner cannot revoke"
        ));
    }
    for warning in standing::powers(connection).await? {
        progress(&warning);
    }
    Ok(())
}
