//! Recording where `queries` and `results` are in different databases: first all results in one transaction, then the row in
//! `queries`, which completes the record. A crash between them leaves results alone; the next try uses them, or the sweeper
//! deletes them once their object no longer exists.
//!
//! The uid's lock is held in the queries' database over all of it, also by the sweeper, so that it cannot delete results whose
//! row in `queries` is about to be inserted.

use sqlx::PgPool;
use uuid::Uuid;

use super::{Ending, QueryIdTaken, Record, ending, statements};
use crate::{
    StorageError,
    connection::{Kind, Session, lock_query_id, lock_uid},
};

pub(super) async fn record(
    queries: &PgPool,
    results: &PgPool,
    record: &Record<'_>,
) -> Result<Result<Ending, QueryIdTaken>, StorageError> {
    let mut session = Session::open(queries, Kind::Transaction).await?;
    lock_uid(&mut session, record.object.uid).await?;
    if let Some(ending) = ending::durable(&mut session, record.object.uid).await? {
        session.commit().await?;
        return Ok(Ok(ending));
    }
    lock_query_id(&mut session, record.query_id).await?;
    if statements::query_has_id(&mut session, record).await? {
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
        lock_query_id(&mut session, results_id).await?;
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
async fn write_results(results: &PgPool, record: &Record<'_>) -> Result<Option<(i32, i64)>, StorageError> {
    let mut session = Session::open(results, Kind::Transaction).await?;
    lock_uid(&mut session, record.object.uid).await?;
    if let Some(existing) = statements::existing_results(&mut session, record.object.uid).await? {
        session.await_durable().await?;
        session.commit().await?;
        return Ok(Some(existing));
    }
    lock_query_id(&mut session, record.query_id).await?;
    if statements::result_has_id(&mut session, record).await? {
        return Ok(None);
    }
    let entries = statements::insert_results(&mut session, record).await?;
    session.commit().await?;
    Ok(Some((entries, record.query_id)))
}

/// Of the next `limit` uids that have results, those with old results and without a row in `queries`; and where to continue.
pub(super) async fn unfinished(
    queries: &PgPool,
    results: &PgPool,
    after: Option<Uuid>,
    limit: u32,
) -> Result<(Vec<Uuid>, Option<Uuid>), StorageError> {
    let page = Session::run(results, Kind::Statement, async |session| {
        // From uid to uid through the unique index, not over all rows of each.
        let page = session.query_as::<(Uuid, bool)>(
            "with recursive uids as (
               (select query_uid, recorded_at, 1 as n from public.results where query_uid > $1 order by query_uid limit 1)
               union all
               select next.query_uid, next.recorded_at, n + 1 from uids, lateral (
                 select query_uid, recorded_at from public.results r where r.query_uid > uids.query_uid
                 order by r.query_uid limit 1) next
               where n < $2)
             select query_uid, recorded_at < clock_timestamp() - interval '1 hour' from uids order by query_uid",
        );
        // No object has the nil uid.
        let page = page.bind(after.unwrap_or(Uuid::nil())).bind(i64::from(limit));
        Ok(page.fetch_all(session.conn()).await?)
    });
    let page = page.await?;
    let is_full = page.len() >= limit as usize;
    let next = page.last().map(|(uid, _)| *uid).filter(|_| is_full);
    let old: Vec<Uuid> = page
        .into_iter()
        .filter_map(|(uid, is_old)| is_old.then_some(uid))
        .collect();

    let without = Session::run(queries, Kind::Statement, async |session| {
        let without = session.query_as::<(Uuid,)>(
            "select uid from unnest($1::uuid[]) uid
             where not exists (select from public.queries where query_uid = uid)",
        );
        Ok(without.bind(old).fetch_all(session.conn()).await?)
    });
    Ok((without.await?.into_iter().map(|(uid,)| uid).collect(), next))
}

/// Deletes results of an object without a row in `queries`; how many.
pub(super) async fn sweep(queries: &PgPool, results: &PgPool, uid: Uuid) -> Result<u64, StorageError> {
    let mut fence = Session::open(queries, Kind::Transaction).await?;
    lock_uid(&mut fence, uid).await?;
    if matches!(ending::find(&mut fence, uid).await?, Some(Ending::Recorded(_))) {
        return Ok(0);
    }
    let swept = Session::run(results, Kind::Statement, async |session| {
        let sweep = session.query_as::<(i64,)>("select public.sweep_results($1)");
        Ok(sweep.bind(uid).fetch_one(session.conn()).await?.0)
    });
    let swept = swept.await?;
    fence.commit().await?;
    u64::try_from(swept).map_err(|_| StorageError::Unreadable)
}
