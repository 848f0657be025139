//! Results in each format.
//!
//! In BibTeX, texts are plain text, not TeX: all characters with a meaning in TeX are escaped, so that no title can run a
//! command; braces, which BibTeX counts even if they are escaped, are written as commands. The items of CSL-JSON are
//! those of <https://docs.citationstyles.org/en/stable/specification.html>, schema csl-data.

use bytes::{BufMut, BytesMut};
use paper::{NO_AUTHORS, PaperId};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use storage::{Paper, ResultRow};

use crate::output::{
    body::{JSON_ARRAY, LINES, RowEncoder, write_json, write_json_line},
    csv,
    format::Format,
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
pub(crate) fn encoder(format: Format) -> RowEncoder<ResultRow> {
    match format {
        Format::Json => RowEncoder::new(JSON_ARRAY, |buffer, result: &ResultRow| {
            write_json(buffer, &Object(&paper_columns(&result.paper)))
        }),
        Format::Ndjson => RowEncoder::new(LINES, |buffer, result| {
            write_json_line(buffer, &Object(&columns(result)))
        }),
        Format::Csv => {
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
        }
        Format::Bibtex => RowEncoder::new(["", "\n", ""], |buffer, result| {
            bibtex_entry(buffer, result);
            Ok(())
        }),
        Format::CslJson => RowEncoder::new(JSON_ARRAY, |buffer, result| {
            write_json(buffer, &CslItem::of(result))
        }),
    }
}

/// The citation key: unique among results, as the same paper may be the result of several queries.
fn key(result: &ResultRow) -> String {
    let id = arxiv_id(result).unwrap_or_else(|| "result".into());
    let id = id.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
    format!("{id}-{}", result.id)
}

/// arXiv's identifier without the version.
fn arxiv_id(result: &ResultRow) -> Option<String> {
    let id = result.paper.arxiv_id.as_deref();
    id.map(|id| PaperId::of_entry(id).paper)
}

fn authors(result: &ResultRow) -> impl Iterator<Item = &str> {
    let names = result.paper.author.split(", ");
    names.filter(|name| !name.is_empty() && *name != NO_AUTHORS)
}

/// Year and month of a submission. Identifiers begin with them: `2405.00001`, `math/9901001`
/// (<https://info.arxiv.org/help/arxiv_identifier.html>). The older form began in 1991.
fn submitted(id: &str) -> Option<(u16, u8)> {
    let number = id.rsplit('/').next()?;
    let year: u16 = number.get(..2)?.parse().ok()?;
    let month = number.get(2..4)?.parse().ok()?;
    let is_digits = number.bytes().take(4).all(|b| b.is_ascii_digit());
    let century = if id.contains('/') && year > 90 { 1900 } else { 2000 };
    (is_digits && (1..=12).contains(&month)).then_some((century + year, month))
}

/// Writes a BibTeX entry, with its line break.
fn bibtex_entry(buffer: &mut BytesMut, result: &ResultRow) {
    let Paper {
        title,
        journal,
        categories,
        ..
    } = &result.paper;
    let kind = if journal.is_empty() { "misc" } else { "article" };
    buffer.put_slice(format!("@{kind}{{{}", key(result)).as_bytes());
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            buffer.put_slice(format!(",\n  {name} = {{{value}}}").as_bytes());
        }
    };
    field(
        "author",
        &authors(result).map(name_of).collect::<Vec<_>>().join(" and "),
    );
    // Another pair of braces keeps the title's capitals.
    let title = escaped(title);
    if !title.is_empty() {
        field("title", &format!("{{{title}}}"));
    }
    field("journal", &escaped(journal));
    if let Some(id) = arxiv_id(result) {
        if let Some((year, month)) = submitted(&id) {
            field("year", &year.to_string());
            field("month", &month.to_string());
        }
        let primary = categories.as_deref().and_then(|all| all.split(' ').next());
        field("eprint", &escaped(&id));
        field("archivePrefix", "arXiv");
        field("primaryClass", &escaped(primary.unwrap_or_default()));
        field("url", &format!("https://arxiv.org/abs/{}", escaped(&id)));
    }
    buffer.put_slice(b"\n}\n");
}

/// A name in braces if BibTeX would read it as several names, or split it at its comma.
fn name_of(name: &str) -> String {
    let escaped = escaped(name);
    let is_several = name
        .split_whitespace()
        .any(|word| word.eq_ignore_ascii_case("and"));
    if is_several || name.contains(',') || name.ends_with("Collaboration") {
        format!("{{{escaped}}}")
    } else {
        escaped
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '{' => escaped.push_str("\\textbraceleft{}"),
            '}' => escaped.push_str("\\textbraceright{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '$' | '&' | '%' | '#' | '_' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[derive(Serialize)]
struct CslItem<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    author: Vec<Value>,
    #[serde(rename = "container-title", skip_serializing_if = "str::is_empty")]
    container_title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive_location: Option<String>,
    #[serde(rename = "URL", skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl<'a> CslItem<'a> {
    fn of(result: &'a ResultRow) -> Self {
        let Paper { title, journal, .. } = &result.paper;
        let arxiv_id = arxiv_id(result);
        Self {
            id: key(result),
            kind: if journal.is_empty() {
                "article"
            } else {
                "article-journal"
            },
            title,
            // The whole name: which part is the family name is not known.
            author: authors(result).map(|name| json!({"literal": name})).collect(),
            container_title: journal,
            issued: arxiv_id
                .as_deref()
                .and_then(submitted)
                .map(|submitted| json!({"date-parts": [submitted]})),
            archive: arxiv_id.as_ref().map(|_| "arXiv"),
            url: arxiv_id.as_ref().map(|id| format!("https://arxiv.org/abs/{id}")),
            archive_location: arxiv_id,
        }
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

    fn written(author: &str, title: &str, journal: &str, id: Option<&str>) -> String {
        let result = result(author, title, journal, id);
        let mut buffer = BytesMut::new();
        bibtex_entry(&mut buffer, &result);
        String::from_utf8(buffer.to_vec()).unwrap()
    }

    #[test]
    fn bibtex_entry_has_all_known_fields() {
        assert_eq!(
            written(
                "Paul Erdős, H1 Collaboration",
                "On $x_1$ & more",
                "Phys. Rev. D 1",
                Some("hep-ex/0307015v1")
            ),
            "@article{hep-ex-0307015-17,\n  author = {Paul Erdős and {H1 Collaboration}},\n  \
             title = {{On \\$x\\_1\\$ \\& more}},\n  journal = {Phys. Rev. D 1},\n  year = {2003},\n  month = {7},\n  \
             eprint = {hep-ex/0307015},\n  archivePrefix = {arXiv},\n  primaryClass = {math.CO},\n  \
             url = {https://arxiv.org/abs/hep-ex/0307015}\n}\n"
        );
        assert_eq!(
            written("No authors available", "", "", None),
            "@misc{result-17\n}\n"
        );
    }

    #[test]
    fn bibtex_text_cannot_end_its_field_or_contain_a_command() {
        for text in [
            "}",
            "{{",
            "\\input{/etc/passwd}",
            "a}\n@misc{x",
            "%",
            "\\",
            "100% ~ ^ #",
        ] {
            let entry = written(text, text, text, None);
            let depth = entry.bytes().try_fold(0_i32, |depth, b| match b {
                b'{' => Some(depth + 1),
                b'}' => Some(depth - 1),
                _ => Some(depth),
            });
            assert_eq!(depth, Some(0), "{entry}");
            assert!(!entry.contains("\\input"), "{entry}");
            assert_eq!(entry.matches("\n@").count(), 0, "{entry}");
            assert_eq!(entry.lines().count(), 5, "{entry}");
        }
    }

    #[test]
    fn csl_item_has_all_known_fields() {
        for (result, expected) in [
            (
                result("Paul Erdős, B", "T", "J", Some("2405.00001v2")),
                r#"{"id":"2405.00001-17","type":"article-journal","title":"T","author":[{"literal":"Paul Erdős"},{"literal":"B"}],"container-title":"J","issued":{"date-parts":[[2024,5]]},"archive":"arXiv","archive_location":"2405.00001","URL":"https://arxiv.org/abs/2405.00001"}"#,
            ),
            (
                result("", "T", "", None),
                r#"{"id":"result-17","type":"article","title":"T"}"#,
            ),
        ] {
            let item = serde_json::to_string(&CslItem::of(&result)).unwrap();
            assert_eq!(item, expected);
        }
    }
}
