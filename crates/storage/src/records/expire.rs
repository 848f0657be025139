//! Records past their age, which the owner sets in migrations. None is ever seen in half: on one server all of it goes in one
//! transaction; on two the row in `queries`, by which readers know of it, goes first, and what a crash leaves of its results
//! is the sweeper's.

use sqlx::PgPool;
use uuid::Uuid;

use crate::{StorageError, session::Session};

/// Some of the oldest; how many objects' they were. `results` where that is another server.
pub(super) async fn expire(queries: &PgPool, results: Option<&PgPool>) -> Result<usize, StorageError> {
    let mut session = Session::transaction(queries).await?;
    let expire = session.query_as::<(Uuid,)>("select public.expire_queries()");
    let uids: Vec<Uuid> = expire
        .fetch_all(session.conn())
        .await?
        .into_iter()
        .map(|(uid,)| uid)
        .collect();
    let mut session = match results {
        None => session,
        Some(results) => {
            session.commit().await?;
            Session::transaction(results).await?
        }
    };
    let sweep = session
        .query("select public.sweep_results(uid) from unnest($1::uuid[]) uid")
        .bind(&uids);
    sweep.execute(session.conn()).await?;
    session.commit().await?;
    Ok(uids.len())
}
