//! Indexes, built while the tables are in use.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::database::Database;
use crate::{
    StorageError,
    schema::Store,
    text_search::{CATEGORIES, PAPER_AUTHORS, PAPER_DOIS, PAPER_TITLE, PAPER_YEARS, vector},
};

/// An index that has to exist: under this name, or as a B-tree under another.
struct Index {
    name: Cow<'static, str>,
    /// `btree`, or `gin` for words and categories.
    method: &'static str,
    unique: bool,
    /// With commas between.
    columns: Cow<'static, str>,
    /// As the server prints it.
    predicate: Option<&'static str>,
    /// Whether ANALYZE collects statistics of its expressions.
    analyzed: bool,
}

impl Index {
    fn on(name: &'static str, columns: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            method: "btree",
            unique: false,
            columns: Cow::Borrowed(columns),
            predicate: None,
            analyzed: true,
        }
    }

    fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    fn only(mut self, predicate: &'static str) -> Self {
        self.predicate = Some(predicate);
        self
    }

    /// Without statistics of its columns, all of which are expressions: no read needs to know how common a word is, and ANALYZE would
    /// compute the words of 30,000 rows each time that a tenth of the rows are new.
    fn not_analyzed(mut self) -> Self {
        self.analyzed = false;
        self
    }

    /// For full-text search. Its name has a hash of its expressions: when they change, it is another index.
    fn words(table: &str, expressions: String) -> Self {
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(&expressions));
        let hash = u32::from_be_bytes([a, b, c, d]);
        Self {
            name: format!("{table}_words_{hash:08x}_idx").into(),
            method: "gin",
            columns: expressions.into(),
            ..Self::on("", "")
        }
    }
}

/// One row for each object; no query id for two objects; and indexes for reads.
fn of_queries() -> Vec<Index> {
    vec![
        Index::on("queries_query_uid_idx", "query_uid").unique(),
        Index::on("queries_query_id_of_uid_idx", "query_id")
            .unique()
            .only("(query_uid IS NOT NULL)"),
        Index::on("queries_timestamp_idx", "timestamp"),
        Index::on("queries_status_timestamp_id_idx", "status, timestamp, id"),
        Index::on("queries_query_id_idx", "query_id"),
        Index::on("queries_object_name_idx", "object_name, object_namespace")
            .only("(object_name IS NOT NULL)"),
        Index::words("queries", vector("query")).not_analyzed(),
    ]
}

fn of_results() -> Vec<Index> {
    let words = ["author", "title", "journal"].map(vector).join(", ");
    vec![
        Index::on("results_query_uid_result_number_idx", "query_uid, result_number").unique(),
        Index::on("results_timestamp_idx", "timestamp"),
        Index::on("results_query_id_idx", "query_id"),
        Index::words("results", format!("{words}, {CATEGORIES}")).not_analyzed(),
    ]
}

fn of_papers() -> Vec<Index> {
    vec![
        Index::on("arxiv_papers_updated_idx", "updated, paper, version"),
        Index::on("arxiv_papers_published_idx", "published, paper, version"),
        Index::words(
            "arxiv_papers",
            format!("words, {PAPER_AUTHORS}, category_keys, {PAPER_DOIS}, {PAPER_TITLE}, {PAPER_YEARS}"),
        ),
    ]
}

/// Builds the index of the oldest rows of objects, if it is missing.
pub(super) async fn ensure_by_age(database: &mut Database<'_>) -> Result<(), StorageError> {
    let by_age = Index::on("queries_recorded_at_of_uid_idx", "recorded_at").only("(query_uid IS NOT NULL)");
    by_age.ensure(database, "queries").await
}

/// Builds the store's indexes that are missing.
pub(super) async fn ensure(database: &mut Database<'_>, store: Store) -> Result<(), StorageError> {
    let tables = match store {
        Store::Queries => vec![("queries", of_queries())],
        Store::Results => vec![("results", of_results()), ("arxiv_papers", of_papers())],
        Store::Sequence | Store::Upstream => return Ok(()),
    };
    for (table, indexes) in tables {
        for index in indexes {
            index.ensure(database, table).await?;
        }
    }
    Ok(())
}

/// Drops indexes for words whose expressions were those of earlier versions: in the first run that finds the present one complete,
/// so that programs of the version before, which still run after the migration, find their own one until the next upgrade.
async fn drop_former(database: &mut Database<'_>, table: &str, present: &str) -> Result<(), StorageError> {
    let former = sqlx::query_scalar::<_, String>(
        "select indexname::text from pg_indexes where schemaname = 'public' and tablename = $1 and indexname <> $2
         and indexname ~ ('^' || $1 || '_words_([0-9a-f]{8}_)?idx$')",
    );
    let former = former.bind(table).bind(present);
    for name in former.fetch_all(&mut database.connection).await? {
        let step = format!("index {name}");
        database.report(&format!("{step}: dropping, as {present} takes its place"));
        let drop = format!("drop index concurrently if exists public.{name}");
        database.execute(&step, drop).await?;
    }
    Ok(())
}

impl Index {
    /// Concurrent builds cannot be in a transaction; they wait for others' transactions, and block none meanwhile.
    async fn ensure(&self, database: &mut Database<'_>, table: &str) -> Result<(), StorageError> {
        let Self {
            name,
            method,
            columns,
            ..
        } = self;
        let is_for_words = *method == "gin";
        let step = format!("index {name}");
        match self.existing(database, table).await? {
            (true, _) if is_for_words => {
                self.skip_in_analyze(database).await?;
                return drop_former(database, table, name).await;
            }
            (true, _) => return Ok(()),
            (false, Some(true)) => {
                return Err(StorageError::migration(format!(
                    "{step} is there already, but defined otherwise"
                )));
            }
            // It slows every write and serves no read.
            (false, Some(false)) => {
                database.report(&format!("{step}: dropping what an interrupted build left"));
                let drop = format!("drop index concurrently if exists public.{name}");
                database.execute(&step, drop).await?;
            }
            (false, None) => {}
        }
        database.report(&format!("{step}: building"));
        let unique = if self.unique { "unique " } else { "" };
        let predicate = self
            .predicate
            .map(|predicate| format!(" where {predicate}"))
            .unwrap_or_default();
        let create = format!(
            "create {unique}index concurrently {name} on public.{table} using {method} ({columns}){predicate}"
        );
        database.execute(&step, create).await?;
        self.skip_in_analyze(database).await?;
        if is_for_words && self.analyzed {
            // From now on the planner knows how common a word is, which decides how it searches.
            database.execute(&step, format!("analyze public.{table}")).await?;
        }
        Ok(())
    }

    /// Turns the statistics of its columns off, if they are to be off and are not.
    async fn skip_in_analyze(&self, database: &mut Database<'_>) -> Result<(), StorageError> {
        if self.analyzed {
            return Ok(());
        }
        let on = sqlx::query_scalar::<_, i16>(
            "select attnum from pg_attribute where attrelid = to_regclass('public.' || quote_ident($1))
             and attstattarget is distinct from 0 order by attnum",
        );
        let on = on.bind(&*self.name).fetch_all(&mut database.connection).await?;
        if on.is_empty() {
            return Ok(());
        }
        let off = on
            .iter()
            .map(|column| format!("alter column {column} set statistics 0"));
        let off = off.collect::<Vec<_>>().join(", ");
        let alter = format!("alter index public.{} {off}", self.name);
        database
            .execute(&format!("statistics of index {}", self.name), alter)
            .await
    }

    /// Whether an index does what this one is for, and whether the one of its name is usable, if there is one.
    async fn existing(
        &self,
        database: &mut Database<'_>,
        table: &str,
    ) -> Result<(bool, Option<bool>), StorageError> {
        // Usable is only what is checked at once: a deferred unique index is no arbiter of conflicts. Further columns of an index
        // that is not unique do not prevent a search by the first ones. One of expressions is known by its name.
        let existing = sqlx::query_as(
            "select coalesce(bool_or(usable and case $3 when 'gin' then name = $2 else
                      (is_unique or not $4) and predicate is not distinct from $5
                      and (columns = $6 or not $4 and starts_with(columns, $6 || ', ')) end), false),
                    bool_or(usable) filter (where name = $2)
             from (
               select c.relname::text as name, i.indisunique as is_unique, pg_get_expr(i.indpred, i.indrelid) as predicate,
                      i.indisvalid and i.indisready and i.indimmediate and am.amname = $3 as usable,
                      array_to_string(array(
                        select a.attname::text from generate_series(0, i.indnkeyatts - 1) k
                        left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[k] and a.attnum > 0
                        order by k), ', ', '(expression)') as columns
               from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am am on am.oid = c.relam
               join pg_class t on t.oid = i.indrelid join pg_namespace n on n.oid = t.relnamespace
               where n.nspname = 'public' and t.relname = $1) existing",
        );
        let existing = existing
            .bind(table)
            .bind(&*self.name)
            .bind(self.method)
            .bind(self.unique);
        let existing = existing.bind(self.predicate).bind(&*self.columns);
        Ok(existing.fetch_one(&mut database.connection).await?)
    }
}
