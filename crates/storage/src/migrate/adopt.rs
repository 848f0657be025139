//! Tables of the existing service, filled and in use: their columns are brought to ours; no row is touched.

use sqlx::PgConnection;

use super::{Progress, Store, lock_timeout, roles::Role};
use crate::StorageError;

/// The type that a column needs.
#[derive(Clone, Copy)]
enum ColumnType {
    /// 16 bits or more.
    Small,
    /// 32 bits or more.
    Integer,
    /// 64 bits.
    Big,
    Text,
}

impl ColumnType {
    /// The type to change to, if `current` (by `format_type` without modifiers) is too narrow; None when it will do.
    fn widening(self, current: &str) -> Result<Option<&'static str>, ()> {
        match (self, current) {
            (Self::Small, "smallint" | "integer" | "bigint")
            | (Self::Integer, "integer" | "bigint")
            | (Self::Big, "bigint")
            | (Self::Text, "text") => Ok(None),
            (Self::Integer, "smallint") => Ok(Some("integer")),
            (Self::Big, "smallint" | "integer") => Ok(Some("bigint")),
            (Self::Text, "character varying") => Ok(Some("text")),
            _ => Err(()),
        }
    }
}

const QUERIES: [(&str, ColumnType); 7] = [
    ("id", ColumnType::Integer),
    ("query_id", ColumnType::Big),
    ("timestamp", ColumnType::Big),
    ("status", ColumnType::Small),
    ("num_results", ColumnType::Integer),
    ("num_entries", ColumnType::Small),
    ("query", ColumnType::Text),
];
const RESULTS: [(&str, ColumnType); 7] = [
    ("id", ColumnType::Integer),
    ("query_id", ColumnType::Big),
    ("timestamp", ColumnType::Big),
    ("result_number", ColumnType::Small),
    ("author", ColumnType::Text),
    ("title", ColumnType::Text),
    ("journal", ColumnType::Text),
];

/// Brings the store's table to our columns if it is there.
pub(super) async fn adopt(
    connection: &mut PgConnection,
    store: Store,
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    let (table, columns_needed) = match store {
        Store::Queries => ("queries", QUERIES),
        Store::Results => ("results", RESULTS),
        Store::Sequence | Store::Upstream => return Ok(()),
    };
    let columns = columns(connection, table).await?;
    if columns.is_empty() {
        return Ok(());
    }
    let mut changes = Vec::new();
    for (column, needed) in columns_needed {
        let Some((_, current)) = columns.iter().find(|(name, _)| name == column) else {
            return Err(StorageError::migration(format!(
                "the table {table} is there but has no column {column}"
            )));
        };
        match needed.widening(current) {
            Ok(None) => {}
            Ok(Some(wider)) => {
                progress(&format!("{table}.{column}: {current} becomes {wider}"));
                changes.push(format!(
                    "alter table public.{table} alter column {column} type {wider};"
                ));
            }
            Err(()) => {
                let message = format!("the table {table} is there but its column {column} is {current}");
                return Err(StorageError::migration(message));
            }
        }
    }
    let has = |column: &str| columns.iter().any(|(name, _)| name == column);
    if !has("query_uid") {
        changes.push(format!("alter table public.{table} add column query_uid uuid;"));
    }
    if !has("recorded_at") {
        // In two steps: with its default at once, all rows would be rewritten, and would get a time they were not recorded at.
        changes.push(format!(
            "alter table public.{table} add column recorded_at timestamptz;"
        ));
        changes.push(format!(
            "alter table public.{table} alter column recorded_at set default clock_timestamp();"
        ));
    }
    // What arXiv says about a paper and the existing service does not keep, and the object that a query belongs to.
    let added = match store {
        Store::Results => ["arxiv_id", "categories"],
        _ => ["object_namespace", "object_name"],
    };
    for column in added {
        if !has(column) {
            changes.push(format!("alter table public.{table} add column {column} text;"));
        }
    }
    changes.extend(take_ownership(connection, table, progress).await?);
    if changes.is_empty() {
        return Ok(());
    }
    progress(&format!("{table}: adopting the existing table"));
    lock_timeout::change(
        connection,
        &format!("table {table}"),
        &changes.join("\n"),
        progress,
    )
    .await
}

async fn columns(connection: &mut PgConnection, table: &str) -> Result<Vec<(String, String)>, StorageError> {
    let columns = sqlx::query_as(
        "select attname::text, format_type(atttypid, null) from pg_attribute a
         join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = relnamespace
         where nspname = 'public' and relname = $1 and relkind in ('r', 'p') and attnum > 0 and not attisdropped",
    );
    Ok(columns.bind(table).fetch_all(connection).await?)
}

/// Makes us the owner of a table that belongs to the user of a process, since an owner has all rights. That user keeps the rights
/// that it needs, in the same transaction.
async fn take_ownership(
    connection: &mut PgConnection,
    table: &str,
    progress: Progress<'_>,
) -> Result<Vec<String>, StorageError> {
    let owner: (String, bool) = sqlx::query_as(
        "select pg_get_userbyid(relowner)::text, relowner = current_user::regrole from pg_class c
         join pg_namespace n on n.oid = relnamespace where nspname = 'public' and relname = $1",
    )
    .bind(table)
    .fetch_one(&mut *connection)
    .await?;
    let (owner, is_ours) = owner;
    if is_ours || !Role::ALL.iter().any(|role| role.name() == owner) {
        return Ok(Vec::new());
    }
    progress(&format!("{table}: taken over from {owner}"));
    let mut changes = vec![format!("alter table public.{table} owner to current_user;")];
    if owner == Role::Rw.name() {
        changes.push(format!("grant select, insert on public.{table} to {owner};"));
        let sequences = sqlx::query_scalar::<_, String>(super::grants::SERIAL_SEQUENCES).bind(table);
        for sequence in sequences.fetch_all(connection).await? {
            changes.push(format!("grant usage on sequence {sequence} to {owner};"));
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::ColumnType;

    #[test]
    fn column_type_is_widened_only_when_too_narrow() {
        for (needed, current, expected) in [
            (ColumnType::Small, "smallint", Ok(None)),
            (ColumnType::Small, "integer", Ok(None)),
            (ColumnType::Integer, "smallint", Ok(Some("integer"))),
            (ColumnType::Integer, "bigint", Ok(None)),
            (ColumnType::Big, "integer", Ok(Some("bigint"))),
            (ColumnType::Text, "character varying", Ok(Some("text"))),
            (ColumnType::Text, "integer", Err(())),
            (ColumnType::Big, "numeric", Err(())),
        ] {
            assert_eq!(needed.widening(current), expected, "{current}");
        }
    }
}
