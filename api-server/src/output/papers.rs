//! Results in each format.

use bytes::BufMut;
use serde::{Serialize, Serializer};
use storage::Paper;

use crate::output::{
    body::{ENTRIES, JSON_ARRAY, LINES, RowEncoder, write_json, write_json_line},
    citation::FoundPaper,
    columns::Cell,
    csv,
    format::{Format, ResultForm},
};

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

/// The encoder of papers in JSON.
pub(crate) fn json_encoder() -> RowEncoder<Paper> {
    RowEncoder::new(JSON_ARRAY, |buffer, paper| {
        write_json(buffer, &Object(&paper_columns(paper)))
    })
}

/// The encoder of results in a form.
pub(crate) fn encoder(form: ResultForm) -> RowEncoder<FoundPaper> {
    let (columns, options) = (form.columns, form.citations);
    match form.format {
        Format::Json => RowEncoder::new(JSON_ARRAY, move |buffer, found: &FoundPaper| {
            write_json(buffer, &Object(&columns.of(found)))
        }),
        Format::Ndjson => RowEncoder::new(LINES, move |buffer, found: &FoundPaper| {
            write_json_line(buffer, &Object(&columns.of(found)))
        }),
        Format::Csv { with_mark } => {
            let encoder = RowEncoder::new(LINES, move |buffer, found: &FoundPaper| {
                let cells: Vec<_> = columns
                    .of(found)
                    .into_iter()
                    .map(|(_, cell)| cell.text())
                    .collect();
                csv::line(buffer, &cells);
                Ok(())
            });
            encoder.after_head(columns.head()).after_mark(with_mark)
        }
        Format::Bibtex => RowEncoder::new(["", "\n", ""], move |buffer, found: &FoundPaper| {
            buffer.put_slice(citations::bibtex(&found.paper(), options).as_bytes());
            Ok(())
        }),
        Format::CslJson => RowEncoder::new(JSON_ARRAY, move |buffer, found: &FoundPaper| {
            write_json(buffer, &citations::csl_json(&found.paper(), options))
        }),
        Format::Ris => RowEncoder::new(LINES, move |buffer, found: &FoundPaper| {
            buffer.put_slice(citations::ris(&found.paper(), options).as_bytes());
            Ok(())
        }),
        Format::Atom => RowEncoder::new(ENTRIES, |buffer, found: &FoundPaper| {
            atom::write_entry(buffer.writer(), None, &found.paper(), found.seen())
        }),
    }
}

#[cfg(test)]
mod tests {
    use paper::{Author, Link, PaperVersion};
    use storage::ResultRow;

    use super::*;
    use crate::output::columns::Columns;

    fn result(author: &str, title: &str, journal: &str, arxiv_id: Option<&str>) -> FoundPaper {
        let row = ResultRow {
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
        };
        FoundPaper { row, whole: None }
    }

    #[test]
    fn result_in_each_format_has_its_fields() {
        let rows = [
            result("Paul Erdős, B", "On $x$, \"y\"", "", Some("2405.00001v2")),
            result("=A", "T", "J", None),
        ];
        for (format, columns, expected) in [
            (
                Format::Json,
                Columns::COMPATIBLE,
                r#"[{"author":"Paul Erdős, B","title":"On $x$, \"y\"","journal":""},{"author":"=A","title":"T","journal":"J"}]"#,
            ),
            (
                Format::Ndjson,
                Columns::ALL,
                "{\"author\":\"Paul Erdős, B\",\"title\":\"On $x$, \\\"y\\\"\",\"journal\":\"\",\"query_id\":3,\"timestamp\":1711843200,\"arxiv_id\":\"2405.00001v2\",\"categories\":\"math.CO cs.DM\",\"authors\":null,\"doi\":null,\"published\":null,\"updated\":null,\"comment\":null,\"abstract\":null,\"links\":null}\n{\"author\":\"=A\",\"title\":\"T\",\"journal\":\"J\",\"query_id\":3,\"timestamp\":1711843200,\"arxiv_id\":null,\"categories\":null,\"authors\":null,\"doi\":null,\"published\":null,\"updated\":null,\"comment\":null,\"abstract\":null,\"links\":null}\n",
            ),
            (
                Format::Csv { with_mark: true },
                Columns::named("author,title,journal,arxiv_id,doi").unwrap(),
                "\u{feff}author,title,journal,arxiv_id,doi\r\n\"Paul Erdős, B\",\"On $x$, \"\"y\"\"\",,2405.00001v2,\r\n'=A,T,J,,\r\n",
            ),
            (
                Format::Bibtex,
                Columns::NONE,
                "@misc{erdos2024-2405.00001,\n  author = {Erd{\\H{o}}s, Paul and {B}},\n  title = {{On $x$, \"y\"}},\n  year = {2024},\n  month = may,\n  eprint = {2405.00001},\n  archivePrefix = {arXiv},\n  primaryClass = {math.CO},\n  url = {https://arxiv.org/abs/2405.00001},\n  keywords = {math.CO, cs.DM}\n}\n\n@misc{anon-result-17,\n  author = {{=A}},\n  title = {{T}},\n  note = {J}\n}\n",
            ),
            (
                Format::CslJson,
                Columns::NONE,
                r#"[{"URL":"https://arxiv.org/abs/2405.00001","archive":"arXiv","archive_location":"2405.00001","author":[{"family":"Erdős","given":"Paul"},{"literal":"B"}],"id":"erdos2024-2405.00001","issued":{"date-parts":[[2024,5]]},"keyword":"math.CO, cs.DM","number":"arXiv:2405.00001","publisher":"arXiv","title":"On $x$, \"y\"","type":"article"},{"author":[{"literal":"=A"}],"id":"anon-result-17","note":"J","title":"T","type":"article"}]"#,
            ),
            (
                Format::Ris,
                Columns::NONE,
                "TY  - UNPB\r\nID  - erdos2024-2405.00001\r\nAU  - Erdős, Paul\r\nAU  - B\r\nTI  - On $x$, \"y\"\r\nPY  - 2024\r\nUR  - https://arxiv.org/abs/2405.00001\r\nDB  - arXiv\r\nAN  - arXiv:2405.00001\r\nKW  - math.CO\r\nKW  - cs.DM\r\nER  - \r\n\r\nTY  - GEN\r\nID  - anon-result-17\r\nAU  - =A\r\nTI  - T\r\nN1  - J\r\nER  - \r\n\r\n",
            ),
        ] {
            assert_eq!(
                encoder(ResultForm {
                    format,
                    columns,
                    citations: citations::Options::default(),
                })
                .whole(&rows)
                .unwrap(),
                expected
            );
        }
    }

    #[test]
    fn whole_paper_is_shown_where_it_is_known() {
        let mut found = result("P. Erdős", "T", "", Some("2405.00001v2"));
        found.whole = Some(PaperVersion {
            title: "Newer".into(),
            authors: vec![Author {
                name: "A. A. Alves, Jr.".into(),
                affiliations: vec!["CERN".into()],
            }],
            abstract_text: "=We show.".into(),
            doi: Some("10.1000/x".into()),
            published: "2024-05-03T00:00:00Z".parse().ok(),
            links: ["abs", "pdf"]
                .map(|kind| Link {
                    href: format!("https://arxiv.org/{kind}/2405.00001v2"),
                    ..Link::default()
                })
                .into(),
            ..found.paper().into_owned()
        });
        let columns = Columns::named("title,authors,doi,published,abstract,links").unwrap();
        for (format, expected) in [
            (
                Format::Json,
                r#"[{"title":"T","authors":[{"name":"A. A. Alves, Jr.","affiliations":["CERN"]}],"doi":"10.1000/x","published":"2024-05-03T00:00:00Z","abstract":"=We show.","links":[{"href":"https://arxiv.org/abs/2405.00001v2"},{"href":"https://arxiv.org/pdf/2405.00001v2"}]}]"#,
            ),
            (
                Format::Csv { with_mark: false },
                "title,authors,doi,published,abstract,links\r\nT,\"A. A. Alves, Jr.\",10.1000/x,2024-05-03T00:00:00Z,'=We show.,\
                 \"https://arxiv.org/abs/2405.00001v2; https://arxiv.org/pdf/2405.00001v2\"\r\n",
            ),
        ] {
            let form = ResultForm {
                format,
                columns,
                citations: citations::Options::default(),
            };
            assert_eq!(encoder(form).whole([&found]).unwrap(), expected);
        }
        let form = ResultForm {
            format: Format::Bibtex,
            columns: Columns::NONE,
            citations: citations::Options::default(),
        };
        let entry = String::from_utf8(encoder(form).whole([&found]).unwrap().to_vec()).unwrap();
        for field in [
            "{{Newer}}",
            "{Alves, Jr., A. A.}",
            "{10.1000/x}",
            "{=We show.}",
            "year = {2024}",
        ] {
            assert!(entry.contains(field), "{field} is not in {entry}");
        }
    }
}
