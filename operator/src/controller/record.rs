//! Steps 7 and 8 of a query's life, for one whose pages are all stored: its number and its rows. They need
//! the ledger and the databases of `queries` and `results`.

use arxiv::query_in_title;
use storage::{Ending, Record, feeds::FeedRun};
use tracing::Instrument;
use upstream::feed_search_hashes;

use super::{
    context::{Context, Query},
    error::Error,
    pages::{StoredPage, StoredPages, StoredPapers},
};

/// How many numbers in a row may be taken before the query waits for its next reconciliation: each costs two
/// round trips, and a sequence that is further behind its table needs a repair.
const MAX_NUMBERS: u32 = 100;

/// Records the papers under the number that the ledger holds for the object, or under the next one that no
/// foreign row carries, unless the query has ended already; returns how it ended.
///
/// After an error here the commit may or may not have happened: the next reconciliation finds out in step 4.
pub(crate) async fn record(context: &Context, query: &Query, pages: &StoredPages) -> Result<Ending, Error> {
    let first = pages
        .first()
        .ok_or(Error::Defect("the search requests no page"))?;
    let head = &first.head;
    let number = context.with.ledger.assign(query.uid);
    let number = number.instrument(tracing::error_span!("take number")).await;
    let mut number = number.map_err(Error::storage("taking a number"))?;
    let timestamp = timestamp(query, first);
    // The semaphore is never closed.
    let buffered = context.buffered_papers.acquire_many(pages.max_buffered());
    let _buffered = buffered.await.ok();
    let papers = StoredPapers {
        pages,
        store: &context.with.pages,
    };
    let searches = feed_search_hashes(&query.object.spec.search);
    let feed = feed_run(query, pages, &searches);
    for _ in 0..MAX_NUMBERS {
        let record = Record {
            object: query.owner(),
            query_id: number,
            timestamp,
            status: i16::try_from(head.status).unwrap_or(i16::MAX),
            num_results: i32::try_from(head.total).unwrap_or(i32::MAX),
            query: query_in_title(&head.title),
            papers: &papers,
            feed,
        };
        let outcome = context.with.records.record(&record);
        let outcome = outcome.instrument(tracing::error_span!("record")).await;
        if let Ok(ending) = outcome.map_err(Error::storage("recording"))? {
            if matches!(ending, Ending::Failed(_)) {
                let problem = "failed by another process: its rows are dropped";
                tracing::info!("{problem}");
            }
            return Ok(ending);
        }
        tracing::info!({ query.id = number }, "the number is taken by foreign rows");
        let another = context.with.ledger.reassign(query.uid, number).await;
        number = another.map_err(Error::storage("taking another number"))?;
    }
    Err(Error::NumbersTaken(MAX_NUMBERS))
}

/// What the query is for the feed that it is a run of, if it is one. The database says which of its papers are new to the feed.
fn feed_run<'a>(query: &Query, pages: &StoredPages, searches: &'a [String]) -> Option<FeedRun<'a>> {
    let search = query.search.as_ref().ok()?;
    Some(FeedRun {
        feed: query.feed()?,
        searches,
        start: search.start,
        max_results: search.max_results,
        updated_after: search.updated_after,
        submitted_before: search.submitted_before,
        end: pages.end,
    })
}

/// arXiv's Date if the first page was fetched for this query; the database's clock if the page is older than
/// the query.
fn timestamp(query: &Query, first: &StoredPage) -> i64 {
    let created = query.object.metadata.creation_timestamp.as_ref();
    let time = if created.is_none_or(|created| created.0 <= first.fetched_at) {
        first.head.date.unwrap_or(first.fetched_at)
    } else {
        first.found_at
    };
    time.as_second()
}
