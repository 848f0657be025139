//! Whether a store is prepared for the user of a pool.

use sqlx::PgPool;

use crate::{
    StorageError,
    connection::{Kind, Session},
};

/// What a process needs of a database.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Need {
    /// Query ids ([`crate::Sequence`]).
    Sequence,
    /// The ledger ([`crate::Ledger`]).
    Ledger,
    /// Gate and pages ([`crate::Gate`], [`crate::Pages`]).
    Upstream,
    /// `queries`, to write.
    QueriesWrite,
    /// `results`, to write.
    ResultsWrite,
    /// `queries`, to read.
    QueriesRead,
    /// `results`, to read.
    ResultsRead,
}

impl Need {
    /// Relations, the newest column that is used of each (none of a sequence), and the rights needed to it.
    fn relations(self) -> &'static [(&'static str, Option<&'static str>, &'static [&'static str])] {
        match self {
            Self::Sequence => &[("arxiv_sequence", None, &["USAGE"])],
            Self::Ledger => &[
                ("arxiv_sequence", None, &["USAGE"]),
                (
                    "arxiv_ledger",
                    Some("entered_at"),
                    &["SELECT", "INSERT", "UPDATE", "DELETE"],
                ),
            ],
            Self::Upstream => &[
                ("arxiv_gate", Some("given_by"), &["SELECT", "UPDATE"]),
                (
                    "arxiv_pages",
                    Some("expires_at"),
                    &["SELECT", "INSERT", "UPDATE", "DELETE"],
                ),
            ],
            Self::QueriesWrite => &[
                ("queries", Some("object_name"), &["SELECT", "INSERT"]),
                (
                    "arxiv_query_tombstones",
                    Some("object_name"),
                    &["SELECT", "INSERT"],
                ),
            ],
            Self::ResultsWrite => &[("results", Some("categories"), &["SELECT", "INSERT"])],
            Self::QueriesRead => &[
                ("queries", Some("object_name"), &["SELECT"]),
                ("arxiv_query_tombstones", Some("object_name"), &["SELECT"]),
            ],
            Self::ResultsRead => &[
                ("results", Some("categories"), &["SELECT"]),
                ("arxiv_results_epoch", Some("epoch"), &["SELECT"]),
                ("arxiv_results_settled", Some("settled_at"), &["SELECT"]),
                ("arxiv_results_row_counts", Some("position"), &["SELECT"]),
                ("arxiv_results_timeline_forks", Some("id"), &["SELECT"]),
            ],
        }
    }
}

/// None when the schema is there and this user has the rights it needs; else the reason, safe for users.
pub async fn check(pool: &PgPool, need: Need) -> Result<Option<&'static str>, StorageError> {
    Session::run(pool, Kind::Statement, async |session| {
        for (relation, column, rights) in need.relations() {
            // By the catalogue, not by to_regclass: that fails for users who may not use the schema.
            let has_rights = session.query_as::<(bool,)>(
                "select has_schema_privilege(n.oid, 'USAGE') and (
                     select bool_and(case c.relkind when 'S' then has_sequence_privilege(c.oid, r)
                                     else has_table_privilege(c.oid, r) end) from unnest($3::text[]) r)
                 from pg_class c join pg_namespace n on n.oid = c.relnamespace
                 where n.nspname = 'public' and c.relname = $1 and c.relkind in ('r', 'p', 'S')
                   and ($2::text is null or exists (
                     select from pg_attribute a where a.attrelid = c.oid and a.attname = $2 and not a.attisdropped))",
            );
            let has_rights = has_rights.bind(relation).bind(column).bind(*rights);
            match has_rights.fetch_optional(session.conn()).await? {
                None => return Ok(Some("the database is not prepared: its migrations have not run")),
                Some((false,)) => {
                    return Ok(Some(
                        "the database user lacks rights: its migrations have not run",
                    ));
                }
                Some((true,)) => {}
            }
        }
        Ok(None)
    })
    .await
}
