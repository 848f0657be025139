//! Pages of all results, by number.

use super::{Reads, Retries};
use crate::{ResultRow, StorageError, connect::bounded, session::Session, time::micros};

/// From so many rows on it pays to look up how far there are some that were counted before.
const DEEP: i64 = 1000;

/// The one that is asked for most often. Nulls are read as they are: what a column is made into, is made of each row that is
/// passed over too.
const SHALLOW: &str = "select author, title, journal from public.results order by id limit $1 offset $2";
const SHALLOW_APART: &str = "select author, title, journal from public.results
     where recorded_at is null or recorded_at <= clock_timestamp() - $3 * interval '1 microsecond'
     order by id limit $1 offset $2";
/// Goes on from the last row that was counted: exactly so many stand before it, in the epoch of this very snapshot. Where none is,
/// rows are passed over as without: comparing each with a lowest id would cost a tenth more. Only one of the halves is run.
const DEEP_IN_ONE: &str = "
    with settlement as materialized (
      select epoch, (select max(id) from public.arxiv_results_settled) as bound from public.arxiv_results_epoch),
    place as materialized (
      select position, id from public.arxiv_results_row_counts
      where epoch = (select epoch from settlement) and position <= $2 and id <= (select bound from settlement)
      order by position desc limit 1)
    (select * from (
       select author, title, journal from public.results where id > (select id from place)
       order by id limit $1 offset $2 - (select position from place)) behind
     where exists (select from place))
    union all
    (select * from (
       select author, title, journal from public.results order by id limit $1 offset $2) counted
     where not exists (select from place))";
const DEEP_APART: &str = "
    with settlement as materialized (
      select epoch, (select max(id) from public.arxiv_results_settled
                     where settled_at <= clock_timestamp() - $3 * interval '1 microsecond') as bound
      from public.arxiv_results_epoch),
    place as materialized (
      select position, id from public.arxiv_results_row_counts
      where epoch = (select epoch from settlement) and position <= $2 and id <= (select bound from settlement)
      order by position desc limit 1)
    (select * from (
       select author, title, journal from public.results
       where id > (select id from place)
         and (recorded_at is null or recorded_at <= clock_timestamp() - $3 * interval '1 microsecond')
       order by id limit $1 offset $2 - (select position from place)) behind
     where exists (select from place))
    union all
    (select * from (
       select author, title, journal from public.results
       where recorded_at is null or recorded_at <= clock_timestamp() - $3 * interval '1 microsecond'
       order by id limit $1 offset $2) counted
     where not exists (select from place))";

impl Reads {
    /// One page of results in the order of insertion; pages count from 0; empty past the end. What is null in old rows is
    /// read as empty.
    pub async fn results(&self, page: i64, items_per_page: i64) -> Result<Vec<ResultRow>, StorageError> {
        let (offset, limit) = (page.saturating_mul(items_per_page), items_per_page);
        let mut retries = Retries::default();
        loop {
            let read = bounded(self.try_results(offset, limit)).await;
            if !retries.again(&read) {
                return read;
            }
        }
    }

    async fn try_results(&self, offset: i64, limit: i64) -> Result<Vec<ResultRow>, StorageError> {
        let mut session = Session::statement(&self.results).await?;
        let sql = match (self.settle, offset < DEEP) {
            (None, true) => SHALLOW,
            (None, false) => DEEP_IN_ONE,
            (Some(_), true) => SHALLOW_APART,
            (Some(_), false) => DEEP_APART,
        };
        let page = session.query_as::<(Option<String>, Option<String>, Option<String>)>(sql);
        let mut page = page.bind(limit).bind(offset);
        if let Some(settle) = self.settle {
            page = page.bind(micros(settle));
        }
        let rows = page.fetch_all(session.conn()).await?;
        session.commit().await?;
        Ok(rows
            .into_iter()
            .map(|(author, title, journal)| ResultRow {
                author: author.unwrap_or_default(),
                title: title.unwrap_or_default(),
                journal: journal.unwrap_or_default(),
            })
            .collect())
    }
}
