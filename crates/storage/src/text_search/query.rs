//! What is searched for, as the text of a query.

use std::{borrow::Cow, sync::LazyLock};

use regex::Regex;
use unicode_normalization::char::is_combining_mark;

use super::spelling::{APOSTROPHES, PUNCTUATION, QUOTES, REMOVED, TEX, TEX_LETTERS, contains};

/// Longest word, in characters: of the longest that Unicode decomposes, a server's word still holds so many.
const MAX_WORD_CHARS: usize = 50;

/// Words that a text has to contain, and phrases whose words have to follow each other in it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TextQuery {
    /// In the syntax of `to_tsquery`, each word quoted.
    pub(crate) tsquery: String,
}

/// Why a text is no query.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TextQueryError {
    /// There is nothing but punctuation.
    #[error("it holds no word")]
    Empty,
    /// A word is longer than can be found.
    #[error("a word is longer than {MAX_WORD_CHARS} characters")]
    TooLong,
}

impl TextQuery {
    /// Reads words, and between double quotes phrases. An open quote counts to the end.
    pub fn parse(text: &str) -> Result<Self, TextQueryError> {
        let text = without_tex(text);
        let mut terms = Vec::new();
        for (n, piece) in text.split(|c| contains(QUOTES, c)).enumerate() {
            let words: Vec<Word> = piece.split(|c| !is_word_char(c)).filter_map(Word::read).collect();
            if words.iter().any(|word| word.chars() > MAX_WORD_CHARS) {
                return Err(TextQueryError::TooLong);
            }
            // Every second piece was between quotes.
            if n % 2 == 1 {
                terms.extend(phrase(&words));
            } else {
                terms.extend(words.iter().filter_map(|word| phrase(std::slice::from_ref(word))));
            }
        }
        if terms.is_empty() {
            return Err(TextQueryError::Empty);
        }
        Ok(Self {
            tsquery: terms.join(" & "),
        })
    }
}

/// A word's parts, between which there were apostrophes; at least one.
struct Word<'a>(Vec<&'a str>);

impl<'a> Word<'a> {
    fn read(word: &'a str) -> Option<Self> {
        let parts = word.split(|c| contains(APOSTROPHES, c));
        // Of what the server removes alone nothing would be left, which `to_tsquery` rejects.
        let parts: Vec<&str> = parts
            .filter(|part| !part.chars().all(|c| contains(REMOVED, c)))
            .collect();
        (!parts.is_empty()).then_some(Self(parts))
    }

    fn chars(&self) -> usize {
        self.0.iter().map(|part| part.chars().count()).sum()
    }
}

/// Words that follow each other, in parentheses if they are several, and with apostrophes in two ways: as a text without them has
/// the words, and as one with spaces instead.
fn phrase(words: &[Word<'_>]) -> Option<String> {
    let joined: Vec<String> = words.iter().map(|word| word.0.concat()).collect();
    let apart: Vec<&str> = words.iter().flat_map(|word| word.0.iter().copied()).collect();
    match (joined.len(), apart.len()) {
        (0, _) => None,
        (1, 1) => Some(quoted(&joined)),
        (one, same) if one == same => Some(format!("({})", quoted(&joined))),
        _ => Some(format!("({} | {})", quoted(&joined), quoted(&apart))),
    }
}

fn quoted(words: &[impl AsRef<str>]) -> String {
    let quoted = words.iter().map(|word| format!("'{}'", word.as_ref()));
    quoted.collect::<Vec<_>>().join(" <-> ")
}

/// Letters, digits, the marks that belong to the letter before, and apostrophes; nothing else that has a meaning to `to_tsquery`.
fn is_word_char(c: char) -> bool {
    contains(APOSTROPHES, c)
        || contains(REMOVED, c)
        || (c.is_alphanumeric() || is_combining_mark(c)) && !contains(PUNCTUATION, c)
}

/// A text whose letters and accents are no TeX.
fn without_tex(text: &str) -> Cow<'_, str> {
    static REGEX: LazyLock<Result<Regex, regex::Error>> = LazyLock::new(|| Regex::new(TEX));
    match &*REGEX {
        // The library names groups `$1`.
        Ok(regex) if text.contains('\\') => regex.replace_all(text, TEX_LETTERS.replace('\\', "$")),
        // The pattern is ours, and a test reads it.
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_query_holds_words_and_phrases() {
        for (text, query) in [
            ("Erdős", Ok("'Erdős'")),
            ("  paul  erdos ", Ok("'paul' & 'erdos'")),
            ("P.Erdos-Renyi", Ok("'P' & 'Erdos' & 'Renyi'")),
            ("\"random graphs\" on", Ok("('random' <-> 'graphs') & 'on'")),
            ("“random graphs” «on»", Ok("('random' <-> 'graphs') & 'on'")),
            ("a \"b c", Ok("'a' & ('b' <-> 'c')")),
            ("a \"\" b", Ok("'a' & 'b'")),
            ("it's \\ & | ! ( ) : * <->", Ok("('its' | 'it' <-> 's')")),
            ("O’Brien", Ok("('OBrien' | 'O' <-> 'Brien')")),
            (
                "\"O´Brien's graphs\"",
                Ok("('OBriens' <-> 'graphs' | 'O' <-> 'Brien' <-> 's' <-> 'graphs')"),
            ),
            ("'quoted' Jones'", Ok("'quoted' & 'Jones'")),
            ("co\u{AD}operate", Ok("'co\u{AD}operate'")),
            ("Jean\u{2010}Pierre", Ok("'Jean' & 'Pierre'")),
            ("E\u{301}a", Ok("'E\u{301}a'")),
            ("量子", Ok("'量子'")),
            ("क्ष", Ok("'क्ष'")),
            ("a \u{301} \u{345}\u{308} b", Ok("'a' & 'b'")),
            (r#"Schr{\"o}dinger Erd\H{o}s"#, Ok("'Schrodinger' & 'Erdos'")),
            ("\u{301}", Err(TextQueryError::Empty)),
            ("\"\u{345}\"", Err(TextQueryError::Empty)),
            ("\u{AD}\u{200B}", Err(TextQueryError::Empty)),
            ("", Err(TextQueryError::Empty)),
            (" ' \" ", Err(TextQueryError::Empty)),
            (&"x".repeat(51), Err(TextQueryError::TooLong)),
            (&"x'".repeat(51), Err(TextQueryError::TooLong)),
        ] {
            let read = TextQuery::parse(text);
            assert_eq!(
                read.as_ref()
                    .map(|read| read.tsquery.as_str())
                    .map_err(|error| *error),
                query,
                "{text}"
            );
        }
    }

    #[test]
    fn tex_is_read_as_letters() {
        for (text, letters) in [
            (r"Poincar\'e", "Poincare"),
            (r"Poincar\'{e}", "Poincare"),
            (r"Poincar{\'e}", "Poincare"),
            (r"{\'E}tale", "Etale"),
            (r"Erd\H os {\H o}", "Erdos o"),
            (r"Nov{\'a}\v{c}ek \v Cech", "Novacek Cech"),
            (r#"na\"{\i}ve na\"\i{}ve"#, "naive naive"),
            (r"S{\o}ren {\O}rsted \o re", "Soren Orsted ore"),
            (r"\L{}ukasz Wis{\l}a", "Lukasz Wisla"),
            (r"Stra\ss e Stra{\ss}e", "Strasse Strasse"),
            (r#"\AA ngstr\"om"#, "Angstrom"),
            (r"{\AA}rhus {\ae}on \dj or", "Arhus aeon dor"),
            (
                r"$\alpha$ \beta \Omega \lambda \in \le \cup",
                r"$\alpha$ \beta \Omega \lambda \in \le \cup",
            ),
        ] {
            assert_eq!(without_tex(text), letters, "{text}");
        }
    }
}
