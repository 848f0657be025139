//! The query language inside one field: from what a user typed to a clause that cannot leave its field.
//!
//! ```text
//! value    = operand *( [ "AND" / "OR" / "ANDNOT" ] operand )
//! operand  = word / phrase / "(" value ")"
//! phrase   = DQUOTE words DQUOTE
//! ```
//!
//! - The field's prefix is put before each word and phrase (`deep learning` → `ti:deep AND ti:learning`), since
//!   a prefix is documented to hold for the one term after it.
//! - Words without an operator between them bind more closely than those with one:
//!   `deep learning OR vision` → `((ti:deep AND ti:learning) OR ti:vision)`.
//! - A value that is not well-formed (an unpaired quote or parenthesis, an operator without its operand) is
//!   taken as plain words; an operator in it is a word like any other, and quoted.
//! - `:` and `\` separate words, so that no value can name a field or escape what follows. White space does too.
//! - A word with a character that has a meaning in the query language is quoted (`C++` → `ti:"C++"`).
//! - A text of only ASCII punctuation is not a word: arXiv's index has no punctuation.

use std::{borrow::Cow, iter::Peekable, vec::IntoIter};

use paper::canonical_category;

/// The prefix of categories, which arXiv only finds in its own case.
const CATEGORY: &str = "cat";

const OPERATORS: [&str; 3] = ["AND", "OR", "ANDNOT"];

/// Words that are not operators here but are operators in arXiv's query language.
const RESERVED: [&str; 2] = ["NOT", "TO"];

/// Characters with a meaning in that language outside quotes.
const SPECIAL: [char; 10] = ['+', '!', '{', '}', '[', ']', '^', '~', '/', '|'];

#[derive(PartialEq)]
enum Token {
    /// A word or phrase with the field's prefix, quoted where needed.
    Term(String),
    Operator(&'static str),
    Open,
    Close,
}

/// A part of a clause, which may be joined to others.
struct Part {
    text: String,
    joined_by: Joint,
}

/// What joins the operands of a part.
#[derive(PartialEq)]
enum Joint {
    /// There is one operand.
    Nothing,
    And,
    /// There are other operators than AND.
    Any,
}

impl Part {
    fn term(text: String) -> Self {
        Self {
            text,
            joined_by: Joint::Nothing,
        }
    }

    fn into_operand(self) -> String {
        match self.joined_by {
            Joint::Nothing => self.text,
            Joint::And | Joint::Any => format!("({})", self.text),
        }
    }
}

/// The clause that searches the field with arXiv's `prefix` for `value`; none if there is no word in it.
///
/// Nothing in the value can name another field, and the clause can be joined to others by ` AND ` as it is.
pub fn clause(prefix: &str, value: &str) -> Option<String> {
    let part = tokens(prefix, value).and_then(parse);
    let part = part.or_else(|| {
        // Not well-formed: plain words.
        let value = value.replace('"', " ");
        conjunction(words(&value).map(|word| Part::term(term(prefix, word))).collect())
    })?;
    Some(match part.joined_by {
        Joint::Nothing | Joint::And => part.text,
        Joint::Any => part.into_operand(),
    })
}

/// The tokens of a value, or none if a quote has no partner.
fn tokens(prefix: &str, value: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    // Every second piece between quotes is a phrase; paired quotes make an odd number of pieces.
    let pieces: Vec<&str> = value.split('"').collect();
    if pieces.len().is_multiple_of(2) {
        return None;
    }
    for (index, piece) in pieces.into_iter().enumerate() {
        if index % 2 == 1 {
            // In quotes, parentheses should have no meaning; they are removed so as not to depend on that.
            let phrase = words(piece).collect::<Vec<_>>().join(" ");
            if !phrase.is_empty() {
                let phrase = if prefix == CATEGORY {
                    canonical_category(&phrase).into_owned()
                } else {
                    phrase
                };
                tokens.push(Token::Term(format!("{prefix}:\"{phrase}\"")));
            }
            continue;
        }
        for word_and_boundary in piece.split_inclusive(is_boundary) {
            let word = word_and_boundary.trim_end_matches(is_boundary);
            if let Some(operator) = OPERATORS.iter().find(|operator| **operator == word) {
                tokens.push(Token::Operator(operator));
            } else if is_word(word) {
                tokens.push(Token::Term(term(prefix, word)));
            }
            match word_and_boundary.chars().next_back() {
                Some('(') => tokens.push(Token::Open),
                Some(')') => tokens.push(Token::Close),
                _ => {}
            }
        }
    }
    Some(tokens)
}

/// The tokens as one part, or none if they are not well-formed.
fn parse(tokens: Vec<Token>) -> Option<Part> {
    let mut tokens = tokens.into_iter().peekable();
    let part = parse_group(&mut tokens)?;
    // The rest begins with a closing parenthesis that was never opened.
    tokens.next().is_none().then_some(part)
}

/// A part up to a closing parenthesis or the end. A value is too short for its nesting to exhaust the stack.
fn parse_group(tokens: &mut Peekable<IntoIter<Token>>) -> Option<Part> {
    // Runs of operands without an operator between them, and the operators between the runs.
    let mut runs = vec![Vec::new()];
    let mut operators = Vec::new();
    while let Some(token) = tokens.next_if(|token| *token != Token::Close) {
        match token {
            Token::Term(term) => runs.last_mut()?.push(Part::term(term)),
            Token::Open => {
                runs.last_mut()?.push(parse_group(tokens)?);
                tokens.next_if_eq(&Token::Close)?;
            }
            Token::Operator(operator) => {
                operators.push(operator);
                runs.push(Vec::new());
            }
            Token::Close => return None,
        }
    }
    if runs.iter().any(Vec::is_empty) {
        return None;
    }
    if operators.iter().all(|operator| *operator == "AND") {
        return conjunction(runs.into_iter().flatten().collect());
    }
    let mut operands = runs.into_iter().filter_map(conjunction).map(Part::into_operand);
    let mut text = operands.next()?;
    for (operator, operand) in operators.into_iter().zip(operands) {
        text = format!("{text} {operator} {operand}");
    }
    Some(Part {
        text,
        joined_by: Joint::Any,
    })
}

/// All of these, or none if there are none. One part is taken as it is: `((a OR b))` is `a OR b`.
fn conjunction(mut parts: Vec<Part>) -> Option<Part> {
    if parts.len() < 2 {
        return parts.pop();
    }
    let operands: Vec<_> = parts.into_iter().map(Part::into_operand).collect();
    Some(Part {
        text: operands.join(" AND "),
        joined_by: Joint::And,
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_boundary).filter(|word| is_word(word))
}

fn is_boundary(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | ':' | '\\')
}

fn is_word(word: &str) -> bool {
    !word.chars().all(|c| c.is_ascii_punctuation())
}

/// A word with the field's prefix, quoted where it would have another meaning.
fn term(prefix: &str, word: &str) -> String {
    let word = if prefix == CATEGORY {
        canonical_category(word)
    } else {
        Cow::Borrowed(word)
    };
    let word = word.as_ref();
    let special = word.starts_with('-')
        || word.contains(SPECIAL)
        || word.contains("&&")
        || OPERATORS.contains(&word)
        || RESERVED.contains(&word);
    if special {
        format!("{prefix}:\"{word}\"")
    } else {
        format!("{prefix}:{word}")
    }
}

#[cfg(test)]
mod tests;
