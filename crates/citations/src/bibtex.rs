//! BibTeX, for the styles of BibTeX and of biblatex.

use paper::PaperVersion;

use crate::{
    Options,
    entry::{Entry, one_line},
    journal::Reference,
    names::{Name, Names, Person},
    tex::{name_tex, safe},
};

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// A paper as an entry, with a line break at its end.
///
/// It is an `@article` if the journal reference says of which journal, volume and year; otherwise a `@misc` with the
/// reference as a note. Its `eprint` fields are those of arXiv's own export.
pub fn bibtex(paper: &PaperVersion, options: Options) -> String {
    let entry = Entry::of(paper, options);
    let kind = if entry.is_article() { "article" } else { "misc" };
    let mut fields = Fields(format!("@{kind}{{{}", entry.key()));
    fields.add("author", &authors(&entry.authors));
    // Another pair of braces keeps the title's capitals.
    let title = safe(&paper.title);
    if !title.is_empty() {
        fields.add("title", &format!("{{{title}}}"));
    }
    match &entry.reference {
        Some(Reference::Article(article)) => {
            fields.add("journal", &safe(&article.journal));
            fields.add("volume", &article.volume);
            fields.add("number", &article.issue);
            fields.add("pages", &article.pages.replace('-', "--"));
            fields.add("year", &article.year.to_string());
            fields.add("note", &safe(&article.rest));
        }
        other => {
            let note = match other {
                Some(Reference::Text(text, _)) => safe(text),
                _ => String::new(),
            };
            if let Some((year, month, _)) = entry.issued() {
                fields.add("year", &year.to_string());
                fields.month(month);
            }
            fields.add("note", &note);
        }
    }
    fields.add("doi", entry.doi.unwrap_or_default());
    if let (Some(eprint), Some(url)) = (&entry.eprint, entry.url()) {
        fields.add("eprint", eprint);
        fields.add("archivePrefix", "arXiv");
        fields.add(
            "primaryClass",
            &safe(paper.categories.first().map_or("", |first| first)),
        );
        fields.add("url", &url);
    }
    fields.add("keywords", &safe(&paper.categories.join(", ")));
    fields.add(
        "comment",
        &safe(&one_line(paper.comment.as_deref().unwrap_or_default())),
    );
    fields.add("abstract", &safe(&paper.abstract_text));
    fields.0.push_str("\n}\n");
    fields.0
}

struct Fields(String);

impl Fields {
    fn add(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.0.extend([",\n  ", name, " = {", value, "}"]);
        }
    }

    /// A month, by the name that every style defines.
    fn month(&mut self, month: Option<i8>) {
        let place = month.and_then(|month| usize::try_from(month - 1).ok());
        if let Some(name) = place.and_then(|place| MONTHS.get(place)) {
            self.0.extend([",\n  month = ", name]);
        }
    }
}

fn authors(authors: &Names) -> String {
    let mut names: Vec<_> = authors.names.iter().map(name).collect();
    if authors.has_others {
        names.push("others".into());
    }
    names.join(" and ")
}

/// `von Last, Jr, First`, the form in which no part depends on the case of its letters.
fn name(name: &Name) -> String {
    match name {
        Name::Group(name) | Name::Whole(name) => format!("{{{}}}", name_tex(name)),
        Name::Person(Person {
            given,
            particle,
            family,
            suffix,
        }) => {
            let words: Vec<_> = family.split(' ').collect();
            let has_particle = words.iter().any(|word| word.starts_with(char::is_lowercase));
            let mut written = name_tex(family);
            if words.len() > 1 && has_particle {
                written = format!("{{{written}}}");
            }
            if !particle.is_empty() {
                written = format!("{} {written}", name_tex(particle));
            }
            for part in [suffix, given] {
                if !part.is_empty() {
                    written = format!("{written}, {}", name_tex(part));
                }
            }
            written
        }
    }
}

#[cfg(test)]
mod tests {
    use paper::{Author, PaperId};

    use super::*;

    fn paper(authors: &[&str], title: &str, journal: &str) -> PaperVersion {
        let author = |name: &&str| Author {
            name: (*name).to_owned(),
            affiliations: Vec::new(),
        };
        PaperVersion {
            id: PaperId::of_entry("hep-ex/0307015v2"),
            title: title.to_owned(),
            authors: authors.iter().map(author).collect(),
            journal: Some(journal.to_owned()),
            categories: vec!["hep-ex".into(), "math.CO".into()],
            ..PaperVersion::default()
        }
    }

    #[test]
    fn article_has_what_its_journal_reference_states() {
        let paper = PaperVersion {
            doi: Some("10.1103/PhysRevD.76.013009 10.1/x".into()),
            comment: Some("12 pages & 3 figures".into()),
            abstract_text: "We measure $x_1$ to 5%.".into(),
            ..paper(
                &["LHCb Collaboration", ":", "R. Aaij", "A. A. Alves", "Jr."],
                "On $x_1$ & More",
                "Phys. Rev. D 76 (2007) 1-9",
            )
        };
        let options = Options { with_version: true };
        assert_eq!(
            bibtex(&paper, options),
            "@article{aaij2003more-hep-ex-0307015,\n  \
             author = {{LHCb Collaboration} and Aaij, R. and Alves, Jr., A. A.},\n  \
             title = {{On $x_1$ \\& More}},\n  journal = {Phys. Rev. D},\n  volume = {76},\n  pages = {1--9},\n  \
             year = {2007},\n  doi = {10.1103/PhysRevD.76.013009},\n  eprint = {hep-ex/0307015v2},\n  \
             archivePrefix = {arXiv},\n  primaryClass = {hep-ex},\n  url = {https://arxiv.org/abs/hep-ex/0307015v2},\n  \
             keywords = {hep-ex, math.CO},\n  comment = {12 pages \\& 3 figures},\n  \
             abstract = {We measure $x_1$ to 5\\%.}\n}\n"
        );
    }

    #[test]
    fn other_paper_has_the_date_of_its_submission_and_its_reference_as_a_note() {
        let without = paper(&["Jean Dupont", "et al."], "T", "");
        assert_eq!(
            bibtex(&without, Options::default()),
            "@misc{dupont2003-hep-ex-0307015,\n  author = {Dupont, Jean and others},\n  title = {{T}},\n  \
             year = {2003},\n  month = jul,\n  eprint = {hep-ex/0307015},\n  archivePrefix = {arXiv},\n  \
             primaryClass = {hep-ex},\n  url = {https://arxiv.org/abs/hep-ex/0307015},\n  \
             keywords = {hep-ex, math.CO}\n}\n"
        );
        let entry = bibtex(&paper(&["J. D."], "T", "Talk in Rome, 2005"), Options::default());
        assert!(
            entry.contains("  year = {2005},\n  note = {Talk in Rome, 2005},\n"),
            "{entry}"
        );
        let entry = bibtex(&paper(&["J. D."], "T", "to appear"), Options::default());
        assert!(
            entry.contains("  year = {2003},\n  month = jul,\n  note = {to appear},\n"),
            "{entry}"
        );
        let unknown = PaperVersion {
            id: PaperId::of_entry("result-17"),
            ..PaperVersion::default()
        };
        assert_eq!(bibtex(&unknown, Options::default()), "@misc{anon-result-17\n}\n");
    }

    #[test]
    fn names_are_written_so_that_bibtex_reads_their_parts() {
        for (author, written) in [
            ("Johannes van der Waals", "van der Waals, Johannes"),
            ("José Ortega y Gasset", r"{Ortega y Gasset}, Jos{\'e}"),
            (
                "Charles de la Vallée Poussin",
                r"de la Vall{\'e}e Poussin, Charles",
            ),
            ("van Gogh", "van Gogh"),
            ("Simon and Garfunkel", "{Simon and Garfunkel}"),
            ("others", "others"),
            ("A & B", r"{A \& B}"),
            ("{A", r"{A}"),
        ] {
            let entry = bibtex(&paper(&[author], "T", ""), Options::default());
            let line = entry.lines().nth(1).unwrap();
            assert_eq!(line, format!("  author = {{{written}}},"), "{author}");
        }
    }

    #[test]
    fn text_cannot_end_its_field_or_contain_a_command() {
        for text in [
            "}",
            "{{",
            "\\input{/etc/passwd}",
            "a}\n@misc{x",
            "%",
            "\\",
            "100% ~ ^ #",
            "$\\{$ }",
            "x\u{2028}@misc{y,",
        ] {
            let paper = PaperVersion {
                abstract_text: text.to_owned(),
                comment: Some(text.to_owned()),
                doi: Some(format!("10.1000/{text}")),
                categories: vec![text.to_owned()],
                ..paper(&[text], text, text)
            };
            let entry = bibtex(&paper, Options::default());
            let depth = entry.bytes().try_fold(0_i32, |depth, b| match b {
                b'{' => Some(depth + 1),
                b'}' => (depth > 0).then(|| depth - 1),
                _ => Some(depth),
            });
            assert_eq!(depth, Some(0), "{entry}");
            assert!(!entry.contains("\\input"), "{entry}");
            assert_eq!(entry.matches("\n@").count(), 0, "{entry}");
            assert!(
                entry
                    .lines()
                    .skip(1)
                    .all(|line| line == "}" || line.starts_with("  ")),
                "{entry}"
            );
        }
    }
}
