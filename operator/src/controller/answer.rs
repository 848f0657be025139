//! The answer to a query as it stands in the page store. A big one is never in memory as a whole: it goes from there to its
//! rows a page at a time.

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use storage::{PageEntry, PageHead, PageKey, Pages, Paper, Papers, ResultRow, StorageError};
use upstream::Distinct;

/// All slices of an answer, in their order: there always is a first one.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) slices: Vec<Slice>,
}

/// A page that was seen in the store.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) key: PageKey,
    pub(crate) head: PageHead,
}

impl Answer {
    /// What its first page says, which counts for all of it. Later pages may differ a little.
    pub(crate) fn head(&self) -> Option<&PageHead> {
        self.slices.first().map(|first| &first.head)
    }

    /// The most papers that are in memory at once.
    pub(crate) fn most_at_once(&self) -> u32 {
        let counts = self.slices.iter().map(|slice| slice.key.count);
        counts.max().unwrap_or_default()
    }
}

/// The papers of an answer, out of the store.
pub(crate) struct Stored<'a> {
    pub(crate) answer: &'a Answer,
    pub(crate) pages: &'a Pages,
}

impl Stored<'_> {
    async fn page(&self, slice: &Slice) -> Result<Vec<PageEntry>, StorageError> {
        match self.pages.get(&slice.key).await? {
            Some(page) if page.fetched_at == slice.head.fetched_at => Ok(page.entries),
            // Its time was over, or it had to make room.
            _ => Err(StorageError::PageGone),
        }
    }
}

impl Papers for Stored<'_> {
    fn pieces(&self) -> BoxStream<'_, Result<Vec<Paper>, StorageError>> {
        let from_the_first = (self.answer.slices.iter(), Distinct::default());
        stream::try_unfold(from_the_first, async |(mut slices, mut distinct)| {
            let Some(slice) = slices.next() else {
                return Ok(None);
            };
            let papers = papers(distinct.of(self.page(slice).await?));
            Ok(Some((papers, (slices, distinct))))
        })
        .boxed()
    }
}

fn papers(entries: Vec<PageEntry>) -> Vec<Paper> {
    let paper = |entry: PageEntry| Paper {
        arxiv_id: arxiv::short_id(&entry.id).to_owned(),
        categories: entry.categories,
        row: ResultRow {
            author: entry.authors,
            title: entry.title,
            journal: entry.journal,
        },
    };
    entries.into_iter().map(paper).collect()
}
