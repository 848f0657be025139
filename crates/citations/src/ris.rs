//! RIS, the tagged format of reference managers (the specification of Research Information Systems, 2011).

use paper::PaperVersion;

use crate::{
    Options,
    entry::{Entry, one_line, text},
    journal::Reference,
    names::{Name, Person},
};

/// A paper as a record, with the empty line at its end.
pub fn ris(paper: &PaperVersion, options: Options) -> String {
    let entry = Entry::of(paper, options);
    let kind = match &entry.reference {
        Some(Reference::Article(_)) => "JOUR",
        // Published somehow.
        Some(Reference::Text(..)) => "GEN",
        None => "UNPB",
    };
    let mut record = Record::default();
    record.add("TY", kind);
    record.add("ID", &entry.key());
    for name in &entry.authors.names {
        record.add("AU", &author(name));
    }
    record.add("TI", &text(&paper.title));
    match &entry.reference {
        Some(Reference::Article(article)) => {
            // Programs read one or the other.
            record.add("T2", &text(&article.journal));
            record.add("JO", &text(&article.journal));
            record.add("VL", &article.volume);
            record.add("IS", &article.issue);
            let (first, last) = article.pages.split_once('-').unwrap_or((&article.pages, ""));
            record.add("SP", first);
            record.add("EP", last);
            record.add("N1", &text(&article.rest));
        }
        Some(Reference::Text(reference, _)) => record.add("N1", &text(reference)),
        None => {}
    }
    if let Some((year, month, day)) = entry.issued() {
        record.add("PY", &year.to_string());
        if let (Some(month), Some(day)) = (month, day) {
            record.add("DA", &format!("{year}/{month:02}/{day:02}"));
        }
    }
    record.add("DO", entry.doi.unwrap_or_default());
    record.add("UR", &entry.url().unwrap_or_default());
    if let Some(id) = &entry.eprint {
        record.add("DB", "arXiv");
        record.add("AN", &format!("arXiv:{id}"));
    }
    for category in &paper.categories {
        record.add("KW", category);
    }
    record.add("N1", &text(paper.comment.as_deref().unwrap_or_default()));
    record.add("AB", &text(&paper.abstract_text));
    record.0.push_str("ER  - \r\n\r\n");
    record.0
}

#[derive(Default)]
struct Record(String);

impl Record {
    fn add(&mut self, tag: &str, value: &str) {
        let value = one_line(value);
        if !value.is_empty() {
            self.0.extend([tag, "  - ", &value, "\r\n"]);
        }
    }
}

/// `Family, Given, Suffix`. A comma in another name would divide it.
fn author(name: &Name) -> String {
    match name {
        Name::Group(name) | Name::Whole(name) => name.replace(',', ""),
        Name::Person(Person {
            given,
            particle,
            family,
            suffix,
        }) => {
            let family = format!("{particle} {family}");
            let parts = [family.trim_start(), given, suffix];
            let last = parts
                .iter()
                .rposition(|part| !part.is_empty())
                .unwrap_or_default();
            parts.get(..=last).unwrap_or_default().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use paper::{Author, PaperId};

    use super::*;

    #[test]
    fn record_has_all_known_fields_each_on_one_line() {
        let author = |name: &str| Author {
            name: name.to_owned(),
            affiliations: Vec::new(),
        };
        let mut paper = PaperVersion {
            id: PaperId::of_entry("2405.00001v2"),
            title: "On $x$\nER  - \u{2028}TY  - BOOK".into(),
            authors: ["LHCb Collaboration", "Jan van der Berg Jr.", "Plato"]
                .map(author)
                .into(),
            abstract_text: "A\r\nB".into(),
            comment: Some("9 pages".into()),
            journal: Some("Phys. Rev. D 76 (2025) 1-9".into()),
            doi: Some("10.1103/x".into()),
            categories: vec!["math.CO".into(), "cs.DM".into()],
            published: "2024-05-03T00:00:00Z".parse().ok(),
            ..PaperVersion::default()
        };
        assert_eq!(
            ris(&paper, Options::default()).lines().collect::<Vec<_>>(),
            [
                "TY  - JOUR",
                "ID  - berg2024er-2405.00001",
                "AU  - LHCb Collaboration",
                "AU  - van der Berg, Jan, Jr.",
                "AU  - Plato",
                "TI  - On $x$ ER - TY - BOOK",
                "T2  - Phys. Rev. D",
                "JO  - Phys. Rev. D",
                "VL  - 76",
                "SP  - 1",
                "EP  - 9",
                "PY  - 2025",
                "DO  - 10.1103/x",
                "UR  - https://arxiv.org/abs/2405.00001",
                "DB  - arXiv",
                "AN  - arXiv:2405.00001",
                "KW  - math.CO",
                "KW  - cs.DM",
                "N1  - 9 pages",
                "AB  - A B",
                "ER  - ",
                "",
            ]
        );
        paper.journal = None;
        let record = ris(&paper, Options::default());
        assert!(record.starts_with("TY  - UNPB\r\n"), "{record}");
        assert!(
            record.contains("\r\nPY  - 2024\r\nDA  - 2024/05/03\r\n"),
            "{record}"
        );
    }
}
