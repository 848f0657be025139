//! The sequence is raised above every query id in use, while others take ids from it.

use super::database::Database;
use crate::{StorageError, schema::Store};

/// Raises the sequence if a table holds a higher query id. Called without locks: ids from the sequence itself need no
/// raising, and each recording checks for rows with other ids.
pub(super) async fn raise(databases: &mut [Database<'_>]) -> Result<(), StorageError> {
    let Some(owner) = databases
        .iter()
        .position(|database| database.stores.contains(&Store::Sequence))
    else {
        return Ok(());
    };
    // Ids above half of the sequence's range are ignored: they are made up, and above them there would soon be none left.
    let half = sqlx::query_scalar::<_, i64>(
        "select seqmax / 2 from pg_sequence s join pg_class c on c.oid = seqrelid join pg_namespace n on n.oid = relnamespace
         where nspname = 'public' and relname = 'arxiv_sequence'",
    );
    let largest = half.fetch_one(&mut databases[owner].connection).await?;
    let mut highest = 0;
    for database in databases.iter_mut() {
        for store in &database.stores {
            let sql = match store {
                Store::Queries => "select max(query_id) from public.queries where query_id <= $1",
                Store::Results => "select max(query_id) from public.results where query_id <= $1",
                Store::Sequence => "select max(query_id) from public.arxiv_ledger where query_id <= $1",
                Store::Upstream => continue,
            };
            let found = sqlx::query_scalar::<_, Option<i64>>(sql).bind(largest);
            highest = highest.max(found.fetch_one(&mut database.connection).await?.unwrap_or(0));
        }
    }
    let database = &mut databases[owner];
    let lags = sqlx::query_scalar::<_, bool>(
        "select $1 > 0 and (last_value < $1 or last_value = $1 and not is_called) from public.arxiv_sequence",
    );
    if !lags.bind(highest).fetch_one(&mut database.connection).await? {
        return Ok(());
    }
    database.report(&format!("the sequence goes on above {highest}"));
    // `alter sequence`, which here changes nothing, takes the lock that keeps `nextval` out until the end of the transaction:
    // between the read and `setval` no session can take an id that `setval` would then give again.
    let raise = format!(
        "alter sequence public.arxiv_sequence no cycle;
         select setval('public.arxiv_sequence', {highest}, true) from public.arxiv_sequence where last_value <= {highest};"
    );
    database.change("the sequence", &raise).await
}
