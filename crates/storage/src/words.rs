//! TextQuery in texts, as the indexes hold them and as they are asked for: without case, accents and punctuation.
//!
//! Made of the server's own functions only: an extension may not be there, and a function of ours would have to be executable by
//! whoever inserts, the existing service among them.

/// The categories of a row, as the index holds them.
pub(crate) const CATEGORIES: &str = "(string_to_array(categories, ' '))";

/// Letters that Unicode takes for letters of their own, and what they are typed as. In both cases, as a database of the locale C
/// knows capitals of ASCII only (where other alphabets' stay what they are).
const LETTERS: [(&str, &str); 17] = [
    ("ł", "l"),
    ("Ł", "l"),
    ("ø", "o"),
    ("Ø", "o"),
    ("đ", "d"),
    ("Đ", "d"),
    ("ı", "i"),
    ("æ", "ae"),
    ("Æ", "ae"),
    ("œ", "oe"),
    ("Œ", "oe"),
    ("ß", "ss"),
    ("ẞ", "ss"),
    ("þ", "th"),
    ("Þ", "th"),
    ("ð", "d"),
    ("Ð", "d"),
];
/// All of ASCII that is no letter, digit or space, and what typesetters use in its place.
const PUNCTUATION: &str = "[!-/:-@[-`{-~’‘“”–—…«»]+";
/// A vector holds a megabyte, and an insert with more would fail: what follows after so many characters is not found.
const MAX_CHARS: u32 = 100_000;

/// The SQL for a text without case and accents. Each of these functions takes microseconds for a title; `translate` would take more
/// than all of them together.
fn plain(text: &str) -> String {
    let marks = format!("lower(regexp_replace(normalize({text}, NFKD), '[\\u0300-\\u036F]+', '', 'g'))");
    LETTERS.iter().fold(marks, |sql, (letter, typed)| {
        format!("replace({sql}, '{letter}', '{typed}')")
    })
}

/// The SQL for a text column's words, as index and queries spell it.
pub(crate) fn vector(column: &str) -> String {
    let plain = plain(&format!("coalesce({column}, '')"));
    format!(
        "to_tsvector('pg_catalog.simple'::regconfig, left(regexp_replace({plain}, '{PUNCTUATION}', ' ', 'g'), {MAX_CHARS}))"
    )
}

/// The SQL for what a [`TextQuery`] asks for, given as a parameter.
pub(crate) fn query_of(parameter: &str) -> String {
    format!("to_tsquery('pg_catalog.simple'::regconfig, {})", plain(parameter))
}

/// Longest word, in characters: of the longest that Unicode decomposes, a server's word still holds so many.
const MAX_WORD_CHARS: usize = 50;

/// TextQuery that all have to be there, and phrases whose words have to follow each other.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TextQuery {
    /// In the syntax of `to_tsquery`, each word quoted.
    query: String,
}

/// Why a text asks for no words.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TextQueryError {
    /// There is nothing but punctuation.
    #[error("it holds no word")]
    Nothing,
    /// A word is longer than can be found.
    #[error("a word is longer than {MAX_WORD_CHARS} characters")]
    TooLong,
}

impl TextQuery {
    /// Reads words, and between double quotes phrases. An open quote counts to the end.
    pub fn parse(text: &str) -> Result<Self, TextQueryError> {
        let mut terms = Vec::new();
        for (n, piece) in text.split('"').enumerate() {
            let words: Vec<&str> = piece
                .split(|c| !is_of_word(c))
                .filter(|word| !word.is_empty())
                .collect();
            if words.iter().any(|word| word.chars().count() > MAX_WORD_CHARS) {
                return Err(TextQueryError::TooLong);
            }
            let quoted = words.iter().map(|word| format!("'{word}'"));
            // Every second piece stood between quotes.
            if n % 2 == 1 && !words.is_empty() {
                terms.push(format!("({})", quoted.collect::<Vec<_>>().join(" <-> ")));
            } else {
                terms.extend(quoted);
            }
        }
        if terms.is_empty() {
            return Err(TextQueryError::Nothing);
        }
        Ok(Self {
            query: terms.join(" & "),
        })
    }

    pub(crate) fn as_query(&self) -> &str {
        &self.query
    }
}

/// Letters, digits, and the marks that belong to the letter before; nothing that `to_tsquery` reads as its own.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || ('\u{300}'..='\u{36F}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_phrases_are_read() {
        for (text, query) in [
            ("Erdős", Ok("'Erdős'")),
            ("  paul  erdos ", Ok("'paul' & 'erdos'")),
            ("P.Erdos-Renyi", Ok("'P' & 'Erdos' & 'Renyi'")),
            ("\"random graphs\" on", Ok("('random' <-> 'graphs') & 'on'")),
            ("a \"b c", Ok("'a' & ('b' <-> 'c')")),
            ("a \"\" b", Ok("'a' & 'b'")),
            ("it's \\ & | ! ( ) : * <->", Ok("'it' & 's'")),
            ("E\u{301}a", Ok("'E\u{301}a'")),
            ("量子", Ok("'量子'")),
            ("", Err(TextQueryError::Nothing)),
            (" ' \" ", Err(TextQueryError::Nothing)),
            (&"x".repeat(51), Err(TextQueryError::TooLong)),
        ] {
            let read = TextQuery::parse(text);
            assert_eq!(
                read.as_ref().map(TextQuery::as_query).map_err(|error| *error),
                query,
                "{text}"
            );
        }
    }
}
