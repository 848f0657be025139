//! Full-text search: the words of texts, as the indexes hold them and as a query asks for them: without case, accents and
//! punctuation.
//!
//! Made of the server's own functions only: an extension may be missing, and a function of ours would have to be executable by
//! every user that inserts, the existing service among them.

/// The categories of a row, as the index holds them.
pub(crate) const CATEGORIES: &str = "(string_to_array(categories, ' '))";

/// The DOIs of a row of `arxiv_papers`, as the index holds them: they are the same in any case.
pub(crate) const PAPER_DOIS: &str = "(string_to_array(lower(doi), ' '))";

/// Letters that Unicode does not decompose, and what people type for them. In upper and lower case, as a database of the locale C
/// knows capitals of ASCII only (there, those of other alphabets stay as they are).
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
/// All of ASCII that is no letter, digit or space, and its typographic variants.
const PUNCTUATION: &str = "[!-/:-@[-`{-~’‘“”–—…«»]+";
/// A vector holds a megabyte, and an insert with more would fail: words after so many characters are not found.
const MAX_CHARS: u32 = 100_000;

/// The SQL for a text without case and accents. Each of these functions takes microseconds for a title; `translate` would
/// take more than all of them together.
fn plain(text: &str) -> String {
    let marks = format!("lower(regexp_replace(normalize({text}, NFKD), '[\\u0300-\\u036F]+', '', 'g'))");
    LETTERS.iter().fold(marks, |sql, (letter, typed)| {
        format!("replace({sql}, '{letter}', '{typed}')")
    })
}

/// The SQL for the words of a text column, the same in indexes and statements.
pub(crate) fn vector(column: &str) -> String {
    let plain = plain(&format!("coalesce({column}, '')"));
    format!(
        "to_tsvector('pg_catalog.simple'::regconfig, left(regexp_replace({plain}, '{PUNCTUATION}', ' ', 'g'), {MAX_CHARS}))"
    )
}

/// The SQL for a [`TextQuery`] that is passed as a parameter.
pub(crate) fn query_of(parameter: &str) -> String {
    format!("to_tsquery('pg_catalog.simple'::regconfig, {})", plain(parameter))
}

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
        let mut terms = Vec::new();
        for (n, piece) in text.split('"').enumerate() {
            let words: Vec<&str> = piece
                .split(|c| !is_word_char(c))
                // Of marks alone nothing would be left, which `to_tsquery` rejects.
                .filter(|word| !word.chars().all(is_mark))
                .collect();
            if words.iter().any(|word| word.chars().count() > MAX_WORD_CHARS) {
                return Err(TextQueryError::TooLong);
            }
            let quoted = words.iter().map(|word| format!("'{word}'"));
            // Every second piece was between quotes.
            if n % 2 == 1 && !words.is_empty() {
                terms.push(format!("({})", quoted.collect::<Vec<_>>().join(" <-> ")));
            } else {
                terms.extend(quoted);
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

/// Letters, digits, and the marks that belong to the letter before; nothing that has a meaning to `to_tsquery`.
fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || is_mark(c)
}

/// The marks that [`plain`] removes.
fn is_mark(c: char) -> bool {
    ('\u{300}'..='\u{36F}').contains(&c)
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
            ("a \"b c", Ok("'a' & ('b' <-> 'c')")),
            ("a \"\" b", Ok("'a' & 'b'")),
            ("it's \\ & | ! ( ) : * <->", Ok("'it' & 's'")),
            ("E\u{301}a", Ok("'E\u{301}a'")),
            ("量子", Ok("'量子'")),
            ("a \u{301} \u{345}\u{308} b", Ok("'a' & 'b'")),
            ("\u{301}", Err(TextQueryError::Empty)),
            ("\"\u{345}\"", Err(TextQueryError::Empty)),
            ("", Err(TextQueryError::Empty)),
            (" ' \" ", Err(TextQueryError::Empty)),
            (&"x".repeat(51), Err(TextQueryError::TooLong)),
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
}
