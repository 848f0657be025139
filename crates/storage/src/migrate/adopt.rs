//! Tables of the existing service, filled and in use: their columns are brought to ours; no row is touched.

use sqlx::PgConnection;

use super::{Progress, Store, patience, roles::Role};
use crate::StorageError;

/// What a column has to be able to hold.
#[derive(Clone, Copy)]
enum Holds {
    /// 16 bits or more.
    Small,
    /// 32 bits or more.
    Integer,
    /// 64 bits.
    Big,
    Text,
}

impl Holds {
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

const QUERIES: [(&str, Holds); 7] = [
    ("id", Holds::Integer),
    ("query_id", Holds::Big),
    ("timestamp", Holds::Big),
    ("status", Holds::Small),
    ("num_results", Holds::Integer),
    ("num_entries", Holds::Small),
    ("query", Holds::Text),
];
const RESULTS: [(&str, Holds); 7] = [
    ("id", Holds::Integer),
    ("query_id", Holds::Big),
    ("timestamp", Holds::Big),
    ("result_number", Holds::Small),
    ("author", Holds::Text),
    ("title", Holds::Text),
    ("journal", Holds::Text),
];

/// Brings the store's table to our columns if it is there.
pub(super) async fn adopt(
    connection: &mut PgConnection,
    store: Store,
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    let (table, needed) = match store {
        Store::Queries => ("queries", QUERIES),
        Store::Results => ("results", RESULTS),
        Store::Sequence | Store::Upstream => return Ok(()),
    };
    let columns = columns(connection, table).await?;
    if columns.is_empty() {
        return Ok(());
    }
    let mut changes = Vec::new();
    for (column, holds) in needed {
        let Some((_, current)) = columns.iter().find(|(name, _)| name == column) else {
            return Err(StorageError::migration(format!(
                "the table {table} is there but has no column {column}"
            )));
        };
        match holds.widening(current) {
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
    // What arXiv tells of a paper beside what the existing service keeps, and whose a query is.
    let further = match store {
        Store::Results => ["arxiv_id", "categories"],
        _ => ["object_namespace", "object_name"],
    };
    for column in further {
        if !has(column) {
            changes.push(format!("alter table public.{table} add column {column} text;"));
        }
    }
    changes.extend(disown(connection, table, progress).await?);
    if changes.is_empty() {
        return Ok(());
    }
    progress(&format!("{table}: adopting the existing table"));
    patience::change(
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

/// Takes a table over from a process' user: an owner has all rights. The user keeps what it needs in the same moment.
async fn disown(
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
    use super::Holds;

    #[test]
    fn widening() {
        for (holds, current, expected) in [
            (Holds::Small, "smallint", Ok(None)),
            (Holds::Small, "integer", Ok(None)),
            (Holds::Integer, "smallint", Ok(Some("integer"))),
            (Holds::Integer, "bigint", Ok(None)),
            (Holds::Big, "integer", Ok(Some("bigint"))),
            (Holds::Text, "character varying", Ok(Some("text"))),
            (Holds::Text, "integer", Err(())),
            (Holds::Big, "numeric", Err(())),
        ] {
            assert_eq!(holds.widening(current), expected, "{current}");
        }
    }
}
