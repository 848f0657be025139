//! Indexes, built while the tables are in use.

use std::fmt::Write;

use sqlx::{AssertSqlSafe, PgConnection};

use super::{Progress, Store, files::migration_error};
use crate::{
    StorageError,
    text_search::{CATEGORIES, vector},
};

/// An index for words and categories, identified by its name, as it consists of expressions.
struct WordIndex {
    name: &'static str,
    table: &'static str,
    /// The SQL that follows `using gin`.
    expressions: String,
}

/// The indexes for full-text search.
fn word_indexes(store: Store) -> Vec<WordIndex> {
    match store {
        Store::Queries => vec![WordIndex {
            name: "queries_words_idx",
            table: "queries",
            expressions: vector("query"),
        }],
        Store::Results => vec![WordIndex {
            name: "results_words_idx",
            table: "results",
            expressions: [
                vector("author"),
                vector("title"),
                vector("journal"),
                CATEGORIES.to_owned(),
            ]
            .join(", "),
        }],
        Store::Sequence | Store::Upstream => Vec::new(),
    }
}

/// An index that has to exist, under this name or another.
struct Index {
    name: &'static str,
    table: &'static str,
    columns: &'static [&'static str],
    unique: bool,
    /// As the server prints it.
    predicate: Option<&'static str>,
}

/// One row for each object; no query id for two objects; and indexes for reads.
const QUERIES: [Index; 6] = [
    Index {
        name: "queries_query_uid_idx",
        table: "queries",
        columns: &["query_uid"],
        unique: true,
        predicate: None,
    },
    Index {
        name: "queries_query_id_of_uid_idx",
        table: "queries",
        columns: &["query_id"],
        unique: true,
        predicate: Some("(query_uid IS NOT NULL)"),
    },
    Index {
        name: "queries_timestamp_idx",
        table: "queries",
        columns: &["timestamp"],
        unique: false,
        predicate: None,
    },
    Index {
        name: "queries_status_timestamp_id_idx",
        table: "queries",
        columns: &["status", "timestamp", "id"],
        unique: false,
        predicate: None,
    },
    Index {
        name: "queries_query_id_idx",
        table: "queries",
        columns: &["query_id"],
        unique: false,
        predicate: None,
    },
    Index {
        name: "queries_object_name_idx",
        table: "queries",
        columns: &["object_name", "object_namespace"],
        unique: false,
        predicate: Some("(object_name IS NOT NULL)"),
    },
];
const RESULTS: [Index; 3] = [
    Index {
        name: "results_query_uid_result_number_idx",
        table: "results",
        columns: &["query_uid", "result_number"],
        unique: true,
        predicate: None,
    },
    Index {
        name: "results_timestamp_idx",
        table: "results",
        columns: &["timestamp"],
        unique: false,
        predicate: None,
    },
    Index {
        name: "results_query_id_idx",
        table: "results",
        columns: &["query_id"],
        unique: false,
        predicate: None,
    },
];

/// The oldest rows of objects, where they are not kept for ever.
const BY_AGE: Index = Index {
    name: "queries_recorded_at_of_uid_idx",
    table: "queries",
    columns: &["recorded_at"],
    unique: false,
    predicate: Some("(query_uid IS NOT NULL)"),
};

/// Builds the index by age if it is missing.
pub(super) async fn ensure_by_age(
    connection: &mut PgConnection,
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    BY_AGE.ensure(connection, progress).await
}

/// Builds the store's indexes that are missing.
pub(super) async fn ensure(
    connection: &mut PgConnection,
    store: Store,
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    let indexes: &[Index] = match store {
        Store::Queries => &QUERIES,
        Store::Results => &RESULTS,
        Store::Sequence | Store::Upstream => &[],
    };
    for index in indexes {
        index.ensure(connection, progress).await?;
    }
    for index in word_indexes(store) {
        index.ensure(connection, progress).await?;
    }
    Ok(())
}

impl WordIndex {
    async fn ensure(
        &self,
        connection: &mut PgConnection,
        progress: Progress<'_>,
    ) -> Result<(), StorageError> {
        let encoding = sqlx::query_scalar::<_, String>("show server_encoding");
        if encoding.fetch_one(&mut *connection).await? != "UTF8" {
            progress(&format!(
                "warning: {} is not made, as the database is not in UTF-8: words cannot be searched for",
                self.name
            ));
            return Ok(());
        }
        let step = format!("index {}", self.name);
        let valid = sqlx::query_scalar::<_, bool>(
            "select i.indisvalid and i.indisready from pg_index i join pg_class c on c.oid = i.indexrelid
             join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and c.relname = $1",
        );
        match valid.bind(self.name).fetch_optional(&mut *connection).await? {
            Some(true) => return Ok(()),
            Some(false) => drop_left_over(connection, self.name, &step, progress).await?,
            None => {}
        }
        progress(&format!("{step}: building"));
        let sql = format!(
            "create index concurrently {} on public.{} using gin ({})",
            self.name, self.table, self.expressions
        );
        run(connection, &step, sql).await?;
        // From now on the planner knows how common a word is, which decides how it searches.
        run(connection, &step, format!("analyze public.{}", self.table)).await
    }
}

/// An interrupted build left an index that slows every write and serves no read.
async fn drop_left_over(
    connection: &mut PgConnection,
    name: &str,
    step: &str,
    progress: Progress<'_>,
) -> Result<(), StorageError> {
    progress(&format!("{step}: dropping what an interrupted build left"));
    let drop = format!("drop index concurrently if exists public.{name}");
    run(connection, step, drop).await
}

/// An index that exists.
#[derive(sqlx::FromRow)]
struct Existing {
    name: String,
    valid: bool,
    unique: bool,
    predicate: Option<String>,
    columns: Vec<Option<String>>,
}

impl Index {
    async fn ensure(
        &self,
        connection: &mut PgConnection,
        progress: Progress<'_>,
    ) -> Result<(), StorageError> {
        let existing = self.existing(connection).await?;
        if existing.iter().any(|index| self.is_served_by(index)) {
            return Ok(());
        }
        let step = format!("index {}", self.name);
        match existing.iter().find(|index| index.name == self.name) {
            Some(index) if index.valid => {
                return Err(StorageError::migration(format!(
                    "{step} is there already, but defined otherwise"
                )));
            }
            Some(_) => drop_left_over(connection, self.name, &step, progress).await?,
            None => {}
        }
        progress(&format!("{step}: building"));
        run(connection, &step, self.definition()).await
    }

    /// Whether a valid index does what this one is for.
    fn is_served_by(&self, index: &Existing) -> bool {
        let same_columns = if self.unique {
            index.columns.len() == self.columns.len()
        } else {
            // Further columns do not prevent a search by the first ones.
            index.columns.len() >= self.columns.len()
        };
        index.valid
            && (index.unique || !self.unique)
            && index.predicate.as_deref() == self.predicate
            && same_columns
            && self
                .columns
                .iter()
                .zip(&index.columns)
                .all(|(ours, theirs)| theirs.as_deref() == Some(ours))
    }

    async fn existing(&self, connection: &mut PgConnection) -> Result<Vec<Existing>, StorageError> {
        // "valid" is only what may be relied on: B-trees, checked at once (a deferred unique index is no arbiter of conflicts).
        let existing = sqlx::query_as(
            "select c.relname::text as name, i.indisvalid and i.indisready and i.indimmediate and am.amname = 'btree' as valid,
                    i.indisunique as unique, pg_get_expr(i.indpred, i.indrelid) as predicate,
                    array(select a.attname::text from generate_series(0, i.indnkeyatts - 1) k
                          left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[k] and a.attnum > 0
                          order by k) as columns
             from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am am on am.oid = c.relam
             join pg_class t on t.oid = i.indrelid join pg_namespace n on n.oid = t.relnamespace
             where n.nspname = 'public' and t.relname = $1",
        );
        Ok(existing.bind(self.table).fetch_all(connection).await?)
    }

    fn definition(&self) -> String {
        let unique = if self.unique { "unique " } else { "" };
        let columns = self.columns.join(", ");
        let mut sql = format!(
            "create {unique}index concurrently {} on public.{} ({columns})",
            self.name, self.table
        );
        if let Some(predicate) = self.predicate {
            let _ = write!(sql, " where {predicate}");
        }
        sql
    }
}

/// Concurrent builds cannot be in a transaction; they wait for others' transactions, and block none meanwhile.
async fn run(connection: &mut PgConnection, step: &str, sql: String) -> Result<(), StorageError> {
    match sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await {
        Ok(_) => Ok(()),
        Err(error) => Err(migration_error(step, error)),
    }
}
