//! The results of one query, for a client that knows of it already.

use futures::stream::{self, BoxStream, StreamExt};
use uuid::Uuid;

use super::{Reads, lag::ReplicaState, stream::truncate};
use crate::{
    ResultRow, StorageError,
    connection::{Kind, Session},
    rows::JoinedResult,
};

/// The number of all results, and one of the page; without a page just the number.
#[derive(sqlx::FromRow)]
struct CountedRow {
    count: i64,
    #[sqlx(flatten)]
    result: JoinedResult,
}

impl Reads {
    /// One page of the results of the query with this uid, in their order; pages count from 0. None as long as this
    /// replica does not have all of them.
    pub async fn results_of(
        &self,
        uid: Uuid,
        page: i64,
        items_per_page: i64,
    ) -> Result<Option<Vec<ResultRow>>, StorageError> {
        let offset = page.saturating_mul(items_per_page);
        self.results_from(uid, offset, items_per_page).await
    }

    /// All results of the query with this uid, in batches from this one on, which begins at the first result. Each is read by
    /// itself. Ends after an error; so it does when another replica does not have all of them.
    pub fn results_after(
        &self,
        uid: Uuid,
        first: Vec<ResultRow>,
    ) -> BoxStream<'static, Result<Vec<ResultRow>, StorageError>> {
        let start = (self.clone(), Some(first), 0);
        stream::try_unfold(start, move |(reads, first, offset)| async move {
            let read = match first {
                Some(first) => Some(first),
                None => reads.results_from(uid, offset, Self::BATCH).await?,
            };
            let mut rows = read.ok_or(StorageError::TimedOut)?;
            truncate(&mut rows, Self::BATCH, |row| row.paper.text_len());
            let Ok(count @ 1..) = i64::try_from(rows.len()) else {
                return Ok(None);
            };
            Ok(Some((rows, (reads, None, offset + count))))
        })
        .boxed()
    }

    async fn results_from(
        &self,
        uid: Uuid,
        offset: i64,
        limit: i64,
    ) -> Result<Option<Vec<ResultRow>>, StorageError> {
        let num_entries = Session::read(&self.queries, Kind::Statement, async |session| {
            num_entries(session, uid).await
        });
        let Some(num_entries) = num_entries.await? else {
            return Ok(None);
        };
        // Number and page in one statement: the next one may be executed by another replica.
        let rows = Session::read(&self.results, Kind::Statement, async |session| {
            let rows = session.query_as::<CountedRow>(
                "select counted.count, id::bigint, query_id, timestamp, coalesce(author, '') as author,
                        coalesce(title, '') as title, coalesce(journal, '') as journal, arxiv_id, categories
                 from (select count(*) from public.results where query_uid = $1) as counted
                 left join (select * from public.results where query_uid = $1
                            order by result_number limit $2 offset $3) as page on true
                 order by result_number",
            );
            let rows = rows.bind(uid).bind(limit).bind(offset);
            Ok(rows.fetch_all(session.conn()).await?)
        });
        let rows = rows.await?;
        if rows.first().is_none_or(|row| row.count < num_entries) {
            return Ok(None);
        }
        Ok(Some(rows.into_iter().filter_map(|row| row.result.0).collect()))
    }

    /// Whether the record of the query with this uid, or some of its results, are missing, and not because they are still being
    /// replicated: the server that was asked was up to date before it was asked. For a query that ended some minutes ago it means
    /// that they were removed.
    pub async fn is_without_results_of(&self, uid: Uuid) -> Result<bool, StorageError> {
        // The state and the rows in one session each, so that both are of the same server.
        let record = Session::read(&self.queries, Kind::Statement, async |session| {
            let state = ReplicaState::of_session(session).await?;
            Ok((state.is_current(), num_entries(session, uid).await?))
        });
        let (is_current, num_entries) = record.await?;
        let Some(num_entries) = num_entries else {
            return Ok(is_current);
        };
        Session::read(&self.results, Kind::Statement, async |session| {
            let state = ReplicaState::of_session(session).await?;
            let count = session.query_scalar("select count(*) from public.results where query_uid = $1");
            let count: i64 = count.bind(uid).fetch_one(session.conn()).await?;
            Ok(state.is_current() && count < num_entries)
        })
        .await
    }
}

/// How many results were recorded for the query with this uid; none without a record.
async fn num_entries(session: &mut Session, uid: Uuid) -> Result<Option<i64>, StorageError> {
    let recorded =
        session.query_scalar("select num_entries::bigint from public.queries where query_uid = $1");
    Ok(recorded.bind(uid).fetch_optional(session.conn()).await?)
}
