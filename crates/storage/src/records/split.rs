//! Recording where `queries` and `results` are in different databases: first all results in one transaction, then the row in
//! `queries`, which makes the record. A crash between them leaves results alone; the next try takes them, or the sweeper
//! deletes them once their object is gone.
//!
//! The uid's lock is held in the queries' database over all of it, also by the sweeper, so that it cannot take away results
//! whose row in `queries` is about to come.

use sqlx::PgPool;
use uuid::Uuid;

use super::{Ending, QueryIdTaken, Record, ending, rows};
use crate::{
    StorageError,
    locks::{lock_number, lock_uid},
    session::Session,
};

pub(super) async fn record(
    queries: &PgPool,
    results: &PgPool,
    record: &Record<'_>,
) -> Result<Result<Ending, QueryIdTaken>, StorageError> {
    let mut session = Session::transaction(queries).await?;
    lock_uid(&mut session, record.object.uid).await?;
    if let Some(ending) = ending::standing(&mut session, record.object.uid).await? {
        session.commit().await?;
        return Ok(Ok(ending));
    }
    lock_number(&mut session, record.query_id).await?;
    if rows::query_has_number(&mut session, record).await? {
        return Ok(Err(QueryIdTaken));
    }
    let Some((entries, results_number)) = write_results(results, record).await? else {
        return Ok(Err(QueryIdTaken));
    };
    // Results from an earlier try may have the number that the object had then: still its own, unless somebody wrote a query
    // under it meanwhile. Then the row in `queries` takes the new one, and the uid alone joins the two.
    let standing = Record {
        query_id: results_number,
        ..*record
    };
    let keep = results_number == record.query_id || {
        lock_number(&mut session, results_number).await?;
        !rows::query_has_number(&mut session, &standing).await?
    };
    let number = if keep { results_number } else { record.query_id };
    match rows::insert_query(&mut session, record, number, entries).await? {
        Some(recorded) => {
            session.commit().await?;
            Ok(Ok(Ending::Recorded(recorded)))
        }
        None => Ok(Err(QueryIdTaken)),
    }
}

/// All results, committed, or those that stand there: how many, and their number. None when a stranger has the number.
async fn write_results(results: &PgPool, record: &Record<'_>) -> Result<Option<(i32, i64)>, StorageError> {
    let mut session = Session::transaction(results).await?;
    lock_uid(&mut session, record.object.uid).await?;
    if let Some(standing) = rows::standing_results(&mut session, record.object.uid).await? {
        session.await_durable().await?;
        session.commit().await?;
        return Ok(Some(standing));
    }
    lock_number(&mut session, record.query_id).await?;
    if rows::result_has_number(&mut session, record).await? {
        return Ok(None);
    }
    let entries = rows::insert_results(&mut session, record).await?;
    session.commit().await?;
    Ok(Some((entries, record.query_id)))
}

/// A page of uids that have old results; those among them without a row in `queries`, and where to go on.
pub(super) async fn unfinished(
    queries: &PgPool,
    results: &PgPool,
    after: Option<Uuid>,
    limit: u32,
) -> Result<(Vec<Uuid>, Option<Uuid>), StorageError> {
    let mut session = Session::statement(results).await?;
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
    let page = page.fetch_all(session.conn()).await?;
    session.commit().await?;
    let next = page
        .last()
        .map(|(uid, _)| *uid)
        .filter(|_| page.len() >= limit as usize);
    let old: Vec<Uuid> = page
        .into_iter()
        .filter(|(_, is_old)| *is_old)
        .map(|(uid, _)| uid)
        .collect();

    let mut session = Session::statement(queries).await?;
    let without = session.query_as::<(Uuid,)>(
        "select uid from unnest($1::uuid[]) uid
         where not exists (select from public.queries where query_uid = uid)",
    );
    let without = without.bind(old).fetch_all(session.conn()).await?;
    session.commit().await?;
    Ok((without.into_iter().map(|(uid,)| uid).collect(), next))
}

pub(super) async fn sweep(queries: &PgPool, results: &PgPool, uid: Uuid) -> Result<u64, StorageError> {
    let mut fence = Session::transaction(queries).await?;
    lock_uid(&mut fence, uid).await?;
    if matches!(ending::ending(&mut fence, uid).await?, Some(Ending::Recorded(_))) {
        return Ok(0);
    }
    let mut session = Session::statement(results).await?;
    let sweep = session
        .query_as::<(i64,)>("select public.sweep_results($1)")
        .bind(uid);
    let (swept,) = sweep.fetch_one(session.conn()).await?;
    session.commit().await?;
    fence.commit().await?;
    u64::try_from(swept).map_err(|_| StorageError::Unreadable)
}
