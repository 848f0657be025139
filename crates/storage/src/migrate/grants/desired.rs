//! The rights that each user needs: this is the one place that defines them.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::{Right, SERIAL_SEQUENCES};
use crate::{
    StorageError,
    migrate::{
        Store,
        roles::Role::{self, Operator, Ro, Rw, Sequence, Upstream},
    },
};

/// Rights to a store's own objects.
fn objects(store: Store) -> &'static [(Role, &'static str, &'static [&'static str])] {
    match store {
        Store::Sequence => &[
            // USAGE is nextval; reading last_value would take SELECT.
            (Sequence, "sequence public.arxiv_sequence", &["USAGE"]),
            (Operator, "sequence public.arxiv_sequence", &["USAGE"]),
            (
                Operator,
                "table public.arxiv_ledger",
                &["SELECT", "INSERT", "UPDATE", "DELETE"],
            ),
        ],
        Store::Upstream => &[
            (Upstream, "table public.arxiv_gate", &["SELECT", "UPDATE"]),
            (
                Upstream,
                "table public.arxiv_pages",
                &["SELECT", "INSERT", "UPDATE", "DELETE"],
            ),
        ],
        Store::Queries => &[
            (Rw, "table public.queries", &["SELECT", "INSERT"]),
            (Rw, "table public.arxiv_query_tombstones", &["SELECT", "INSERT"]),
            (Rw, "routine public.prune_query_tombstones()", &["EXECUTE"]),
            (Rw, "routine public.expire_queries()", &["EXECUTE"]),
            (Ro, "table public.queries", &["SELECT"]),
            // Answers for a failed query whose object no longer exists.
            (Ro, "table public.arxiv_query_tombstones", &["SELECT"]),
        ],
        Store::Results => &[
            (Rw, "table public.results", &["SELECT", "INSERT"]),
            (Rw, "routine public.sweep_results(uid uuid)", &["EXECUTE"]),
            (Rw, "routine public.advance_results_watermark()", &["EXECUTE"]),
            (Ro, "table public.results", &["SELECT"]),
            (Ro, "table public.arxiv_results_epoch", &["SELECT"]),
            (Ro, "table public.arxiv_results_settled", &["SELECT"]),
            (Ro, "table public.arxiv_results_row_counts", &["SELECT"]),
            (Ro, "table public.arxiv_results_timeline_forks", &["SELECT"]),
        ],
    }
}

/// All rights in a database that holds these stores.
pub(super) async fn rights(
    connection: &mut PgConnection,
    stores: &[Store],
) -> Result<BTreeSet<Right>, StorageError> {
    let database: String = sqlx::query_scalar("select format('database %I', current_database())")
        .fetch_one(&mut *connection)
        .await?;
    let right = |role: Role, object: &str, privilege: &str| Right {
        object: object.into(),
        grantee: role.name().into(),
        privilege: privilege.into(),
    };
    let mut rights = BTreeSet::new();
    for store in stores {
        for role in Role::of(*store) {
            rights.insert(right(*role, &database, "CONNECT"));
            rights.insert(right(*role, "schema public", "USAGE"));
        }
        for (role, object, privileges) in objects(*store) {
            rights.extend(privileges.iter().map(|privilege| right(*role, object, privilege)));
        }
        let table = match store {
            Store::Queries => "queries",
            Store::Results => "results",
            Store::Sequence | Store::Upstream => continue,
        };
        let sequences = sqlx::query_scalar::<_, String>(SERIAL_SEQUENCES).bind(table);
        for sequence in sequences.fetch_all(&mut *connection).await? {
            rights.insert(right(Rw, &format!("sequence {sequence}"), "USAGE"));
        }
    }
    Ok(rights)
}
