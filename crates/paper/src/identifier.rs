//! arXiv's identifiers (<https://info.arxiv.org/help/arxiv_identifier.html>), in every form in which people
//! write them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An identifier as arXiv gave it: the paper, and its version if it is said.
///
/// Two that agree in `paper` are the same paper. As text, `2405.00001v2`.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(from = "String", into = "String")]
pub struct PaperId {
    /// `2405.00001`, `math/0309136`.
    pub paper: String,
    /// From 1.
    pub version: Option<u16>,
}

impl PaperId {
    /// The identifier in an entry of a feed, `http://arxiv.org/abs/2405.00001v2`; what has no such form is a paper
    /// without a version.
    pub fn of_entry(id: &str) -> Self {
        let id = id.split_once("/abs/").map_or(id, |(_, id)| id);
        let (paper, version) = match id.rsplit_once('v') {
            Some((paper, version)) if !paper.is_empty() && is_number(version) => {
                (paper, version.parse().ok())
            }
            _ => (id, None),
        };
        let paper = if version.is_some() { paper } else { id };
        Self {
            paper: paper.to_owned(),
            version,
        }
    }

    /// The identifier in any form in which people write it, see [`normalized_id`].
    pub fn typed(text: &str) -> Option<Self> {
        normalized_id(text).map(|id| Self::of_entry(&id))
    }
}

impl fmt::Display for PaperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.paper)?;
        self.version.map_or(Ok(()), |version| write!(f, "v{version}"))
    }
}

impl From<String> for PaperId {
    fn from(id: String) -> Self {
        Self::of_entry(&id)
    }
}

impl From<PaperId> for String {
    fn from(id: PaperId) -> Self {
        id.to_string()
    }
}

/// The identifier in its short form: `2401.01234v2`, `hep-th/9901001`; none if it is not an identifier.
///
/// Accepted are the short form, `arXiv:…` with or without what arXiv's "Cite as" has after it (`[cs.LG]`), and as
/// bibliographies have it (`arXiv preprint arXiv:…`); the addresses of abstract, HTML, PDF and source at arXiv and its
/// mirrors; the DOI that arXiv gives to a paper; its identifier in OAI-PMH. Each may be in quotes or brackets, and have
/// the punctuation of a sentence after it.
pub fn normalized_id(typed: &str) -> Option<String> {
    let typed = typed.trim_start_matches(begins_quote).trim_end_matches(is_space);
    let lower = typed.to_ascii_lowercase();
    let rest = without_prefix(without_subject(&lower));
    let (rest, after) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    if after.chars().any(|c| !c.is_ascii_graphic()) {
        return None;
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let rest = rest.strip_suffix(".pdf").unwrap_or(rest);
    let versioned = rest.rsplit_once('v').filter(|(_, version)| is_version(version));
    let paper = versioned.map_or(rest, |(paper, _)| paper);
    let id = match paper.split_once('/') {
        Some((archive, number)) => old_style(archive, number)?,
        None => new_style(paper)?,
    };
    Some(id + rest.strip_prefix(paper)?)
}

/// White space, and characters that nobody sees.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

fn begins_quote(c: char) -> bool {
    is_space(c) || "\"'`“‘«<([{".contains(c)
}

/// What ends a quotation, brackets, or a part of a sentence.
fn ends_quote(c: char) -> bool {
    is_space(c) || "\"'`”’»>)]}.,;:".contains(c)
}

/// Without the primary category, the date that follows it in the margin of a PDF (`2401.01234v2 [cs.LG] 5 Jan 2024`), and
/// what ends a quotation.
fn without_subject(lower: &str) -> &str {
    let end = lower.trim_end_matches(ends_quote);
    let Some((id, after)) = lower.split_once(" [") else {
        return end;
    };
    let Some((subject, date)) = after.split_once(']') else {
        return end;
    };
    let is_subject = !subject.is_empty()
        && subject
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b"-.".contains(&b));
    if is_subject && is_date(date.trim_end_matches(ends_quote)) {
        id.trim_ascii_end()
    } else {
        end
    }
}

/// `5 Jan 2024`, or nothing.
fn is_date(text: &str) -> bool {
    match *text.split_ascii_whitespace().collect::<Vec<_>>() {
        [] => true,
        [day, month, year] => {
            is_number(day)
                && day.len() < 3
                && is_letters(month)
                && (3..10).contains(&month.len())
                && is_number(year)
                && year.len() == 4
        }
        _ => false,
    }
}

fn without_prefix(lower: &str) -> &str {
    if let Some(rest) = lower.strip_prefix("arxiv preprint arxiv:") {
        return rest.trim_ascii_start();
    }
    for prefix in ["oai:arxiv.org:", "arxiv:", "arxiv "] {
        if let Some(id) = lower.strip_prefix(prefix) {
            return id.trim_ascii_start();
        }
    }
    let path = without_any(lower, &["https://", "http://"]);
    if let Some((host, page)) = path.split_once('/')
        && is_arxiv(host)
    {
        let id = without_any(
            page,
            &["abs/", "e-print/", "format/", "html/", "pdf/", "ps/", "src/"],
        );
        return if id == page { lower } else { id };
    }
    let doi = match lower.strip_prefix("doi:") {
        Some(doi) => doi.trim_ascii_start(),
        None => without_any(path, &["dx.", "www."])
            .strip_prefix("doi.org/")
            .unwrap_or(lower),
    };
    // The last part of the DOI is written alone, too.
    let name = doi.strip_prefix("10.48550/").unwrap_or(doi);
    name.strip_prefix("arxiv.").unwrap_or(lower)
}

/// arXiv's host, its mirrors (`de.arxiv.org`), its first name, and ar5iv and alphaXiv, which show papers by arXiv's paths.
fn is_arxiv(host: &str) -> bool {
    const OTHERS: [&str; 5] = [
        "arxiv.org",
        "xxx.lanl.gov",
        "ar5iv.org",
        "alphaxiv.org",
        "www.alphaxiv.org",
    ];
    let is_mirror = |name: &str| {
        name.split('.')
            .all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    };
    OTHERS.contains(&host) || host.strip_suffix(".arxiv.org").is_some_and(is_mirror)
}

fn without_any<'a>(text: &'a str, prefixes: &[&str]) -> &'a str {
    let mut rests = prefixes.iter().filter_map(|prefix| text.strip_prefix(prefix));
    rests.next().unwrap_or(text)
}

/// `YYMM.NNNN` or `YYMM.NNNNN`.
fn new_style(paper: &str) -> Option<String> {
    let (month, number) = paper.split_once('.')?;
    let fits = month.len() == 4 && is_month(month) && (4..=5).contains(&number.len()) && is_number(number);
    fits.then(|| paper.to_owned())
}

/// `archive/YYMMNNN`, as until March 2007. A subject class (`math.GT/0309136`) is no part of it.
fn old_style(archive: &str, number: &str) -> Option<String> {
    let archive = match archive.split_once('.') {
        Some((archive, class)) if class.len() == 2 && is_letters(class) => archive,
        Some(_) => return None,
        None => archive,
    };
    let words = archive
        .split_once('-')
        .map_or([archive, "x"], |(first, second)| [first, second]);
    let fits =
        words.into_iter().all(is_letters) && number.len() == 7 && is_number(number) && is_month(number);
    fits.then(|| format!("{archive}/{number}"))
}

fn is_version(text: &str) -> bool {
    (1..=3).contains(&text.len()) && is_number(text) && !text.starts_with('0')
}

fn is_month(text: &str) -> bool {
    is_number(text.get(..4).unwrap_or_default())
        && text.get(2..4).is_some_and(|month| ("01"..="12").contains(&month))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_letters(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifier_of_an_entry_has_paper_and_version() {
        for (id, paper, version) in [
            ("http://arxiv.org/abs/2405.00001v1", "2405.00001", Some(1)),
            ("https://arxiv.org/abs/2405.00001v12", "2405.00001", Some(12)),
            ("http://arxiv.org/abs/2405.00001", "2405.00001", None),
            (
                "http://arxiv.org/abs/solv-int/9901001v2",
                "solv-int/9901001",
                Some(2),
            ),
            ("http://arxiv.org/abs/solv-int/9901001", "solv-int/9901001", None),
            ("2405.00001v3", "2405.00001", Some(3)),
            ("2405.00001v99999", "2405.00001v99999", None),
            ("v1", "v1", None),
            ("", "", None),
        ] {
            let read = PaperId::of_entry(id);
            assert_eq!((read.paper.as_str(), read.version), (paper, version), "{id}");
            assert_eq!(PaperId::of_entry(&read.to_string()), read, "{id}");
        }
        assert_eq!(
            PaperId::typed("arXiv:2405.00001v3 [cs.LG]"),
            Some(PaperId::of_entry("2405.00001v3"))
        );
        assert_eq!(PaperId::typed("x"), None);
    }

    #[test]
    fn identifier_is_accepted_in_every_usual_form() {
        for (typed, id) in [
            ("2401.01234", "2401.01234"),
            ("2401.01234v2", "2401.01234v2"),
            ("0704.0001", "0704.0001"),
            ("hep-th/9901001", "hep-th/9901001"),
            ("hep-th/9901001v3", "hep-th/9901001v3"),
            ("HEP-TH/9901001", "hep-th/9901001"),
            ("math.GT/0309136", "math/0309136"),
            ("math/0309136v12", "math/0309136v12"),
            ("arXiv:2401.01234", "2401.01234"),
            ("arxiv: 2401.01234v1", "2401.01234v1"),
            ("arXiv:cond-mat/9901001", "cond-mat/9901001"),
            ("https://arxiv.org/abs/2401.01234v2", "2401.01234v2"),
            ("http://arxiv.org/abs/hep-th/9901001", "hep-th/9901001"),
            ("https://www.arxiv.org/pdf/2401.01234v2.pdf", "2401.01234v2"),
            ("https://arxiv.org/pdf/2401.01234", "2401.01234"),
            ("export.arxiv.org/abs/2401.01234?context=cs", "2401.01234"),
            ("https://arxiv.org/html/2401.01234v1#S3", "2401.01234v1"),
            ("https://arxiv.org/abs/2401.01234/", "2401.01234"),
            ("10.48550/arXiv.2401.01234", "2401.01234"),
            ("https://doi.org/10.48550/arXiv.2401.01234", "2401.01234"),
            ("doi:10.48550/arXiv.hep-th/9901001", "hep-th/9901001"),
            ("  2401.01234\n", "2401.01234"),
            ("\u{a0}2401.01234\u{2003}", "2401.01234"),
            ("arXiv:2401.01234v2 [cs.LG]", "2401.01234v2"),
            ("arXiv:2401.01234v2  [cs.LG]  5 Jan 2024", "2401.01234v2"),
            ("arXiv:hep-th/9901001v3 [hep-th]", "hep-th/9901001v3"),
            ("2401.01234 [cond-mat.mes-hall]", "2401.01234"),
            ("arXiv 2401.01234", "2401.01234"),
            ("http://xxx.lanl.gov/abs/hep-th/9901001", "hep-th/9901001"),
            ("https://export.arxiv.org/pdf/2401.01234v2", "2401.01234v2"),
            ("de.arxiv.org/abs/2401.01234", "2401.01234"),
            ("https://arxiv.org/src/2401.01234v1", "2401.01234v1"),
            ("https://arxiv.org/e-print/math/0309136", "math/0309136"),
            ("https://ar5iv.labs.arxiv.org/html/2401.01234", "2401.01234"),
            ("https://ar5iv.org/abs/2401.01234", "2401.01234"),
            ("https://www.doi.org/10.48550/arXiv.2401.01234", "2401.01234"),
            ("http://dx.doi.org/10.48550/arXiv.2401.01234", "2401.01234"),
            ("DOI: 10.48550/arXiv.2401.01234", "2401.01234"),
            ("oai:arXiv.org:hep-th/9901001", "hep-th/9901001"),
            ("\"2401.01234\"", "2401.01234"),
            ("“arXiv:2401.01234v2”,", "2401.01234v2"),
            ("<https://arxiv.org/abs/2401.01234>", "2401.01234"),
            ("(arXiv:2401.01234)", "2401.01234"),
            ("[arXiv:hep-th/9711200 [hep-th]].", "hep-th/9711200"),
            ("[2401.01234]", "2401.01234"),
            ("2401.01234.", "2401.01234"),
            ("\u{feff}2401.01234\u{200b}", "2401.01234"),
            ("arXiv preprint arXiv:2401.01234", "2401.01234"),
            ("arXiv.2401.01234", "2401.01234"),
            ("https://doi.org/10.48550/ARXIV.2401.01234v2", "2401.01234v2"),
            ("https://www.alphaxiv.org/abs/2401.01234v1", "2401.01234v1"),
        ] {
            assert_eq!(normalized_id(typed).as_deref(), Some(id), "{typed}");
            assert_eq!(normalized_id(id).as_deref(), Some(id), "{id} again");
        }
    }

    #[test]
    fn text_that_is_not_an_identifier_is_refused() {
        for typed in [
            "",
            " ",
            "x",
            "2401",
            "2401.123",
            "2401.123456",
            "2413.01234",
            "2400.01234",
            "2401.01234v0",
            "2401.01234v1234",
            "2401.01234v",
            "2401.01234,2401.01235",
            "2401.01234 2401.01235",
            "2401.01234&start=9",
            "2401.0123\u{0664}",
            "hep-th/99010011",
            "hep-th/9913001",
            "hep--th/9901001",
            "/9901001",
            "a/b/9901001",
            "math.GTX/0309136",
            "https://example.org/abs/2401.01234",
            "https://arxiv.org.example.org/abs/2401.01234",
            "https://arxiv.org/list/2401.01234",
            "https://arxiv.org/abs/2401.01234?a b",
            "10.1000/arXiv.2401.01234",
            "arXiv:https://arxiv.org/abs/2401.01234",
            "2401.01234 [cs.LG",
            "2401.01234 []",
            "2401.01234 [cs.LG] 2401.01235,",
            "https://evil.example/arxiv.org/abs/2401.01234",
            "https://a..arxiv.org/abs/2401.01234",
            "https://notarxiv.org/abs/2401.01234",
            "arXiv.org.2401.01234",
            "2401.01234 (cs)",
            "2401.\u{200b}01234",
            "[[]]",
            "arXiv preprint",
            "2401.01234 [cs.LG] arXiv",
            "2401.01234 [cs.LG] 5 2024",
        ] {
            assert_eq!(normalized_id(typed), None, "{typed:?}");
        }
    }
}
