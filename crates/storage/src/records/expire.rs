//! Records past their age, which the databases' owner sets in migrations. No reader ever sees half of one: on one server all of it
//! is removed in one transaction; on two the row in `queries`, by which readers know of it, is removed first, and if a crash leaves
//! its results, the sweeper removes them.

use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    StorageError,
    connection::{Kind, Session},
};

/// Removes some of the oldest; how many objects' they were. `results` where that is another server.
pub(super) async fn expire(queries: &PgPool, results: Option<&PgPool>) -> Result<usize, StorageError> {
    let mut session = Session::open(queries, Kind::Transaction).await?;
    let expire = session.query_as::<(Uuid,)>("select public.expire_queries()");
    let expired = expire.fetch_all(session.conn()).await?;
    let uids: Vec<Uuid> = expired.into_iter().map(|(uid,)| uid).collect();
    if let Some(results) = results {
        session.commit().await?;
        session = Session::open(results, Kind::Transaction).await?;
    }
    let sweep = session
        .query("select public.sweep_results(uid) from unnest($1::uuid[]) uid")
        .bind(&uids);
    sweep.execute(session.conn()).await?;
    session.commit().await?;
    Ok(uids.len())
}
