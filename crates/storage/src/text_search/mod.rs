//! Full-text search: the words of texts, as the indexes hold them and as a query asks for them: without case, accents and
//! punctuation, however an apostrophe is written or left out.
//!
//! Made of the server's own functions only: an extension may be missing, and a function of ours would have to be executable by
//! every user that inserts, the existing service among them.

mod query;
mod spelling;

pub use self::query::{TextQuery, TextQueryError};
use self::spelling::{APOSTROPHES, LETTERS, PLAIN, PUNCTUATION, REMOVED, TEX, TEX_LETTERS, all_but, bracket};

/// The categories of a row, as the index holds them.
pub(crate) const CATEGORIES: &str = "(string_to_array(categories, ' '))";

/// The DOIs of a row of `arxiv_papers`, as the index holds them: they are the same in any case.
pub(crate) const PAPER_DOIS: &str = "(string_to_array(lower(doi), ' '))";

/// The words of the authors of a row of `arxiv_papers`, as the index holds them.
pub(crate) const PAPER_AUTHORS: &str = "(ts_filter(head_words, '{b}'))";

/// The words of its title, as the index holds them.
pub(crate) const PAPER_TITLE: &str = "(ts_filter(head_words, '{a}'))";

/// The year of its last update, as the index holds it: words of a few years are found without reading those of all.
pub(crate) const PAPER_YEARS: &str = "(array[extract(year from updated at time zone 'UTC')::integer])";

/// A vector holds a megabyte, and an insert with more would fail: words after so many characters are not found.
const MAX_CHARS: u32 = 200_000;

/// The SQL for a text without case and accents. Each of these functions takes microseconds for a title; `translate` would
/// take more than all of them together.
fn plain(text: &str) -> String {
    let removed = bracket(REMOVED);
    let plain = format!("lower(regexp_replace(normalize({text}, NFKD), '{removed}+', '', 'g'))");
    LETTERS.iter().fold(plain, |sql, (letter, typed)| {
        format!("replace({sql}, '{letter}', '{typed}')")
    })
}

/// The SQL for a text whose letters and accents are no TeX.
fn without_tex(text: &str) -> String {
    let tex = TEX.replace('\'', "''");
    format!("regexp_replace({text}, '{tex}', '{TEX_LETTERS}', 'g')")
}

/// The SQL for a text that, if it has apostrophes, is there twice: as if each were a space, and as if it were not there
/// (`o brien obrien`). Those of TeX stay.
fn without_apostrophes(text: &str) -> String {
    let apostrophes = bracket(APOSTROPHES);
    let with =
        |instead: &str| format!("regexp_replace({text}, '(\\\\[''`])|{apostrophes}', '\\1{instead}', 'g')");
    let (apart, joined) = (with(" "), with(""));
    format!("case when {text} ~ '{apostrophes}' then {apart} || ' ' || {joined} else {text} end")
}

/// The SQL for the words of a text, the same in indexes and statements; none, where it is null.
pub(crate) fn vector(text: &str) -> String {
    // Most texts of papers are plain, and these take half of the time.
    let (other, any) = (all_but(PLAIN), plain(&without_tex(&without_apostrophes(text))));
    let punctuation = bracket(PUNCTUATION);
    format!(
        "to_tsvector('pg_catalog.simple'::regconfig, coalesce(left(regexp_replace(
           case when {text} ~ '{other}' then {any} else lower({text} collate \"C\") end, '{punctuation}+', ' ', 'g'), {MAX_CHARS}), ''))"
    )
}

/// The SQL for a [`TextQuery`] that is passed as a parameter.
pub(crate) fn query_of(parameter: &str) -> String {
    format!("to_tsquery('pg_catalog.simple'::regconfig, {})", plain(parameter))
}
