//! What every format says of a paper.

use deunicode::deunicode;
use jiff::tz::TimeZone;
use paper::{PaperVersion, normalized_id};

use crate::{
    Options,
    journal::Reference,
    names::{Name, Names, Person},
    tex::{plain, without_math},
};

/// A year, and month and day as far as they are known.
pub(crate) type Issued = (i16, Option<i8>, Option<i8>);

/// A paper as an entry of a bibliography.
pub(crate) struct Entry<'a> {
    pub(crate) paper: &'a PaperVersion,
    pub(crate) authors: Names,
    pub(crate) reference: Option<Reference>,
    /// The first of the publication's DOIs.
    pub(crate) doi: Option<&'a str>,
    /// Year, month and day of the first submission, as far as they are known.
    pub(crate) submitted: Option<(i16, i8, Option<i8>)>,
    /// arXiv's identifier, if it is one.
    pub(crate) eprint: Option<String>,
}

impl<'a> Entry<'a> {
    pub(crate) fn of(paper: &'a PaperVersion, options: Options) -> Self {
        let id = normalized_id(&paper.id.paper).is_some();
        let eprint = id.then(|| {
            if options.with_version {
                paper.id.to_string()
            } else {
                paper.id.paper.clone()
            }
        });
        let reference = paper
            .journal
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty());
        Self {
            paper,
            authors: Names::of(&paper.authors),
            reference: reference.map(Reference::read),
            doi: paper.doi.as_deref().and_then(first_doi),
            submitted: submitted(paper),
            eprint,
        }
    }

    /// The address of the abstract's page.
    pub(crate) fn url(&self) -> Option<String> {
        self.eprint
            .as_ref()
            .map(|id| format!("https://arxiv.org/abs/{id}"))
    }

    /// The year of publication if the reference says it, else that of the first submission.
    pub(crate) fn year(&self) -> Option<i16> {
        let published = match &self.reference {
            Some(Reference::Article(article)) => Some(article.year),
            Some(Reference::Text(_, year)) => *year,
            None => None,
        };
        published
            .and_then(|year| i16::try_from(year).ok())
            .or(self.submitted.map(|(year, ..)| year))
    }

    /// When it was issued: the year of publication; month and day are those of the first submission, of a paper that is no
    /// article, if that was in the same year.
    pub(crate) fn issued(&self) -> Option<Issued> {
        let year = self.year()?;
        let submitted = self.submitted.filter(|(submitted, ..)| *submitted == year);
        let submitted = submitted.filter(|_| !self.is_article());
        Some(submitted.map_or((year, None, None), |(_, month, day)| (year, Some(month), day)))
    }

    /// Whether the reference says of which journal, volume and year the paper is an article.
    pub(crate) fn is_article(&self) -> bool {
        matches!(self.reference, Some(Reference::Article(_)))
    }

    /// The key of the entry: the first author's family name, the year of the first submission, the first word of the
    /// title that says something, and the identifier without its version, which makes it unique. None of these change
    /// when the paper is published.
    pub(crate) fn key(&self) -> String {
        let year = self.submitted.map(|(year, ..)| year.to_string());
        let id = self
            .paper
            .id
            .paper
            .replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
        format!(
            "{}{}{}-{id}",
            self.first_author(),
            year.unwrap_or_default(),
            title_word(&self.paper.title)
        )
    }

    fn first_author(&self) -> String {
        let names = &self.authors.names;
        let person = names.iter().find_map(|name| match name {
            Name::Person(Person { family, .. }) => Some(letters(family)),
            _ => None,
        });
        let other = || {
            let (Name::Group(name) | Name::Whole(name)) = names.first()? else {
                return None;
            };
            let words = name
                .split_whitespace()
                .filter(|word| !word.eq_ignore_ascii_case("the"));
            words.map(letters).find(|word| word.len() > 1)
        };
        person
            .filter(|name| !name.is_empty())
            .or_else(other)
            .unwrap_or_else(|| "anon".into())
    }
}

/// Words that say nothing about a title.
const STOP_WORDS: [&str; 48] = [
    "a", "about", "an", "and", "are", "as", "at", "by", "can", "comment", "das", "de", "der", "des", "die",
    "do", "does", "du", "ein", "eine", "el", "for", "from", "how", "in", "into", "is", "it", "its", "la",
    "le", "les", "new", "note", "of", "on", "or", "some", "sur", "the", "there", "this", "to", "un", "une",
    "what", "when", "with",
];

/// The first word of a title that says something.
fn title_word(title: &str) -> String {
    let title = without_math(title);
    let words = title.split(|c: char| !c.is_alphanumeric()).map(letters);
    let mut words = words.filter(|word| word.len() > 1 && !STOP_WORDS.contains(&word.as_str()));
    words.next().unwrap_or_default()
}

/// The letters and digits of a word in ASCII and lower case, of a limited length.
fn letters(word: &str) -> String {
    const LONGEST: usize = 30;
    let ascii = deunicode(word);
    let letters = ascii.chars().filter(char::is_ascii_alphanumeric).take(LONGEST);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// When the paper was submitted first. Identifiers begin with year and month: `2405.00001`, `math/9901001`
/// (<https://info.arxiv.org/help/arxiv_identifier.html>). The older form began in 1991.
fn submitted(paper: &PaperVersion) -> Option<(i16, i8, Option<i8>)> {
    if let Some(published) = paper.published {
        let date = published.to_zoned(TimeZone::UTC).date();
        return Some((date.year(), date.month(), Some(date.day())));
    }
    let id = normalized_id(&paper.id.paper)?;
    let number = id.rsplit('/').next()?;
    let year: i16 = number.get(..2)?.parse().ok()?;
    let month: i8 = number.get(2..4)?.parse().ok()?;
    let century = if id.contains('/') && year > 90 { 1900 } else { 2000 };
    Some((century + year, month, None))
}

/// The first DOI of a text in which several are separated by spaces, commas or semicolons.
fn first_doi(text: &str) -> Option<&str> {
    text.split_whitespace().find_map(|word| {
        let start = word.find("10.")?;
        let doi = word.get(start..)?.trim_end_matches(['.', ',', ';']);
        // Another one may follow without a space.
        let next = [",10.", ";10.", ",doi:", ";doi:", ",http", ";http"]
            .iter()
            .filter_map(|next| doi.find(next))
            .min();
        let doi = doi.get(..next.unwrap_or(doi.len()))?;
        let (prefix, name) = doi.split_once('/')?;
        let digits = prefix.get(3..)?;
        let is_prefix = digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let is_name = !name.is_empty() && !name.contains(['{', '}', '\\', '"', '|', '^', '`']);
        (is_prefix && is_name && !doi.chars().any(char::is_control)).then_some(doi)
    })
}

/// A text on one line, without the characters that programs take for the end of one.
pub(crate) fn one_line(text: &str) -> String {
    let breaks = |c: char| c.is_whitespace() || c.is_control() || c == '\u{2028}' || c == '\u{2029}';
    text.split(breaks)
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A text with TeX for formats without it, on one line.
pub(crate) fn text(text: &str) -> String {
    one_line(&plain(text))
}

#[cfg(test)]
mod tests {
    use paper::{Author, PaperId};

    use super::*;

    fn paper(id: &str, author: &str, title: &str) -> PaperVersion {
        PaperVersion {
            id: PaperId::of_entry(id),
            title: title.to_owned(),
            authors: vec![Author {
                name: author.to_owned(),
                affiliations: Vec::new(),
            }],
            ..PaperVersion::default()
        }
    }

    #[test]
    fn key_is_author_year_word_and_identifier() {
        for (id, author, title, key) in [
            (
                "1706.03762v7",
                "Ashish Vaswani",
                "Attention Is All You Need",
                "vaswani2017attention-1706.03762",
            ),
            (
                "hep-ex/0307015v1",
                "H1 Collaboration",
                "The search",
                "h12003search-hep-ex-0307015",
            ),
            (
                "math/9901001",
                "Paul Erdős",
                "On the $K$-theory",
                "erdos1999theory-math-9901001",
            ),
            (
                "2405.00001",
                "Johannes van der Waals",
                "$x$",
                "waals2024-2405.00001",
            ),
            (
                "2405.00001",
                "毛泽东",
                "Über Größen",
                "maozedong2024uber-2405.00001",
            ),
            ("result-17", "", "A", "anon-result-17"),
        ] {
            let paper = paper(id, author, title);
            assert_eq!(Entry::of(&paper, Options::default()).key(), key);
        }
    }

    #[test]
    fn submission_is_read_from_the_paper_or_its_identifier() {
        for (id, expected) in [
            ("2405.00001", Some((2024, 5, None))),
            ("0704.0001", Some((2007, 4, None))),
            ("math/9901001", Some((1999, 1, None))),
            ("hep-ex/0307015", Some((2003, 7, None))),
            ("2413.00001", None),
            ("result-2405", None),
        ] {
            let mut paper = paper(id, "", "");
            assert_eq!(submitted(&paper), expected, "{id}");
            paper.published = "2017-06-12T17:57:34Z".parse().ok();
            assert_eq!(submitted(&paper), Some((2017, 6, Some(12))));
        }
    }

    #[test]
    fn first_of_several_dois_is_read() {
        for (text, expected) in [
            ("10.1103/PhysRevD.76.013009", Some("10.1103/PhysRevD.76.013009")),
            ("10.1/x 10.1007/a_b", Some("10.1007/a_b")),
            ("10.1007/a,10.1007/b", Some("10.1007/a")),
            ("https://doi.org/10.1007/a; 10.1007/b", Some("10.1007/a")),
            (
                "doi:10.1002/(SICI)1097<261::AID>3.0.CO;2-4",
                Some("10.1002/(SICI)1097<261::AID>3.0.CO;2-4"),
            ),
            ("10.1007/a}", None),
            ("none", None),
        ] {
            assert_eq!(first_doi(text), expected, "{text}");
        }
    }
}
