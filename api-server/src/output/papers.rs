//! Results in each format.

use bytes::BufMut;
use serde::{Serialize, Serializer};
use storage::{Paper, ResultRow};

use crate::output::{
    body::{JSON_ARRAY, LINES, RowEncoder, write_json, write_json_line},
    citation::paper_version,
    csv,
    format::{Format, ResultForm},
};

/// A value of a row.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Cell<'a> {
    Text(Option<&'a str>),
    Number(Option<i64>),
}

/// A row, or some of its columns, as a JSON object.
struct Object<'a>(&'a [(&'static str, Cell<'a>)]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// A paper as the existing service shows it.
fn paper_columns(paper: &Paper) -> [(&'static str, Cell<'_>); 3] {
    [
        ("author", Cell::Text(Some(&paper.author))),
        ("title", Cell::Text(Some(&paper.title))),
        ("journal", Cell::Text(Some(&paper.journal))),
    ]
}

/// A result with all its fields, as NDJSON and CSV have it.
fn columns(result: &ResultRow) -> [(&'static str, Cell<'_>); 7] {
    let [author, title, journal] = paper_columns(&result.paper);
    [
        author,
        title,
        journal,
        ("query_id", Cell::Number(result.query_id)),
        ("timestamp", Cell::Number(result.timestamp)),
        ("arxiv_id", Cell::Text(result.paper.arxiv_id.as_deref())),
        ("categories", Cell::Text(result.paper.categories.as_deref())),
    ]
}

/// The encoder of papers in JSON.
pub(crate) fn json_encoder() -> RowEncoder<Paper> {
    RowEncoder::new(JSON_ARRAY, |buffer, paper| {
        write_json(buffer, &Object(&paper_columns(paper)))
    })
}

/// The encoder of results in a format.
pub(crate) fn encoder(form: ResultForm) -> RowEncoder<ResultRow> {
    let options = form.citations;
    match form.format {
        Format::Json => RowEncoder::new(JSON_ARRAY, |buffer, result: &ResultRow| {
            write_json(buffer, &Object(&paper_columns(&result.paper)))
        }),
        Format::Ndjson => RowEncoder::new(LINES, |buffer, result| {
            write_json_line(buffer, &Object(&columns(result)))
        }),
        Format::Csv { with_mark } => {
            let head = "author,title,journal,query_id,timestamp,arxiv_id,categories\r\n";
            RowEncoder::new([head, "", ""], |buffer, result| {
                csv::line(
                    buffer,
                    &columns(result).map(|(_, cell)| match cell {
                        Cell::Text(text) => text.unwrap_or_default().to_owned(),
                        Cell::Number(number) => number.map(|number| number.to_string()).unwrap_or_default(),
                    }),
                );
                Ok(())
            })
            .after_mark(with_mark)
        }
        Format::Bibtex => RowEncoder::new(["", "\n", ""], move |buffer, result| {
            buffer.put_slice(citations::bibtex(&paper_version(result), options).as_bytes());
            Ok(())
        }),
        Format::CslJson => RowEncoder::new(JSON_ARRAY, move |buffer, result| {
            write_json(buffer, &citations::csl_json(&paper_version(result), options))
        }),
        Format::Ris => RowEncoder::new(LINES, move |buffer, result| {
            buffer.put_slice(citations::ris(&paper_version(result), options).as_bytes());
            Ok(())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(author: &str, title: &str, journal: &str, arxiv_id: Option<&str>) -> ResultRow {
        ResultRow {
            id: 17,
            query_id: Some(3),
            timestamp: Some(1_711_843_200),
            paper: Paper {
                author: author.to_owned(),
                title: title.to_owned(),
                journal: journal.to_owned(),
                arxiv_id: arxiv_id.map(str::to_owned),
                categories: arxiv_id.map(|_| "math.CO cs.DM".to_owned()),
            },
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
                Format::Csv { with_mark: false },
                "author,title,journal,query_id,timestamp,arxiv_id,categories\r\n\"Paul Erdős, B\",\"On $x$, \"\"y\"\"\",,3,1711843200,2405.00001v2,math.CO cs.DM\r\n'=A,T,J,3,1711843200,,\r\n",
            ),
            (
                Format::Bibtex,
                "@misc{erdos2024-2405.00001,\n  author = {Erd{\\H{o}}s, Paul and {B}},\n  title = {{On $x$, \"y\"}},\n  year = {2024},\n  month = may,\n  eprint = {2405.00001},\n  archivePrefix = {arXiv},\n  primaryClass = {math.CO},\n  url = {https://arxiv.org/abs/2405.00001},\n  keywords = {math.CO, cs.DM}\n}\n\n@misc{anon-result-17,\n  author = {{=A}},\n  title = {{T}},\n  note = {J}\n}\n",
            ),
            (
                Format::CslJson,
                r#"[{"URL":"https://arxiv.org/abs/2405.00001","archive":"arXiv","archive_location":"2405.00001","author":[{"family":"Erdős","given":"Paul"},{"literal":"B"}],"id":"erdos2024-2405.00001","issued":{"date-parts":[[2024,5]]},"keyword":"math.CO, cs.DM","number":"arXiv:2405.00001","publisher":"arXiv","title":"On $x$, \"y\"","type":"article"},{"author":[{"literal":"=A"}],"id":"anon-result-17","note":"J","title":"T","type":"article"}]"#,
            ),
            (
                Format::Ris,
                "TY  - UNPB\r\nID  - erdos2024-2405.00001\r\nAU  - Erdős, Paul\r\nAU  - B\r\nTI  - On $x$, \"y\"\r\nPY  - 2024\r\nUR  - https://arxiv.org/abs/2405.00001\r\nDB  - arXiv\r\nAN  - arXiv:2405.00001\r\nKW  - math.CO\r\nKW  - cs.DM\r\nER  - \r\n\r\nTY  - GEN\r\nID  - anon-result-17\r\nAU  - =A\r\nTI  - T\r\nN1  - J\r\nER  - \r\n\r\n",
            ),
        ] {
            assert_eq!(
                encoder(ResultForm {
                    format,
                    citations: citations::Options::default(),
                })
                .whole(&rows)
                .unwrap(),
                expected
            );
        }
    }
}
