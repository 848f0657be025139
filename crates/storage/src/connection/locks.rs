//! Advisory locks that last as long as a transaction.

use uuid::Uuid;

use super::Session;
use crate::StorageError;

/// Serialises operations on one object until the transaction ends.
pub(crate) async fn lock_uid(session: &mut Session, uid: Uuid) -> Result<(), StorageError> {
    // 64 of a uid's bits, in the key space of two integers, so that they never meet the lock of a query id. Two uids that agree
    // in these bits only wait for each other.
    let (first, .., rest) = uid.as_fields();
    let [.., a, b, c, d] = *rest;
    let (first, second) = (first.cast_signed(), i32::from_be_bytes([a, b, c, d]));
    let lock = session
        .query("select pg_advisory_xact_lock($1, $2)")
        .bind(first)
        .bind(second);
    lock.execute(session.conn()).await?;
    Ok(())
}

/// Serialises operations on one query id until the transaction ends; the same key for objects' records and clients' writes.
pub(crate) async fn lock_query_id(session: &mut Session, query_id: i64) -> Result<(), StorageError> {
    session
        .query("select pg_advisory_xact_lock($1)")
        .bind(query_id)
        .execute(session.conn())
        .await?;
    Ok(())
}
