//! Advisory locks that last as long as a transaction.

use uuid::Uuid;

use crate::{StorageError, session::Session};

/// Serialises operations on one object until the transaction ends.
pub(crate) async fn lock_uid(session: &mut Session, uid: Uuid) -> Result<(), StorageError> {
    // 64 of a uid's bits, in the key space of two integers, so that they never meet a number's lock. That two uids meet
    // there only makes one wait for the other.
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

/// Serialises operations on one number until the transaction ends; the same key for objects' records and clients' writes.
pub(crate) async fn lock_number(session: &mut Session, number: i64) -> Result<(), StorageError> {
    session
        .query("select pg_advisory_xact_lock($1)")
        .bind(number)
        .execute(session.conn())
        .await?;
    Ok(())
}
