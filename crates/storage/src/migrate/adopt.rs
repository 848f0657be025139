//! Tables of the existing service, filled and in use: their columns are brought to ours; no row is touched.

use super::{database::Database, grants::serial_sequences, roles::ROLES};
use crate::{StorageError, schema::Store};

/// Columns and the types that they need at least.
const QUERIES: [(&str, &str); 7] = [
    ("id", "integer"),
    ("query_id", "bigint"),
    ("timestamp", "bigint"),
    ("status", "smallint"),
    ("num_results", "integer"),
    ("num_entries", "smallint"),
    ("query", "text"),
];
const RESULTS: [(&str, &str); 7] = [
    ("id", "integer"),
    ("query_id", "bigint"),
    ("timestamp", "bigint"),
    ("result_number", "smallint"),
    ("author", "text"),
    ("title", "text"),
    ("journal", "text"),
];

/// Types (by `format_type` without modifiers), each narrower than the next.
const WIDTHS: [&[&str]; 2] = [&["smallint", "integer", "bigint"], &["character varying", "text"]];

/// Whether a column of the type `current` is too narrow; None when it can be neither used nor widened.
fn is_too_narrow(needed: &str, current: &str) -> Option<bool> {
    let widths = WIDTHS.into_iter().find(|widths| widths.contains(&needed))?;
    let width = |of: &str| widths.iter().position(|name| *name == of);
    Some(width(current)? < width(needed)?)
}

/// Brings the store's table to our columns if it is there.
pub(super) async fn adopt(database: &mut Database<'_>, store: Store) -> Result<(), StorageError> {
    // What arXiv says about a paper and the existing service does not keep, and the object that a query belongs to.
    let (table, columns_needed, texts) = match store {
        Store::Queries => ("queries", QUERIES, ["object_namespace", "object_name"]),
        Store::Results => ("results", RESULTS, ["arxiv_id", "categories"]),
        Store::Sequence | Store::Upstream => return Ok(()),
    };
    let columns = sqlx::query_as::<_, (String, String)>(
        "select attname::text, format_type(atttypid, null) from pg_attribute a
         join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = relnamespace
         where nspname = 'public' and relname = $1 and relkind in ('r', 'p') and attnum > 0 and not attisdropped",
    );
    let columns = columns.bind(table).fetch_all(&mut database.connection).await?;
    if columns.is_empty() {
        return Ok(());
    }
    let existing = |column: &str| columns.iter().find(|(name, _)| name == column);
    let fail = |why: String| StorageError::migration(format!("the table {table} is there but {why}"));
    let mut changes = Vec::new();
    for (column, needed) in columns_needed {
        let (_, current) = existing(column).ok_or_else(|| fail(format!("has no column {column}")))?;
        let is_too_narrow = is_too_narrow(needed, current)
            .ok_or_else(|| fail(format!("its column {column} is {current}")))?;
        if is_too_narrow {
            database.report(&format!("{table}.{column}: {current} becomes {needed}"));
            changes.push(format!(
                "alter table public.{table} alter column {column} type {needed};"
            ));
        }
    }
    let added = [
        ("query_uid", "uuid"),
        ("recorded_at", "timestamptz"),
        (texts[0], "text"),
        (texts[1], "text"),
    ];
    for (column, kind) in added.into_iter().filter(|(column, _)| existing(column).is_none()) {
        changes.push(format!("alter table public.{table} add column {column} {kind};"));
    }
    if existing("recorded_at").is_none() {
        // Not with its default at once: all rows would be rewritten, and would get a time they were not recorded at.
        changes.push(format!(
            "alter table public.{table} alter column recorded_at set default statement_timestamp();"
        ));
    }
    changes.extend(take_ownership(database, table).await?);
    if changes.is_empty() {
        return Ok(());
    }
    database.report(&format!("{table}: adopting the existing table"));
    database
        .change(&format!("table {table}"), &changes.join("\n"))
        .await
}

/// Makes us the owner of a table that belongs to the user of a process, since an owner has all rights. That user keeps the rights
/// that it needs, in the same transaction.
async fn take_ownership(database: &mut Database<'_>, table: &str) -> Result<Vec<String>, StorageError> {
    let owner = sqlx::query_as::<_, (String, bool)>(
        "select pg_get_userbyid(relowner)::text, relowner = current_user::regrole from pg_class c
         join pg_namespace n on n.oid = relnamespace where nspname = 'public' and relname = $1",
    );
    let (owner, is_ours) = owner.bind(table).fetch_one(&mut database.connection).await?;
    if is_ours || !ROLES.contains(&owner.as_str()) {
        return Ok(Vec::new());
    }
    database.report(&format!("{table}: taken over from {owner}"));
    let mut changes = vec![format!("alter table public.{table} owner to current_user;")];
    if owner == "arxiv_rw" {
        changes.push(format!("grant select, insert on public.{table} to {owner};"));
        let sequences = sqlx::query_scalar::<_, String>(concat!(
            "select sequence from (",
            serial_sequences!(),
            ") serial where relation = $1"
        ));
        for sequence in sequences.bind(table).fetch_all(&mut database.connection).await? {
            changes.push(format!("grant usage on sequence {sequence} to {owner};"));
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::is_too_narrow;

    #[test]
    fn column_type_is_widened_only_when_too_narrow() {
        for (needed, current, expected) in [
            ("smallint", "smallint", Some(false)),
            ("smallint", "integer", Some(false)),
            ("integer", "smallint", Some(true)),
            ("integer", "bigint", Some(false)),
            ("bigint", "integer", Some(true)),
            ("text", "character varying", Some(true)),
            ("text", "integer", None),
            ("bigint", "numeric", None),
        ] {
            assert_eq!(is_too_narrow(needed, current), expected, "{current}");
        }
    }
}
