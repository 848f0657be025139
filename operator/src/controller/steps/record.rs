//! Step 7: the rows. Needs the ledger and the databases of `queries` and `results`.

use arxiv::query_in_title;
use jiff::Timestamp;
use storage::{Ending, PageHead, QueryIdTaken, Record};

use super::number;
use crate::controller::{
    answer::{Answer, Stored},
    context::{Context, Query},
    error::Error,
};

/// How many numbers in a row may be taken before the query is put aside for a while: each costs two round trips, and
/// a sequence that lags farther than that behind its table is better set right.
const NUMBERS_TRIED: u32 = 100;

/// Records the answer under `number`, or under the next one that no stranger's row carries, unless the query has ended
/// already; how it ended.
///
/// After an error here the commit may or may not have happened. The next reconciliation looks for the rows first.
pub(crate) async fn record(
    context: &Context,
    query: &Query,
    mut number: i64,
    answer: &Answer,
) -> Result<Ending, Error> {
    let failed = |source| Error::Storage {
        step: "recording",
        source,
    };
    let head = answer.head().ok_or(Error::NoPages)?;
    let timestamp = timestamp(context, query, head).await?;
    // The room is never closed, so there always comes some.
    let _room = context.room.acquire_many(answer.most_at_once()).await.ok();
    let papers = Stored {
        answer,
        pages: &context.pages,
    };
    for _ in 0..NUMBERS_TRIED {
        let record = Record {
            object: query.recorded_of(),
            query_id: number,
            timestamp,
            status: i16::try_from(head.status).unwrap_or(i16::MAX),
            num_results: i32::try_from(head.total).unwrap_or(i32::MAX),
            query: query_in_title(&head.title),
            results: &papers,
        };
        match context.records.record(&record).await.map_err(failed)? {
            Ok(Ending::Recorded(recorded)) => return Ok(Ending::Recorded(recorded)),
            Ok(Ending::Failed(failure)) => {
                tracing::info!(
                    object = query.name(),
                    namespace = query.namespace(),
                    "closed by another process, so its rows are dropped"
                );
                return Ok(Ending::Failed(failure));
            }
            Err(QueryIdTaken) => {
                tracing::info!(
                    query.id = number,
                    object = query.name(),
                    "the number is taken by rows of others"
                );
                number = number::replace(context, query, number).await?;
            }
        }
    }
    Err(Error::NumbersTaken(NUMBERS_TRIED))
}

/// arXiv's Date when the answer was fetched for this query; the database's clock when it was there before the query.
async fn timestamp(context: &Context, query: &Query, head: &PageHead) -> Result<i64, Error> {
    let created = query
        .object
        .metadata
        .creation_timestamp
        .as_ref()
        .map(|time| time.0);
    if created.is_none_or(|created| created <= head.fetched_at) {
        return Ok(head.date.unwrap_or(head.fetched_at).as_second());
    }
    let now = context.pages.now().await;
    now.map(Timestamp::as_second).map_err(|source| Error::Storage {
        step: "reading the clock",
        source,
    })
}
