//! The results of one query, for a client that was just told of it.

use sqlx::{FromRow, Row, postgres::PgRow};
use uuid::Uuid;

use super::{Reads, Retries, find::StoredResult, lag};
use crate::{StorageError, connect::bounded, session::Session};

/// How many results there are, and one of the page; without a page just the number.
struct Counted {
    there: i64,
    result: Option<StoredResult>,
}

impl FromRow<'_, PgRow> for Counted {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let id: Option<i64> = row.try_get("id")?;
        Ok(Self {
            there: row.try_get("there")?,
            result: id.map(|_| StoredResult::from_row(row)).transpose()?,
        })
    }
}

impl Reads {
    /// One page of the results of the query with this uid, in their order; pages count from 0. None as long as this
    /// replica has not got all of them.
    pub async fn results_of(
        &self,
        uid: Uuid,
        page: i64,
        items_per_page: i64,
    ) -> Result<Option<Vec<StoredResult>>, StorageError> {
        let mut retries = Retries::default();
        loop {
            let offset = page.saturating_mul(items_per_page);
            let read = bounded(self.read_results_of(uid, offset, items_per_page)).await;
            if !retries.again(&read) {
                return read;
            }
        }
    }

    async fn read_results_of(
        &self,
        uid: Uuid,
        offset: i64,
        limit: i64,
    ) -> Result<Option<Vec<StoredResult>>, StorageError> {
        let mut session = Session::statement(&self.queries).await?;
        let recorded =
            session.query_as::<(i64,)>("select num_entries::bigint from public.queries where query_uid = $1");
        let recorded = recorded.bind(uid).fetch_optional(session.conn()).await?;
        session.commit().await?;
        let Some((num_entries,)) = recorded else {
            return Ok(None);
        };
        // Number and page in one statement: the next one may be served by another replica.
        let mut session = Session::statement(&self.results).await?;
        let rows = session.query_as::<Counted>(
            "select number as there, id::bigint, query_id, timestamp, coalesce(author, '') as author,
                    coalesce(title, '') as title, coalesce(journal, '') as journal, arxiv_id, categories
             from (select count(*) as number from public.results where query_uid = $1) as counted
             left join (select * from public.results where query_uid = $1
                        order by result_number limit $2 offset $3) as page on true
             order by result_number",
        );
        let rows = rows
            .bind(uid)
            .bind(limit)
            .bind(offset)
            .fetch_all(session.conn())
            .await?;
        session.commit().await?;
        if rows.first().is_none_or(|row| row.there < num_entries) {
            return Ok(None);
        }
        Ok(Some(rows.into_iter().filter_map(|row| row.result).collect()))
    }

    /// Whether the record of the query with this uid, or some of its results, are not there, and that not for being on their
    /// way: as told by a server that was not behind before it was looked at. Of a query that ended some minutes ago it means
    /// that they were removed.
    pub async fn is_without_results_of(&self, uid: Uuid) -> Result<bool, StorageError> {
        let mut retries = Retries::default();
        loop {
            let read = bounded(self.look_for_results_of(uid)).await;
            if !retries.again(&read) {
                return read;
            }
        }
    }

    async fn look_for_results_of(&self, uid: Uuid) -> Result<bool, StorageError> {
        // Each in one session, so that the server which tells how far it is behind is the one that is looked at.
        let mut session = Session::statement(&self.queries).await?;
        let is_current = lag::is_current(&mut session).await?;
        let recorded =
            session.query_as::<(i64,)>("select num_entries::bigint from public.queries where query_uid = $1");
        let recorded = recorded.bind(uid).fetch_optional(session.conn()).await?;
        session.commit().await?;
        let Some((num_entries,)) = recorded else {
            return Ok(is_current);
        };
        let mut session = Session::statement(&self.results).await?;
        let is_current = lag::is_current(&mut session).await?;
        let count = session.query_as::<(i64,)>("select count(*) from public.results where query_uid = $1");
        let (there,) = count.bind(uid).fetch_one(session.conn()).await?;
        session.commit().await?;
        Ok(is_current && there < num_entries)
    }
}
