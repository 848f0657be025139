//! Versions of papers in each format.

use bytes::BufMut;
use jiff::Timestamp;
use paper::PaperVersion;

use crate::output::{
    body::{ENTRIES, JSON_ARRAY, LINES, RowEncoder, write_json, write_json_line},
    csv,
    format::{Format, PaperForm},
};

/// The columns of CSV: what may be several has `; ` between.
const HEAD: &str = "id,title,authors,abstract,comment,journal,doi,categories,published,updated\r\n";

/// The encoder of papers in a form.
pub(crate) fn encoder(form: PaperForm) -> RowEncoder<PaperVersion> {
    let options = form.citations;
    match form.format {
        Format::Json => RowEncoder::new(JSON_ARRAY, write_json),
        Format::Ndjson => RowEncoder::new(LINES, write_json_line),
        Format::Csv { with_mark } => RowEncoder::new([HEAD, "", ""], |buffer, paper| {
            csv::line(buffer, &cells(paper));
            Ok(())
        })
        .after_mark(with_mark),
        Format::Bibtex => RowEncoder::new(["", "\n", ""], move |buffer, paper| {
            buffer.put_slice(citations::bibtex(paper, options).as_bytes());
            Ok(())
        }),
        Format::CslJson => RowEncoder::new(JSON_ARRAY, move |buffer, paper| {
            write_json(buffer, &citations::csl_json(paper, options))
        }),
        Format::Ris => RowEncoder::new(LINES, move |buffer, paper| {
            buffer.put_slice(citations::ris(paper, options).as_bytes());
            Ok(())
        }),
        Format::Atom => RowEncoder::new(ENTRIES, |buffer, paper: &PaperVersion| {
            atom::write_entry(buffer.writer(), None, paper, Timestamp::UNIX_EPOCH)
        }),
    }
}

fn cells(paper: &PaperVersion) -> [String; 10] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let names: Vec<_> = paper.authors.iter().map(|author| author.name.as_str()).collect();
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
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

    fn written(format: Format, paper: &PaperVersion) -> String {
        let citations = citations::Options { with_version: false };
        let form = PaperForm { format, citations };
        let text = encoder(form).whole(std::slice::from_ref(paper)).unwrap();
        String::from_utf8(text.to_vec()).unwrap()
    }

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
                Format::Csv { with_mark: true },
                format!(
                    "\u{feff}{HEAD}2405.00001v2,'=1+1,\"Paul Erdős; A. A. Alves, Jr.\",\"We show, that $x$.\",,,,\"math.CO; cs.DM\",,2024-05-02T10:00:00Z\r\n"
                ),
            ),
        ] {
            assert_eq!(written(format, &paper), expected, "{format:?}");
        }
        for (format, part) in [
            (Format::Bibtex, "eprint = {2405.00001}"),
            (Format::CslJson, "\"abstract\":\"We show"),
            (Format::Ris, "AB  - We show"),
            (Format::Atom, "<summary>We show"),
        ] {
            let written = written(format, &paper);
            assert!(written.contains(part), "{written}");
        }
    }
}
