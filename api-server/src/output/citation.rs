//! Results as papers for a bibliography or a feed: whole, and each paper once.

use std::{borrow::Cow, collections::HashMap};

use jiff::Timestamp;
use paper::{Author, NO_AUTHORS, PaperId, PaperVersion, normalized_id};
use storage::{Reads, ResultRow, StorageError, WhichVersion};

use crate::output::format::ResultForm;

/// A result, and its paper's whole metadata if that was asked for and is known here.
#[derive(Clone, Debug)]
pub(crate) struct FoundPaper {
    pub(crate) row: ResultRow,
    pub(crate) whole: Option<PaperVersion>,
}

impl FoundPaper {
    /// The whole paper, or what its row says of it.
    pub(crate) fn paper(&self) -> Cow<'_, PaperVersion> {
        let whole = self.whole.as_ref().map(Cow::Borrowed);
        whole.unwrap_or_else(|| Cow::Owned(paper_version(&self.row)))
    }

    /// The time of the query that found it.
    pub(crate) fn seen(&self) -> Timestamp {
        let seconds = self.row.timestamp;
        let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        time.unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// When its version was submitted, as far as that is known.
    pub(crate) fn updated(&self) -> Timestamp {
        let whole = self.whole.as_ref();
        let updated = whole.and_then(|paper| paper.updated.or(paper.published));
        updated.unwrap_or_else(|| self.seen())
    }
}

/// Rows of which no more are looked up at once: some papers have thousands of authors.
pub(crate) const LOOKED_UP: usize = 100;

/// The rows with what a form shows of their papers: as an entry the newest version, else the row's own.
pub(crate) async fn looked_up(
    reads: Reads,
    form: ResultForm,
    rows: Vec<ResultRow>,
) -> Result<Vec<FoundPaper>, StorageError> {
    let has_entries = form.format.has_entries();
    // By what a row's paper is found: as an entry, whatever the row's version is.
    let key = |id: PaperId| PaperId {
        version: id.version.filter(|_| !has_entries),
        ..id
    };
    let mut known = HashMap::new();
    if form.shows_whole_papers() {
        let ids: Vec<_> = rows.iter().map(paper_id).filter(|id| !is_own(id)).collect();
        let which = if has_entries {
            WhichVersion::Newest
        } else {
            WhichVersion::Named
        };
        for paper in reads.whole_papers(&ids, which).await? {
            known.insert(key(paper.id.clone()), paper);
        }
    }
    let found = rows.into_iter().map(|row| {
        let whole = known.get(&key(paper_id(&row))).cloned();
        FoundPaper { row, whole }
    });
    Ok(found.collect())
}

/// What is known of a paper from a row of results. A row without arXiv's identifier is a paper of its own.
fn paper_version(result: &ResultRow) -> PaperVersion {
    let row = &result.paper;
    let names = row.author.split(", ").filter(|name| *name != NO_AUTHORS);
    let categories = row.categories.as_deref().unwrap_or_default();
    PaperVersion {
        id: paper_id(result),
        title: row.title.clone(),
        // What is no name by itself, such as `Jr.`, is put together again by `citations`.
        authors: names
            .map(|name| Author {
                name: name.to_owned(),
                affiliations: Vec::new(),
            })
            .collect(),
        journal: Some(row.journal.clone()).filter(|journal| !journal.is_empty()),
        categories: categories.split_ascii_whitespace().map(str::to_owned).collect(),
        ..PaperVersion::default()
    }
}

/// What the identifiers of such papers begin with.
const OWN: &str = "result-";

fn is_own(id: &PaperId) -> bool {
    id.paper.starts_with(OWN)
}

fn paper_id(result: &ResultRow) -> PaperId {
    let id = result.paper.arxiv_id.as_deref().map(PaperId::of_entry);
    let id = id.filter(|id| normalized_id(&id.paper).is_some());
    id.unwrap_or_else(|| PaperId {
        paper: format!("{OWN}{}", result.id),
        version: None,
    })
}

/// The rows with each paper once, in its newest version, where the paper came first.
pub(crate) fn distinct(rows: Vec<ResultRow>) -> Vec<ResultRow> {
    let mut kept: Vec<(PaperId, ResultRow)> = Vec::with_capacity(rows.len());
    let mut places = HashMap::new();
    for row in rows {
        let id = paper_id(&row);
        match places
            .get(&id.paper)
            .and_then(|place: &usize| kept.get_mut(*place))
        {
            Some(known) if known.0.version < id.version => *known = (id, row),
            Some(_) => {}
            None => {
                places.insert(id.paper.clone(), kept.len());
                kept.push((id, row));
            }
        }
    }
    kept.into_iter().map(|(_, row)| row).collect()
}

/// Which papers a stream has had: one bit for each, as arXiv's identifiers are numbers within a month.
#[derive(Debug, Default)]
pub(crate) struct SeenPapers {
    /// By what is before the number: `2405.`, `hep-ex/0307`.
    months: HashMap<String, Vec<u8>>,
    bytes: usize,
}

impl SeenPapers {
    /// All papers of arXiv until 2026 need one MiB. When this is used up, by identifiers that arXiv never gave, papers
    /// of further months are not kept.
    const MAX_BYTES: usize = 4 * 1024 * 1024;
    /// An estimate of what a month needs besides its bits.
    const MONTH_BYTES: usize = 64;

    /// Whether this is the first row of its paper.
    pub(crate) fn is_first(&mut self, result: &ResultRow) -> bool {
        let id = paper_id(result);
        // A row without an identifier is a paper of its own.
        if is_own(&id) {
            return true;
        }
        let id = id.paper;
        let digits = if id.contains('/') { 3 } else { 5 };
        let month = id
            .find('.')
            .map_or(id.len().saturating_sub(digits), |dot| dot + 1);
        let (month, number) = id.split_at(month);
        let Ok(number) = number.parse::<usize>() else {
            return true;
        };
        let (byte, bit) = (number / 8, 1_u8 << (number % 8));
        let is_new = !self.months.contains_key(month);
        let length = self.months.get(month).map_or(0, Vec::len);
        let more = (byte + 1).saturating_sub(length) + if is_new { Self::MONTH_BYTES } else { 0 };
        if self.bytes + more > Self::MAX_BYTES {
            return true;
        }
        let bits = self.months.entry(month.to_owned()).or_default();
        if length <= byte {
            bits.resize(byte + 1, 0);
            self.bytes += more;
        }
        let Some(seen) = bits.get_mut(byte) else {
            return true;
        };
        let is_first = *seen & bit == 0;
        *seen |= bit;
        is_first
    }
}

#[cfg(test)]
mod tests {
    use storage::Paper;

    use super::*;

    fn row(id: i64, arxiv_id: &str, author: &str) -> ResultRow {
        ResultRow {
            id,
            query_id: None,
            timestamp: None,
            paper: Paper {
                author: author.to_owned(),
                arxiv_id: Some(arxiv_id.to_owned()).filter(|id| !id.is_empty()),
                ..Paper::default()
            },
        }
    }

    #[test]
    fn paper_has_what_its_row_says() {
        let mut result = row(7, "2405.00001v2", "A. A. Alves, Jr., B");
        result.paper.categories = Some("math.CO cs.DM".into());
        let paper = paper_version(&result);
        let names: Vec<_> = paper.authors.iter().map(|author| author.name.as_str()).collect();
        assert_eq!(names, ["A. A. Alves", "Jr.", "B"]);
        assert_eq!(paper.id, PaperId::of_entry("2405.00001v2"));
        assert_eq!((paper.categories.len(), paper.journal), (2, None));
        assert!(paper_version(&row(7, "", NO_AUTHORS)).authors.is_empty());
        for unknown in ["", "x"] {
            assert_eq!(paper_version(&row(7, unknown, "")).id.paper, "result-7");
        }
    }

    #[test]
    fn paper_of_a_page_is_kept_once_in_its_newest_version() {
        let rows = [
            row(1, "2405.00001v1", ""),
            row(2, "", ""),
            row(3, "hep-ex/0307015v2", ""),
            row(4, "2405.00001v2", ""),
            row(5, "hep-ex/0307015v1", ""),
            row(6, "", ""),
        ];
        let ids: Vec<_> = distinct(rows.into()).iter().map(|row| row.id).collect();
        assert_eq!(ids, [4, 2, 3, 6]);
    }

    #[test]
    fn paper_of_a_stream_is_first_once() {
        let mut seen = SeenPapers::default();
        for (id, is_first) in [
            ("2405.00001v1", true),
            ("2405.00001v2", false),
            ("2405.00011", true),
            ("2405.10001", true),
            ("2406.00001", true),
            ("0704.0001", true),
            ("0704.0001v9", false),
            ("math/0307015", true),
            ("hep-ex/0307015v1", true),
            ("hep-ex/0307015v2", false),
            ("", true),
            ("", true),
        ] {
            assert_eq!(seen.is_first(&row(7, id, "")), is_first, "{id}");
        }
    }

    #[test]
    fn memory_of_a_stream_is_bounded_for_any_identifiers() {
        let mut seen = SeenPapers::default();
        for archive in 0..100_000 {
            let letters = |n: u32| char::from_digit(10 + n % 26, 36).unwrap_or('a');
            let archive: String = [archive, archive / 26, archive / 676, archive / 17576]
                .map(letters)
                .iter()
                .collect();
            seen.is_first(&row(7, &format!("{archive}/0307999"), ""));
        }
        assert!(seen.bytes <= SeenPapers::MAX_BYTES);
        assert!(seen.months.len() < 50_000, "{}", seen.months.len());
    }
}
