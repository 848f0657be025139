//! The stores, and the rights of each user to their objects: the one table for grants and for checks.

use crate::{
    StorageError,
    connection::{Kind, Pool, Session},
};

/// A logical store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Store {
    Sequence,
    Upstream,
    Queries,
    Results,
}

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

/// Kind and name of an object, the newest column that is used of it (of a table), and privileges.
type Rights = (&'static str, &'static str, &'static str);

impl Need {
    pub(crate) const ALL: [Self; 7] = [
        Self::QueriesWrite,
        Self::ResultsWrite,
        Self::QueriesRead,
        Self::ResultsRead,
        Self::Sequence,
        Self::Ledger,
        Self::Upstream,
    ];

    /// The user, and the store.
    pub(crate) fn of(self) -> (&'static str, Store) {
        match self {
            Self::Sequence => ("arxiv_sequence", Store::Sequence),
            Self::Ledger => ("arxiv_operator", Store::Sequence),
            Self::Upstream => ("arxiv_upstream", Store::Upstream),
            Self::QueriesWrite => ("arxiv_rw", Store::Queries),
            Self::ResultsWrite => ("arxiv_rw", Store::Results),
            Self::QueriesRead => ("arxiv_ro", Store::Queries),
            Self::ResultsRead => ("arxiv_ro", Store::Results),
        }
    }

    /// The user's rights to the store's own objects.
    pub(crate) fn rights(self) -> &'static [Rights] {
        // Of a sequence, USAGE is nextval; reading last_value would take SELECT.
        match self {
            Self::Sequence => &[("sequence arxiv_sequence", "", "USAGE")],
            Self::Ledger => &[
                ("sequence arxiv_sequence", "", "USAGE"),
                ("table arxiv_ledger", "entered_at", "SELECT INSERT UPDATE DELETE"),
                (
                    "routine assign_query_ids(uids uuid[], keys integer[], subkeys integer[])",
                    "",
                    "EXECUTE",
                ),
            ],
            Self::Upstream => &[
                ("table arxiv_gate", "given_by", "SELECT UPDATE"),
                ("table arxiv_pages", "expires_at", "SELECT INSERT UPDATE DELETE"),
            ],
            Self::QueriesWrite => &[
                ("table queries", "object_search", "SELECT INSERT"),
                ("table arxiv_query_tombstones", "object_name", "SELECT INSERT"),
                ("table arxiv_installation", "id", "SELECT"),
                ("routine prune_query_tombstones()", "", "EXECUTE"),
                ("routine expire_queries()", "", "EXECUTE"),
            ],
            Self::ResultsWrite => &[
                ("table results", "categories", "SELECT INSERT"),
                ("table arxiv_papers", "words", "SELECT INSERT UPDATE"),
                ("table arxiv_feeds", "dropped_at", "SELECT INSERT UPDATE"),
                ("table arxiv_feed_seen", "version", "SELECT INSERT"),
                ("table arxiv_feed_items", "recorded_at", "SELECT INSERT"),
                ("table arxiv_feed_runs", "outcome", "SELECT INSERT"),
                (
                    "table arxiv_feed_webhooks",
                    "next_attempt_at",
                    "SELECT INSERT UPDATE",
                ),
                ("table arxiv_feed_deliveries", "ended_at", "SELECT INSERT UPDATE"),
                ("routine prune_feeds()", "", "EXECUTE"),
                ("routine sweep_results(uid uuid)", "", "EXECUTE"),
                ("routine advance_results_watermark()", "", "EXECUTE"),
            ],
            Self::QueriesRead => &[
                ("table queries", "object_name", "SELECT"),
                // Answers for a failed query whose object no longer exists.
                ("table arxiv_query_tombstones", "object_name", "SELECT"),
            ],
            Self::ResultsRead => &[
                ("table results", "categories", "SELECT"),
                ("table arxiv_papers", "words", "SELECT"),
                ("table arxiv_feeds", "dropped_at", "SELECT"),
                ("table arxiv_feed_items", "recorded_at", "SELECT"),
                ("table arxiv_feed_webhooks", "next_attempt_at", "SELECT"),
                ("table arxiv_feed_deliveries", "ended_at", "SELECT"),
                ("table arxiv_results_epoch", "epoch", "SELECT"),
                ("table arxiv_results_settled", "settled_at", "SELECT"),
                ("table arxiv_results_row_counts", "position", "SELECT"),
                ("table arxiv_results_timeline_forks", "id", "SELECT"),
            ],
        }
    }
}

/// Whether this user has the rights $3 to the table or sequence $1, which has the column $2; no row if it is not there.
const RELATION: &str = "select has_schema_privilege(n.oid, 'USAGE') and (
       select bool_and(case c.relkind when 'S' then has_sequence_privilege(c.oid, r)
                       else has_table_privilege(c.oid, r) end) from unnest(string_to_array($3, ' ')) r)
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'public' and c.relname = $1 and c.relkind in ('r', 'p', 'S')
       and ($2 = '' or exists (
         select from pg_attribute a where a.attrelid = c.oid and a.attname = $2 and not a.attisdropped))";
/// Whether this user may execute the routine $1; no row if it is not there.
const ROUTINE: &str = "select has_schema_privilege(n.oid, 'USAGE') and has_function_privilege(p.oid, 'EXECUTE')
     from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname = 'public' and p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' = $1";

/// None when the schema is there and this user has the rights it needs; else the reason, safe for users.
pub async fn check(pool: &Pool, need: Need) -> Result<Option<&'static str>, StorageError> {
    Session::run(pool, Kind::Statement, async |session| {
        for (object, column, privileges) in need.rights() {
            let Some((kind, name)) = object.split_once(' ') else {
                continue;
            };
            // By the catalogue, not by to_regclass: that fails for users who may not use the schema.
            let has_rights = if kind == "routine" {
                session.query_scalar::<bool>(ROUTINE).bind(name)
            } else {
                let relation = session.query_scalar::<bool>(RELATION);
                relation.bind(name).bind(*column).bind(*privileges)
            };
            match has_rights.fetch_optional(session.conn()).await? {
                None => return Ok(Some("the database is not prepared: its migrations have not run")),
                Some(false) => {
                    return Ok(Some(
                        "the database user lacks rights: its migrations have not run",
                    ));
                }
                Some(true) => {}
            }
        }
        Ok(None)
    })
    .await
}
