//! Recording where `queries` and `results` are in different databases: first all results in one transaction, then the row in
//! `queries`, which completes the record. A crash between them leaves results alone; the next try uses them, or the sweeper
//! deletes them once their object no longer exists.
//!
//! The uid's lock is held in the queries' database over all of it, also by the sweeper, so that it cannot delete results whose
//! row in `queries` is about to be inserted.

use super::{
    Ending, QueryIdTaken, Record,
    statements::{self, Tables},
};
use crate::{
    StorageError,
    connection::{Lock, Pool, Session},
};

pub(super) async fn record(
    queries: &Pool,
    results: &Pool,
    record: &Record<'_>,
) -> Result<Result<Ending, QueryIdTaken>, StorageError> {
    let locks = statements::locks(&[*record], Tables::Queries);
    let mut session = Session::open_locked(queries, &locks).await?;
    let existing = statements::existing(&mut session, record, Tables::Queries).await?;
    if let Some(ending) = existing.ending {
        session.await_durable().await?;
        session.commit().await?;
        return Ok(Ok(ending));
    }
    if existing.is_id_taken {
        return Ok(Err(QueryIdTaken));
    }
    let Some((entries, results_id)) = write_results(results, record).await? else {
        return Ok(Err(QueryIdTaken));
    };
    // Results from an earlier try may have the query id that the object had then: still its own, unless somebody wrote a query with
    // it meanwhile. Then the row in `queries` takes the new one, and the uid alone joins the two.
    let with_earlier_id = Record {
        query_id: results_id,
        ..*record
    };
    let keep = results_id == record.query_id || {
        session.lock(&[Lock::of_query_id(results_id)]).await?;
        !statements::query_has_id(&mut session, &with_earlier_id).await?
    };
    let query_id = if keep { results_id } else { record.query_id };
    match statements::insert_query(&mut session, record, query_id, entries).await? {
        Some(ending) => {
            session.commit().await?;
            Ok(Ok(ending))
        }
        None => Ok(Err(QueryIdTaken)),
    }
}

/// All results, committed, or those that exist already: how many, and their query id. None when a foreign row has the query id.
async fn write_results(results: &Pool, record: &Record<'_>) -> Result<Option<(i32, i64)>, StorageError> {
    let locks = statements::locks(&[*record], Tables::Results);
    let mut session = Session::open_locked(results, &locks).await?;
    let existing = statements::existing(&mut session, record, Tables::Results).await?;
    if existing.results.is_some() {
        session.await_durable().await?;
        session.commit().await?;
        return Ok(existing.results);
    }
    if existing.is_id_taken {
        return Ok(None);
    }
    let entries = statements::insert_results(&mut session, record, &existing).await?;
    session.commit().await?;
    Ok(Some((entries, record.query_id)))
}
