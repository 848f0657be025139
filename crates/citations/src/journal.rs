//! Journal references: text that the authors typed, of which the usual forms can be read.

use std::sync::LazyLock;

use regex::Regex;

/// A reference that says which article of a journal it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Article {
    pub(crate) journal: String,
    pub(crate) volume: String,
    /// The number of the issue; empty if it is not said.
    pub(crate) issue: String,
    /// The first page, with the last one after a hyphen, or the article's number; empty if it is not said.
    pub(crate) pages: String,
    pub(crate) year: u16,
    /// What follows the reference: an erratum, another publication.
    pub(crate) rest: String,
}

/// A reference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reference {
    Article(Article),
    /// Any other text, with its year if it names only one.
    Text(String, Option<u16>),
}

/// The name of a journal: words without digits, the last of which may be the letter of a section.
const JOURNAL: &str = r"(?<journal>\p{Lu}[\p{L}.,&:'’()/ -]*?[\p{L}.)])";
const VOLUME: &str = r"(?:[Vv]ol(?:ume|\.)?\s*)?(?<volume>[A-Z]?\d{1,5})";
const ISSUE: &str = r"(?:\s*,?\s*\((?:[Nn]o\.?\s*)?(?<issue>\d{1,4}(?:[-/]\d{1,4})?)\)|\s*,?\s*(?:[Nn]o\.?|[Nn]r\.?|[Ii]ssue|[Nn]umber)\s*(?<issue2>\d{1,4}(?:[-/]\d{1,4})?))?";
const PAGES: &str = r"(?:(?:[Pp]p?\.?|[Pp]ages?|[Aa]rticle(?: [Nn]o\.?)?|[Aa]rt\.|[Aa]rticle ID)\s*)?(?<pages>[A-Za-z]{0,3}\d{1,7}[A-Za-z]?(?:\s?-{1,2}\s?[A-Za-z]?\d{1,7})?)(?:\s?\(\d{1,3} ?pp?\.?\)|\s?pp\.?)?";
const YEAR: &str = r"(?<year>(?:19|20)\d\d)";

/// The usual forms, as whole references.
static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let forms = [
        // Phys. Rev. D 76, 013009 (2007); Commun. Math. Phys. 1 (2) (2000)
        format!(r"{JOURNAL},?\s*{VOLUME}{ISSUE}(?:\s*[,:;]?\s*{PAGES})?\s*,?\s*\({YEAR}\)"),
        // JHEP 05 (2009) 034; Math. Ann. 123 (1989), no. 4, 521-540
        format!(r"{JOURNAL},?\s*{VOLUME}\s*,?\s*\({YEAR}\){ISSUE}\s*[,:]?\s*{PAGES}"),
        // Phys.Rev.D76:013009,2007; J. X, Vol. 3, No. 4, pp. 5-6, 2000
        format!(r"{JOURNAL},?\s*{VOLUME}{ISSUE}\s*[,:]\s*{PAGES}\s*,\s*{YEAR}"),
        // Eur. Phys. J. C (2012) 72:2042
        format!(r"{JOURNAL},?\s*\({YEAR}\)\s*,?\s*{VOLUME}{ISSUE}\s*[:,]\s*{PAGES}"),
        // Entropy 2018, 20(4), 265
        format!(r"{JOURNAL},?\s*{YEAR}\s*[,;]\s*{VOLUME}{ISSUE}\s*[:,]\s*{PAGES}"),
    ];
    let whole = forms.iter().map(|form| Regex::new(&format!("^{form}$")));
    whole.filter_map(Result::ok).collect()
});

/// Any year.
static YEARS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b(?:19|20)\d\d\b").ok());

/// Words of references that are not, or not yet, those of an article in a journal.
const NO_JOURNAL: [&str; 14] = [
    "accepted",
    "appear",
    "arxiv",
    "chapter",
    "conference",
    "forthcoming",
    "lecture",
    "press",
    "preprint",
    "proceedings",
    "submitted",
    "symposium",
    "thesis",
    "workshop",
];
/// The longest reference that is read.
const MAX_LENGTH: usize = 400;

impl Reference {
    pub(crate) fn read(text: &str) -> Self {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (first, rest) = split(&text);
        let tidy = first
            .trim_end_matches(['.', ',', ' '])
            .replace(['–', '—', '−'], "-");
        let lower = tidy.to_lowercase();
        let words = || lower.split(|c: char| !c.is_alphanumeric());
        let is_readable = text.len() <= MAX_LENGTH && !words().any(|word| NO_JOURNAL.contains(&word));
        let article = FORMS
            .iter()
            .filter(|_| is_readable)
            .find_map(|form| article(form, &tidy));
        if let Some(article) = article {
            return Self::Article(Article {
                rest: rest.to_owned(),
                ..article
            });
        }
        let year = the_year(&text);
        Self::Text(text, year)
    }
}

fn article(form: &Regex, text: &str) -> Option<Article> {
    let found = form.captures(text)?;
    let part = |name| found.name(name).map(|part| part.as_str()).unwrap_or_default();
    let issue = if part("issue").is_empty() {
        part("issue2")
    } else {
        part("issue")
    };
    let place = |name| found.name(name).map(|part| (part.start(), part.end()));
    let is_joined = place("journal")
        .zip(place("volume"))
        .is_some_and(|(journal, volume)| journal.1 == volume.0);
    let (mut journal, mut volume) = (
        part("journal").trim_end_matches([',', ':', ' ']).to_owned(),
        part("volume"),
    );
    // The letter of a section belongs to the journal: Phys. Rev. D76 is Phys. Rev. D, volume 76.
    if let Some(number) = volume.strip_prefix(|c: char| c.is_ascii_uppercase()) {
        let (letter, _) = volume.split_at(volume.len() - number.len());
        let between = if is_joined && journal.ends_with(char::is_uppercase) {
            // JHEP12 has no section P.
            ""
        } else {
            " "
        };
        journal = format!("{journal}{between}{letter}");
        volume = number;
    }
    let pages = part("pages").replace(' ', "").replace("--", "-");
    // A volume of four digits that could be a year, or pages that could, leave open which is which.
    let is_unclear = volume.len() == 4 && is_year(volume) && !volume.eq(part("year")) && pages.is_empty();
    let year = part("year").parse().ok().filter(|_| !is_unclear)?;
    Some(Article {
        journal,
        volume: volume.to_owned(),
        issue: issue.to_owned(),
        pages,
        year,
        rest: String::new(),
    })
}

fn is_year(text: &str) -> bool {
    text.starts_with("19") || text.starts_with("20")
}

/// The first of several references, and what follows it.
fn split(text: &str) -> (&str, &str) {
    let lower = text.to_ascii_lowercase();
    let marks = [
        ";",
        "[erratum",
        "(erratum",
        ", erratum",
        " erratum",
        ". erratum",
        "[addendum",
        " addendum",
    ];
    let first = marks.iter().filter_map(|mark| lower.find(mark)).min();
    let (first, rest) = text.split_at(first.unwrap_or(text.len()));
    (first.trim(), rest.trim_matches([';', ',', ' ', '.']))
}

/// The only year that a text names.
fn the_year(text: &str) -> Option<u16> {
    let mut years: Vec<u16> = YEARS
        .as_ref()?
        .find_iter(text)
        .filter_map(|year| year.as_str().parse().ok())
        .collect();
    years.dedup();
    match *years.as_slice() {
        [year] if year < 2100 => Some(year),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_forms_of_references_are_read() {
        for (text, expected) in [
            ("Phys. Rev. D 76, 013009 (2007)", "Phys. Rev. D|76||013009|2007"),
            ("Phys.Rev.D76:013009,2007", "Phys.Rev. D|76||013009|2007"),
            ("Phys.Rev. D76 (2007) 013009", "Phys.Rev. D|76||013009|2007"),
            ("Nucl.Phys. B123 (1977) 1-10", "Nucl.Phys. B|123||1-10|1977"),
            ("JHEP 0905:034,2009", "JHEP|0905||034|2009"),
            ("JHEP 05 (2009) 034", "JHEP|05||034|2009"),
            ("JHEP12(2010)053", "JHEP|12||053|2010"),
            ("PRD76, 013009 (2007)", "PRD|76||013009|2007"),
            ("Phys.Lett.B1(1999)2", "Phys.Lett. B|1||2|1999"),
            (
                "Astrophys. J. 456, 123–130 (1996).",
                "Astrophys. J.|456||123-130|1996",
            ),
            (
                "Astrophys.J.Lett. 900 (2020) L12",
                "Astrophys.J.Lett.|900||L12|2020",
            ),
            (
                "Commun. Math. Phys. 123 (1989), no. 4, 521--540",
                "Commun. Math. Phys.|123|4|521-540|1989",
            ),
            (
                "Physical Review Letters 120 (13), 136801 (2018)",
                "Physical Review Letters|120|13|136801|2018",
            ),
            ("Amer. Math. Monthly 99 (1992)", "Amer. Math. Monthly|99|||1992"),
            ("Eur. Phys. J. C (2012) 72:2042", "Eur. Phys. J. C|72||2042|2012"),
            ("Entropy 2018, 20(4), 265", "Entropy|20|4|265|2018"),
            (
                "IEEE Transactions on Information Theory, vol. 52, no. 4, pp. 1289-1306, 2006",
                "IEEE Transactions on Information Theory|52|4|1289-1306|2006",
            ),
            ("Nature 585, 357-362 (2020)", "Nature|585||357-362|2020"),
            (
                "J. Phys. A: Math. Gen. 34 (2001) 1",
                "J. Phys. A: Math. Gen.|34||1|2001",
            ),
            ("Science, Vol. 306, 666 (2004)", "Science|306||666|2004"),
        ] {
            let Reference::Article(found) = Reference::read(text) else {
                panic!("{text} is not read");
            };
            let Article {
                journal,
                volume,
                issue,
                pages,
                year,
                ..
            } = found;
            assert_eq!(
                format!("{journal}|{volume}|{issue}|{pages}|{year}"),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn what_follows_a_reference_is_kept() {
        let Reference::Article(article) =
            Reference::read("Phys.Lett. B1 (1999) 2; Erratum-ibid. B3 (2000) 4")
        else {
            panic!("not read");
        };
        assert_eq!(
            (article.year, article.rest.as_str()),
            (1999, "Erratum-ibid. B3 (2000) 4")
        );
    }

    #[test]
    fn other_text_stays_text() {
        for (text, year) in [
            ("to appear in J. Algebra", None),
            ("Accepted by Phys. Rev. D 76, 1 (2007)", Some(2007)),
            ("Proceedings of the 34th ICML, PMLR 70 (2017)", Some(2017)),
            ("J. Number Theory", None),
            ("Some Book, Springer, Berlin, 1998, 2nd ed. 2001", None),
            ("Ph.D. thesis, MIT, 1999", Some(1999)),
            ("Science 2004", Some(2004)),
            ("", None),
        ] {
            assert_eq!(
                Reference::read(text),
                Reference::Text(text.to_owned(), year),
                "{text}"
            );
        }
    }
}
