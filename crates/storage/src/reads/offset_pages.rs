//! Pages of all results by number, without a filter: what is asked for most often, as fast as Postgres reads it.

use super::Reads;
use crate::{
    Paper, StorageError,
    connection::{Kind, Session, micros},
};

/// From so many rows on it pays to start at one that was counted before.
const DEEP: i64 = 1000;

/// Nulls are read as they are: `coalesce` would be computed for each row that is skipped, too. `$settled` is the condition that
/// rows have to meet where the tables are on different servers.
macro_rules! shallow {
    ($settled:literal) => {
        concat!(
            "select author, title, journal from public.results where true",
            $settled,
            " order by id limit $1 offset $2"
        )
    };
}

/// Starts at the last row whose position was counted: exactly so many rows come before it, in the epoch of this very snapshot.
/// Without one, rows are skipped as above: comparing each with a lowest id would cost a tenth more. Only one half is executed.
macro_rules! deep {
    ($settled:literal, $settled_at:literal) => {
        concat!(
            "with watermark as materialized (
               select epoch, (select max(id) from public.arxiv_results_settled where true",
            $settled_at,
            ") as id from public.arxiv_results_epoch),
             counted as materialized (
               select position, id from public.arxiv_results_row_counts
               where epoch = (select epoch from watermark) and position <= $2 and id <= (select id from watermark)
               order by position desc limit 1)
             (select * from (
                select author, title, journal from public.results where id > (select id from counted)",
            $settled,
            " order by id limit $1 offset $2 - (select position from counted)) after_counted
              where exists (select from counted))
             union all
             (select * from (",
            shallow!($settled),
            ") skipped
              where not exists (select from counted))"
        )
    };
}

const SHALLOW: &str = shallow!("");
const SHALLOW_SETTLED: &str = shallow!(
    " and (recorded_at is null or recorded_at <= clock_timestamp() - $3 * interval '1 microsecond')"
);
const DEEP_PAGE: &str = deep!("", "");
const DEEP_SETTLED: &str = deep!(
    " and (recorded_at is null or recorded_at <= clock_timestamp() - $3 * interval '1 microsecond')",
    " and settled_at <= clock_timestamp() - $3 * interval '1 microsecond'"
);

impl Reads {
    /// One page of results in the order of insertion; pages count from 0; empty past the end. Of each paper only what every row
    /// has; what is null in old rows is read as empty.
    pub async fn results(&self, page: i64, items_per_page: i64) -> Result<Vec<Paper>, StorageError> {
        let (offset, limit) = (page.saturating_mul(items_per_page), items_per_page);
        let sql = match (self.settle, offset < DEEP) {
            (None, true) => SHALLOW,
            (None, false) => DEEP_PAGE,
            (Some(_), true) => SHALLOW_SETTLED,
            (Some(_), false) => DEEP_SETTLED,
        };
        let rows = Session::read(&self.results, Kind::Statement, async |session| {
            let page = session.query_as::<(Option<String>, Option<String>, Option<String>)>(sql);
            let mut page = page.bind(limit).bind(offset);
            if let Some(settle) = self.settle {
                page = page.bind(micros(settle));
            }
            Ok(page.fetch_all(session.conn()).await?)
        });
        let paper = |(author, title, journal): (Option<String>, Option<String>, Option<String>)| Paper {
            author: author.unwrap_or_default(),
            title: title.unwrap_or_default(),
            journal: journal.unwrap_or_default(),
            ..Paper::default()
        };
        Ok(rows.await?.into_iter().map(paper).collect())
    }
}
