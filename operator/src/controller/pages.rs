//! The stored pages of a query. A large result is never in memory as a whole: its papers go from the page
//! store to the rows one page at a time.

use std::sync::Arc;

use arxiv::PageRequest;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use paper::PaperVersion;
use storage::{FoundPage, PageHead, PageKey, Pages, PaperBatch, PaperSource, StorageError, feeds::RunEnd};
use tokio::sync::Semaphore;
use upstream::{
    Dedup, OVERLAPS, PageSelector, Updates, ValidatedQuery, key, overlapping_slices, remove_older, slices,
};

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
    papers: Option<Arc<Vec<PaperVersion>>>,
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
    let mut found = Found::default();
    loop {
        let mut requests = found.next_requests(query, depth);
        if requests.is_empty() || found.is_past {
            return Ok(Ok(found.end(query)));
        }
        let stored = found.pages.len();
        let total = stored + requests.len();
        let request = requests.swap_remove(0);
        let key = key(&request, selector);
        let (is_small, after) = (total == 1 && key.count <= FEW, query.updated_after);
        let page = if after.is_none() && depth == Depth::Heads {
            pages.find(&key, is_small).await?
        } else {
            // The semaphore is never closed.
            let _buffered = buffered.acquire_many(key.count).await.ok();
            let mut page = pages.find(&key, true).await?;
            if let Some(page) = &mut page
                && found.look_at(&key, page, after, depth) == Join::Retry
            {
                continue;
            }
            page
        };
        match page {
            Some(page) => found.pages.push(StoredPage {
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

/// The pages of a query that were found so far, and what is known of their papers.
#[derive(Default)]
struct Found {
    pages: Vec<StoredPage>,
    /// All papers of the last one are too old.
    is_past: bool,
    has_older: bool,
    /// Something may be missing.
    is_short: bool,
    /// Of the last one.
    updates: Updates,
    /// Which of [`OVERLAPS`] the next one has.
    overlap: usize,
}

/// Whether a page can be taken as the next one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Join {
    Made,
    /// Not before a page with more results in common with the last one was looked at.
    Retry,
}

impl Found {
    /// The pages that are not found yet. The first page's total decides: one that must be empty by it is not requested.
    fn next_requests(&self, query: &ValidatedQuery, depth: Depth) -> Vec<PageRequest> {
        let total = self.pages.first().map(|first| first.head.total);
        if let (Depth::Papers, Some(last), Some(total)) = (depth, self.pages.last(), total) {
            let end = query.start.saturating_add(query.max_results);
            let covered = last.key.start + last.key.count;
            let overlap = OVERLAPS[self.overlap.min(OVERLAPS.len() - 1)];
            overlapping_slices(&query.search, covered, end, total, overlap)
        } else {
            let all = slices(&query.search, query.start, query.max_results, total);
            all.into_iter().skip(self.pages.len()).collect()
        }
    }

    /// Looks at the papers of the next page, and removes those that are too old.
    fn look_at(
        &mut self,
        key: &PageKey,
        page: &mut FoundPage,
        after: Option<Timestamp>,
        depth: Depth,
    ) -> Join {
        let papers = page.papers.get_or_insert_default();
        let updates = Updates::of(papers);
        let is_joined =
            depth == Depth::Heads || self.pages.is_empty() || updates.follows(self.updates, after);
        if !is_joined && self.overlap + 1 < OVERLAPS.len() {
            self.overlap += 1;
            return Join::Retry;
        }
        let expected = page.head.total.saturating_sub(key.start).min(key.count) as usize;
        let given = papers.len();
        // What cannot be read is not there for anybody.
        self.is_short |= !is_joined || given + page.head.defects.len() < expected;
        self.is_past = remove_older(Arc::make_mut(papers), after);
        self.has_older |= papers.len() < given;
        (self.updates, self.overlap) = (updates, 0);
        Join::Made
    }

    fn end(self, query: &ValidatedQuery) -> StoredPages {
        let total = self.pages.first().map_or(u32::MAX, |first| first.head.total);
        StoredPages {
            end: if self.is_short {
                RunEnd::Short
            } else if self.has_older {
                RunEnd::Older
            } else if end_of(query) >= u64::from(total) {
                RunEnd::Exhausted
            } else {
                RunEnd::Limit
            },
            pages: self.pages,
            updated_after: query.updated_after,
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
    async fn papers(&self, page: &StoredPage) -> Result<Arc<Vec<PaperVersion>>, StorageError> {
        if let Some(papers) = &page.papers {
            return Ok(Arc::clone(papers));
        }
        match self.store.get(&page.key).await? {
            Some(mut found) if found.fetched_at == page.fetched_at => {
                remove_older(&mut found.papers, self.pages.updated_after);
                Ok(Arc::new(found.papers))
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

    fn in_memory(&self) -> Option<(&[PaperVersion], Timestamp)> {
        match self.pages.pages.as_slice() {
            [page] => Some((page.papers.as_ref()?, page.fetched_at)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
