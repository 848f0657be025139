//! Pages of settled results, after a position: no row will ever be added between the rows of such a page.

use super::{Reads, filter::ResultFilter, results::PageStart};
use crate::{
    ResultRow, StorageError,
    connection::{Kind, Session},
    rows::JoinedResult,
};

/// The last settled row that a client has read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    /// The epoch of the server that answered.
    pub epoch: i64,
    /// The row's id.
    pub id: i64,
}

impl Position {
    /// Before the first row.
    pub const START: Self = Self {
        epoch: i64::MAX,
        id: i64::MIN,
    };
}

/// Up to where results are settled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Watermark {
    /// Grows whenever settled rows may have changed.
    pub epoch: i64,
    /// Up to this id no row will be added any more.
    pub id: i64,
    /// The id after which the page starts: that of the position, or a lower one when the rows between may have changed since
    /// then, because a server took over that had fewer.
    pub after: i64,
}

/// A page after a position.
#[derive(Clone, Debug)]
pub struct SettledPage {
    /// That of the server that answered.
    pub watermark: Watermark,
    /// Rows up to it.
    pub rows: Vec<ResultRow>,
}

/// The watermark, and a result of the page; without one just the watermark.
#[derive(sqlx::FromRow)]
struct SettledRow {
    epoch: i64,
    watermark: Option<i64>,
    after: i64,
    #[sqlx(flatten)]
    result: JoinedResult,
}

impl Reads {
    /// Settled results that match and come after a position. None when this server does not know its watermark yet.
    pub async fn settled_after(
        &self,
        filter: &ResultFilter,
        position: Position,
        limit: i64,
    ) -> Result<Option<SettledPage>, StorageError> {
        let rows = Session::read(&self.results, Kind::Indexed, async |session| {
            session
                .fetch(self.page(filter, PageStart::Settled(position), limit))
                .await
        });
        let rows: Vec<SettledRow> = rows.await?;
        let Some(&SettledRow {
            epoch,
            watermark: Some(id),
            after,
            ..
        }) = rows.first()
        else {
            return Ok(None);
        };
        let mut rows: Vec<_> = rows.into_iter().filter_map(|row| row.result.0).collect();
        rows.sort_unstable_by_key(|row| row.id);
        let watermark = Watermark { epoch, id, after };
        Ok(Some(SettledPage { watermark, rows }))
    }

    /// The watermark of the server that answers, for a page after a position; None when it does not know it.
    pub async fn watermark(&self, position: Position) -> Result<Option<Watermark>, StorageError> {
        let page = self.settled_after(&ResultFilter::default(), position, 0).await?;
        Ok(page.map(|page| page.watermark))
    }
}
