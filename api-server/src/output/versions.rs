//! Versions of papers in each format.

use paper::PaperVersion;

use crate::output::{
    body::{JSON_ARRAY, LINES, RowEncoder, write_json, write_json_line},
    csv,
    format::Format,
};

/// The columns of CSV: what may be several has `; ` between.
const HEAD: &str = "id,title,authors,abstract,comment,journal,doi,categories,published,updated\r\n";

/// The encoder of papers in a format.
pub(crate) fn encoder(format: Format) -> RowEncoder<PaperVersion> {
    match format {
        Format::Csv => RowEncoder::new([HEAD, "", ""], |buffer, paper| {
            csv::line(buffer, &cells(paper));
            Ok(())
        }),
        Format::Ndjson => RowEncoder::new(LINES, |buffer, paper| write_json_line(buffer, paper)),
        _ => RowEncoder::new(JSON_ARRAY, |buffer, paper| write_json(buffer, paper)),
    }
}

fn cells(paper: &PaperVersion) -> [String; 10] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let names: Vec<_> = paper.authors.iter().map(|author| author.name.as_str()).collect();
    let time = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    [
        paper.id.to_string(),
        paper.title.clone(),
        names.join("; "),
        paper.abstract_text.clone(),
        text(&paper.comment),
        text(&paper.journal),
        text(&paper.doi),
        paper.categories.join("; "),
        time(paper.published),
        time(paper.updated),
    ]
}

#[cfg(test)]
mod tests {
    use paper::{Author, PaperId};

    use super::*;

    #[test]
    fn paper_is_written_in_each_format() {
        let author = |name: &str| Author {
            name: name.into(),
            ..Author::default()
        };
        let paper = PaperVersion {
            id: PaperId::of_entry("2405.00001v2"),
            title: "=1+1".into(),
            authors: vec![author("Paul Erdős"), author("A. A. Alves, Jr.")],
            abstract_text: "We show, that $x$.".into(),
            categories: vec!["math.CO".into(), "cs.DM".into()],
            updated: Some("2024-05-02T10:00:00Z".parse().unwrap()),
            ..PaperVersion::default()
        };
        let json = r#"{"id":"2405.00001v2","title":"=1+1","authors":[{"name":"Paul Erdős"},{"name":"A. A. Alves, Jr."}],"abstract":"We show, that $x$.","categories":["math.CO","cs.DM"],"updated":"2024-05-02T10:00:00Z","links":[]}"#;
        for (format, expected) in [
            (Format::Json, format!("[{json}]")),
            (Format::Ndjson, format!("{json}\n")),
            (
                Format::Csv,
                format!(
                    "{HEAD}2405.00001v2,'=1+1,\"Paul Erdős; A. A. Alves, Jr.\",\"We show, that $x$.\",,,,math.CO; cs.DM,,2024-05-02T10:00:00Z\r\n"
                ),
            ),
        ] {
            let written = encoder(format).whole(std::slice::from_ref(&paper)).unwrap();
            assert_eq!(written, expected, "{format:?}");
        }
    }
}
