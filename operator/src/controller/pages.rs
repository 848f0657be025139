//! The stored pages of a query. A large result is never in memory as a whole: its papers go from the page
//! store to the rows one page at a time.

use arxiv::PageRequest;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use paper::PaperVersion;
use storage::{FoundPage, PageHead, PageKey, Pages, PaperBatch, PaperSource, StorageError, feeds::RunEnd};
use tokio::sync::Semaphore;
use upstream::{Dedup, PageSelector, ValidatedQuery, key, remove_older, slices};

/// The papers of a page with up to so many are read when it is looked up, and kept until they are recorded.
const FEW: u32 = 20;

/// All pages of a query, in their order; there is always a first one.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct StoredPages {
    pages: Vec<StoredPage>,
    /// Papers whose last version is older are not wanted.
    updated_after: Option<Timestamp>,
    /// Why there are no more of them; it is only found out for runs of feeds.
    pub(crate) end: RunEnd,
}

/// How the pages of a query are looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Depth {
    /// Papers are only read where their age matters.
    Heads,
    /// It matters, too, whether any are left out.
    Papers,
}

/// A page that was found in the store.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct StoredPage {
    key: PageKey,
    pub(crate) head: PageHead,
    /// When it was stored, by the database's clock.
    pub(crate) fetched_at: Timestamp,
    /// When it was found, by the same clock.
    pub(crate) found_at: Timestamp,
    /// Those that are recorded, of an only page of [`FEW`].
    papers: Option<Vec<PaperVersion>>,
}

/// The first page of a query that is not stored.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct MissingPage {
    pub(crate) request: PageRequest,
    /// How many pages before it are stored, and how many the query has.
    pub(crate) stored: usize,
    pub(crate) total: usize,
}

/// Looks up the pages of a query, in their order, up to the first one that is missing, or that has only papers that are
/// too old. The papers of a page are only read where they are few or their age matters, then `buffered` at a time.
pub(crate) async fn find_pages(
    pages: &Pages,
    buffered: &Semaphore,
    query: &ValidatedQuery,
    selector: PageSelector,
    depth: Depth,
) -> Result<Result<StoredPages, MissingPage>, StorageError> {
    let mut found: Vec<StoredPage> = Vec::new();
    let (mut is_past, mut has_older, mut is_short) = (false, false, false);
    loop {
        // The first page's total decides: a page that must be empty by it is not requested.
        let total = found.first().map(|first| first.head.total);
        let mut requests = slices(&query.search, query.start, query.max_results, total);
        let all = total.unwrap_or(u32::MAX);
        let (stored, total) = (found.len(), requests.len());
        if stored >= total || is_past {
            return Ok(Ok(StoredPages {
                pages: found,
                updated_after: query.updated_after,
                end: if is_short {
                    RunEnd::Short
                } else if has_older {
                    RunEnd::Older
                } else if end_of(query) >= u64::from(all) {
                    RunEnd::Exhausted
                } else {
                    RunEnd::Limit
                },
            }));
        }
        let request = requests.swap_remove(stored);
        let key = key(&request, selector);
        let (is_small, after) = (total == 1 && key.count <= FEW, query.updated_after);
        let page = if after.is_none() && depth == Depth::Heads {
            pages.find(&key, is_small).await?
        } else {
            // The semaphore is never closed.
            let _buffered = buffered.acquire_many(key.count).await.ok();
            let mut page = pages.find(&key, true).await?;
            if let Some(FoundPage { head, papers, .. }) = &mut page {
                let papers = papers.get_or_insert_default();
                let expected = head.total.saturating_sub(key.start).min(key.count) as usize;
                let given = papers.len();
                // What cannot be read is not there for anybody.
                is_short |= given + head.defects.len() < expected;
                is_past = remove_older(papers, after);
                has_older |= papers.len() < given;
            }
            page
        };
        match page {
            Some(page) => found.push(StoredPage {
                key,
                head: page.head,
                fetched_at: page.fetched_at,
                found_at: page.found_at,
                papers: page.papers.filter(|_| is_small),
            }),
            None => {
                return Ok(Err(MissingPage {
                    request,
                    stored,
                    total,
                }));
            }
        }
    }
}

/// The number of the result after the last one that a query wants.
fn end_of(query: &ValidatedQuery) -> u64 {
    u64::from(query.start) + u64::from(query.max_results)
}

impl StoredPages {
    /// The first page, whose head counts for all of them. Later pages may differ a little.
    pub(crate) fn first(&self) -> Option<&StoredPage> {
        self.pages.first()
    }

    /// The most papers that are in memory at once.
    pub(crate) fn max_buffered(&self) -> u32 {
        self.pages
            .iter()
            .map(|page| page.key.count)
            .max()
            .unwrap_or_default()
    }
}

/// The papers of stored pages, read one page at a time.
pub(crate) struct StoredPapers<'a> {
    pub(crate) pages: &'a StoredPages,
    pub(crate) store: &'a Pages,
}

impl StoredPapers<'_> {
    async fn papers(&self, page: &StoredPage) -> Result<Vec<PaperVersion>, StorageError> {
        if let Some(papers) = &page.papers {
            return Ok(papers.clone());
        }
        match self.store.get(&page.key).await? {
            Some(mut found) if found.fetched_at == page.fetched_at => {
                remove_older(&mut found.papers, self.pages.updated_after);
                Ok(found.papers)
            }
            // It has expired, or was removed to make space for others.
            _ => Err(StorageError::PageGone),
        }
    }
}

impl PaperSource for StoredPapers<'_> {
    fn batch_count(&self) -> usize {
        self.pages.pages.len()
    }

    fn batches(&self) -> BoxStream<'_, Result<PaperBatch, StorageError>> {
        let start = (self.pages.pages.iter(), Dedup::default());
        stream::try_unfold(start, async |(mut pages, mut dedup)| {
            let Some(page) = pages.next() else {
                return Ok(None);
            };
            let batch = PaperBatch {
                papers: dedup.filter(self.papers(page).await?),
                fetched_at: page.fetched_at,
            };
            Ok(Some((batch, (pages, dedup))))
        })
        .boxed()
    }
}
