//! Rows of the existing service's tables, as they are written and read.

use paper::PaperVersion;
use sqlx::{FromRow, Row, postgres::PgRow};

/// A paper in a row of `results`: as it is recorded, and as it is read.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq, sqlx::FromRow)]
pub struct Paper {
    /// All authors, joined.
    pub author: String,
    /// Title.
    pub title: String,
    /// Journal reference, empty when there is none.
    pub journal: String,
    /// arXiv's identifier with its version (`2405.00001v1`). None where it is unknown, as in rows of clients and of the existing
    /// service, and where it was not asked for.
    pub arxiv_id: Option<String>,
    /// arXiv's categories with spaces between, the primary one first. None as for the identifier.
    pub categories: Option<String>,
}

impl From<&PaperVersion> for Paper {
    fn from(paper: &PaperVersion) -> Self {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Self {
            author: paper.authors_text(),
            title: paper.title.clone(),
            journal: paper.journal.clone().unwrap_or_default(),
            arxiv_id: some(paper.id.to_string()),
            categories: some(paper.categories.join(" ")),
        }
    }
}

impl Paper {
    /// The length of its texts in bytes.
    pub(crate) fn text_len(&self) -> usize {
        let optional = [&self.arxiv_id, &self.categories].into_iter().flatten();
        let optional: usize = optional.map(String::len).sum();
        self.author.len() + self.title.len() + self.journal.len() + optional
    }
}

/// A row of `results`.
#[derive(Clone, Debug, Eq, PartialEq, sqlx::FromRow)]
pub struct ResultRow {
    /// Rows come in its order.
    pub id: i64,
    /// The id of the query that found it.
    pub query_id: Option<i64>,
    /// The query's time in unix seconds.
    pub timestamp: Option<i64>,
    /// The paper.
    #[sqlx(flatten)]
    pub paper: Paper,
}

/// A row of a left join: the columns of a result, or nulls.
pub(crate) struct JoinedResult(pub(crate) Option<ResultRow>);

impl FromRow<'_, PgRow> for JoinedResult {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let id: Option<i64> = row.try_get("id")?;
        id.map(|_| ResultRow::from_row(row)).transpose().map(Self)
    }
}

/// A row of `queries`: as a client sends it, or as it was recorded for an object.
#[derive(Clone, Debug, Eq, PartialEq, sqlx::FromRow)]
pub struct QueryRow {
    /// The query's id, from the sequence.
    pub query_id: i64,
    /// Unix seconds.
    pub timestamp: i64,
    /// The upstream's HTTP status.
    pub status: i16,
    /// Papers found in all.
    pub num_results: i32,
    /// Papers recorded.
    pub num_entries: i32,
    /// The query as arXiv understood it.
    pub query: String,
}
