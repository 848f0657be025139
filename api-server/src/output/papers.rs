//! Results in each format, and the paper that the reference formats (BibTeX, CSL-JSON) write.

use std::io;

use arxiv::NO_AUTHORS;
use serde::Serialize;
use storage::ResultRow;

use crate::{
    output::body::RowEncoder,
    output::format::Format,
    output::{bibtex, csl, csv},
};

/// A paper as the existing service shows it.
#[derive(Serialize)]
pub(crate) struct ShownPaper<'a> {
    author: &'a str,
    title: &'a str,
    journal: &'a str,
}

impl<'a> From<&'a storage::Paper> for ShownPaper<'a> {
    fn from(paper: &'a storage::Paper) -> Self {
        Self {
            author: &paper.author,
            title: &paper.title,
            journal: &paper.journal,
        }
    }
}

/// A result with all its fields, as NDJSON has it.
#[derive(Serialize)]
struct ResultView<'a> {
    #[serde(flatten)]
    paper: ShownPaper<'a>,
    query_id: Option<i64>,
    timestamp: Option<i64>,
    arxiv_id: Option<&'a str>,
    categories: Option<&'a str>,
}

impl<'a> From<&'a ResultRow> for ResultView<'a> {
    fn from(result: &'a ResultRow) -> Self {
        Self {
            paper: ShownPaper::from(&result.paper),
            query_id: result.query_id,
            timestamp: result.timestamp,
            arxiv_id: result.paper.arxiv_id.as_deref(),
            categories: result.paper.categories.as_deref(),
        }
    }
}

/// The encoder of results in a format.
pub(crate) fn encoder(format: Format) -> RowEncoder<ResultRow> {
    match format {
        Format::Json => RowEncoder {
            head: "[",
            separator: ",",
            tail: "]",
            write: Box::new(|buffer, result| {
                use bytes::BufMut;
                serde_json::to_writer(buffer.writer(), &ShownPaper::from(&result.paper))?;
                Ok(())
            }),
        },
        Format::Ndjson => RowEncoder {
            head: "",
            separator: "",
            tail: "",
            write: Box::new(|buffer, result| {
                use bytes::BufMut;
                serde_json::to_writer(buffer.writer(), &ResultView::from(result))?;
                buffer.put_u8(b'\n');
                Ok(())
            }),
        },
        Format::Csv => RowEncoder {
            head: "author,title,journal,query_id,timestamp,arxiv_id,categories\r\n",
            separator: "",
            tail: "",
            write: Box::new(|buffer, result| {
                let number = |number: Option<i64>| number.map(|n| n.to_string()).unwrap_or_default();
                let cells = [
                    &result.paper.author,
                    &result.paper.title,
                    &result.paper.journal,
                    &number(result.query_id),
                    &number(result.timestamp),
                    result.paper.arxiv_id.as_deref().unwrap_or_default(),
                    result.paper.categories.as_deref().unwrap_or_default(),
                ];
                csv::line(buffer, &cells);
                Ok(())
            }),
        },
        Format::Bibtex => RowEncoder {
            head: "",
            separator: "\n",
            tail: "",
            write: Box::new(|buffer, result| {
                bibtex::entry(buffer, &Paper::of(result));
                io::Result::Ok(())
            }),
        },
        Format::CslJson => RowEncoder {
            head: "[",
            separator: ",",
            tail: "]",
            write: Box::new(|buffer, result| csl::item(buffer, &Paper::of(result))),
        },
    }
}

/// A paper as a reference.
pub(crate) struct Paper<'a> {
    /// The citation key: unique among results, and the same each time.
    pub(crate) key: String,
    /// The authors' names.
    pub(crate) authors: Vec<&'a str>,
    /// The title.
    pub(crate) title: &'a str,
    /// The journal reference; empty if there is none.
    pub(crate) journal: &'a str,
    /// arXiv's identifier without the version.
    pub(crate) arxiv_id: Option<&'a str>,
    /// The primary category.
    pub(crate) category: Option<&'a str>,
    /// Year and month of its submission, read from its identifier.
    pub(crate) submitted: Option<(u16, u8)>,
}

impl<'a> Paper<'a> {
    pub(crate) fn of(result: &'a ResultRow) -> Self {
        let arxiv_id = result.paper.arxiv_id.as_deref().map(arxiv::unversioned);
        let plain: String = arxiv_id
            .unwrap_or("result")
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        let storage::Paper {
            author,
            title,
            journal,
            ..
        } = &result.paper;
        let authors = author
            .split(", ")
            .filter(|name| !name.is_empty() && *name != NO_AUTHORS);
        Self {
            // The same paper may be the result of several queries.
            key: format!("{plain}-{}", result.id),
            authors: authors.collect(),
            title,
            journal,
            arxiv_id,
            category: result
                .paper
                .categories
                .as_deref()
                .and_then(|all| all.split(' ').next()),
            submitted: arxiv_id.and_then(submitted),
        }
    }
}

/// Identifiers begin with year and month: `2405.00001`, `math/9901001`
/// (<https://info.arxiv.org/help/arxiv_identifier.html>). The older form began in 1991.
fn submitted(id: &str) -> Option<(u16, u8)> {
    let number = id.rsplit('/').next()?;
    let (year, month) = (
        number.get(..2)?.parse::<u16>().ok()?,
        number.get(2..4)?.parse::<u8>().ok()?,
    );
    let is_digits = number.bytes().take(4).all(|b| b.is_ascii_digit());
    let year = if id.contains('/') && year > 90 {
        1900 + year
    } else {
        2000 + year
    };
    (is_digits && (1..=12).contains(&month)).then_some((year, month))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn result(author: &str, title: &str, journal: &str, arxiv_id: Option<&str>) -> ResultRow {
        ResultRow {
            id: 17,
            query_id: Some(3),
            timestamp: Some(1_711_843_200),
            paper: storage::Paper {
                author: author.to_owned(),
                title: title.to_owned(),
                journal: journal.to_owned(),
                arxiv_id: arxiv_id.map(str::to_owned),
                categories: arxiv_id.map(|_| "math.CO cs.DM".to_owned()),
            },
        }
    }

    #[test]
    fn submission_month_is_read_from_the_identifier() {
        for (id, expected) in [
            ("2405.00001", Some((2024, 5))),
            ("0704.0001", Some((2007, 4))),
            ("math/9901001", Some((1999, 1))),
            ("hep-ex/0307015", Some((2003, 7))),
            ("2413.00001", None),
            ("+4", None),
            ("é1", None),
            ("", None),
        ] {
            assert_eq!(submitted(id), expected, "{id}");
        }
    }

    #[test]
    fn result_in_each_format_has_its_fields() {
        let rows = [
            result("Paul Erdős, B", "On $x$, \"y\"", "", Some("2405.00001v2")),
            result("=A", "T", "J", None),
        ];
        for (format, expected) in [
            (
                Format::Json,
                r#"[{"author":"Paul Erdős, B","title":"On $x$, \"y\"","journal":""},{"author":"=A","title":"T","journal":"J"}]"#,
            ),
            (
                Format::Ndjson,
                "{\"author\":\"Paul Erdős, B\",\"title\":\"On $x$, \\\"y\\\"\",\"journal\":\"\",\"query_id\":3,\"timestamp\":1711843200,\"arxiv_id\":\"2405.00001v2\",\"categories\":\"math.CO cs.DM\"}\n{\"author\":\"=A\",\"title\":\"T\",\"journal\":\"J\",\"query_id\":3,\"timestamp\":1711843200,\"arxiv_id\":null,\"categories\":null}\n",
            ),
            (
                Format::Csv,
                "author,title,journal,query_id,timestamp,arxiv_id,categories\r\n\"Paul Erdős, B\",\"On $x$, \"\"y\"\"\",,3,1711843200,2405.00001v2,math.CO cs.DM\r\n'=A,T,J,3,1711843200,,\r\n",
            ),
        ] {
            assert_eq!(encoder(format).whole(&rows).unwrap(), expected);
        }
    }
}
