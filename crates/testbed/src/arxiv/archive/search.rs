//! arXiv's search: which papers a `search_query` finds.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::Found;

/// A search in arXiv's grammar.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Search {
    Everything,
    /// Words in a row in the field of a prefix.
    Words(String, Vec<String>),
    Submitted(Timestamp, Timestamp),
    Both(Box<Self>, Box<Self>),
    Either(Box<Self>, Box<Self>),
    Without(Box<Self>, Box<Self>),
}

impl Search {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::Everything);
        }
        let tokens = tokens(text);
        let mut rest = tokens.as_slice();
        let search = sequence(&mut rest)?;
        if rest.is_empty() {
            Ok(search)
        } else {
            Err(format!("cannot read {} in {text}", rest[0]))
        }
    }

    pub(super) fn matches(&self, found: &Found<'_>) -> bool {
        match self {
            Self::Everything => true,
            Self::Words(prefix, words) => has(found, prefix, words),
            Self::Submitted(from, to) => (*from..=*to).contains(&found.paper.submitted),
            Self::Both(a, b) => a.matches(found) && b.matches(found),
            Self::Either(a, b) => a.matches(found) || b.matches(found),
            Self::Without(a, b) => a.matches(found) && !b.matches(found),
        }
    }
}

fn has(found: &Found<'_>, prefix: &str, words: &[String]) -> bool {
    let in_text = |text: &str| {
        let text: Vec<String> = words_of(text).collect();
        text.windows(words.len()).any(|window| window == words)
    };
    let paper = found.paper;
    let in_category = || {
        let wanted = words.join(" ");
        found
            .categories
            .iter()
            .any(|category| category.eq_ignore_ascii_case(&wanted))
    };
    match prefix {
        "ti" => in_text(&paper.title),
        "abs" => in_text(&paper.summary),
        "au" => paper.authors.iter().any(|author| in_text(author)),
        "cat" => in_category(),
        "all" => {
            in_text(&paper.title)
                || in_text(&paper.summary)
                || paper.authors.iter().any(|author| in_text(author))
                || in_category()
        }
        // There are no reports and no journals.
        _ => false,
    }
}

fn words_of(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// Parentheses, operators, and terms, of which phrases and ranges have white space in them.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut token = String::new();
    let (mut is_quoted, mut is_range) = (false, false);
    for c in text.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            '[' => is_range = true,
            ']' => is_range = false,
            _ => {}
        }
        let is_plain = !is_quoted && !is_range;
        if is_plain && (c.is_whitespace() || c == '(' || c == ')') {
            tokens.push(std::mem::take(&mut token));
            if c == '(' || c == ')' {
                tokens.push(c.to_string());
            }
        } else {
            token.push(c);
        }
    }
    tokens.push(token);
    tokens.retain(|token| !token.is_empty());
    tokens
}

/// Operands with operators between them, from left to right.
fn sequence(rest: &mut &[String]) -> Result<Search, String> {
    let mut left = operand(rest)?;
    while let Some((operator, after)) = rest.split_first() {
        let join = match operator.as_str() {
            "AND" => Search::Both,
            "OR" => Search::Either,
            "ANDNOT" => Search::Without,
            _ => break,
        };
        *rest = after;
        left = join(Box::new(left), Box::new(operand(rest)?));
    }
    Ok(left)
}

fn operand(rest: &mut &[String]) -> Result<Search, String> {
    let (first, after) = rest.split_first().ok_or("a search ends too early")?;
    *rest = after;
    if first == "(" {
        let inner = sequence(rest)?;
        let (close, after) = rest.split_first().ok_or("a parenthesis is not closed")?;
        if close != ")" {
            return Err(format!("a parenthesis is closed by {close}"));
        }
        *rest = after;
        return Ok(inner);
    }
    let (prefix, value) = first
        .split_once(':')
        .ok_or_else(|| format!("{first} has no prefix"))?;
    if prefix == "submittedDate" {
        return range(value).ok_or_else(|| format!("{value} is no range of dates"));
    }
    let words = if prefix == "cat" {
        vec![value.trim_matches('"').to_owned()]
    } else {
        words_of(value).collect()
    };
    Ok(Search::Words(prefix.to_owned(), words))
}

fn range(value: &str) -> Option<Search> {
    let (from, to) = value.strip_prefix('[')?.strip_suffix(']')?.split_once(" TO ")?;
    let time = |text: &str| {
        let time = DateTime::strptime("%Y%m%d%H%M", text).ok()?;
        TimeZone::UTC.to_timestamp(time).ok()
    };
    Some(Search::Submitted(time(from)?, time(to)?))
}
