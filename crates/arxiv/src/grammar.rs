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

const OPERATORS: [&str; 3] = ["AND", "OR", "ANDNOT"];

/// Words that are not operators here but are operators in arXiv's query language.
const RESERVED: [&str; 2] = ["NOT", "TO"];

/// Characters with a meaning in that language outside quotes.
const SPECIAL: [char; 10] = ['+', '!', '{', '}', '[', ']', '^', '~', '/', '|'];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Phrase(String),
    Operator(&'static str),
    Open,
    Close,
}

/// Operands and the operators between them; `links` has one less than `operands`.
#[derive(Debug)]
struct Chain {
    operands: Vec<Operand>,
    links: Vec<&'static str>,
}

#[derive(Debug)]
enum Operand {
    /// A word or phrase, quoted where needed, without the field's prefix.
    Term(String),
    Group(Chain),
}

/// The clause that searches the field `prefix` for `value`; none if there is no word in it.
///
/// It can be joined to other clauses by ` AND ` as it is.
pub(crate) fn clause(prefix: &str, value: &str) -> Option<String> {
    let chain = match tokens(value).and_then(parse) {
        Some(chain) => chain,
        None => plain(value),
    };
    if chain.operands.is_empty() {
        return None;
    }
    let only_and = chain.links.iter().all(|link| *link == "AND");
    let mut clause = String::new();
    render(&chain, prefix, !only_and, &mut clause);
    Some(clause)
}

/// The tokens of a value, or none if a quote has no partner.
fn tokens(value: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    // Every second piece between quotes is a phrase; paired quotes make an odd number of pieces.
    let pieces: Vec<&str> = value.split('"').collect();
    if pieces.len().is_multiple_of(2) {
        return None;
    }
    for (index, piece) in pieces.into_iter().enumerate() {
        if index % 2 == 1 {
            // In quotes, parentheses should have no meaning; they are removed so as not to depend on that.
            let phrase: Vec<&str> = piece.split(is_boundary).filter(|word| is_word(word)).collect();
            if !phrase.is_empty() {
                tokens.push(Token::Phrase(phrase.join(" ")));
            }
            continue;
        }
        let mut rest = piece;
        while let Some(first) = rest.chars().next() {
            let end = rest.find(is_boundary).unwrap_or(rest.len());
            if end == 0 {
                match first {
                    '(' => tokens.push(Token::Open),
                    ')' => tokens.push(Token::Close),
                    _ => {}
                }
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let word = &rest[..end];
            if let Some(operator) = OPERATORS.iter().find(|operator| **operator == word) {
                tokens.push(Token::Operator(operator));
            } else if is_word(word) {
                tokens.push(Token::Word(word.to_owned()));
            }
            rest = &rest[end..];
        }
    }
    Some(tokens)
}

/// The tokens as a chain, or none if they are not well-formed.
fn parse(tokens: Vec<Token>) -> Option<Chain> {
    let mut tokens = tokens.into_iter().peekable();
    let chain = parse_chain(&mut tokens)?;
    // The rest begins with a closing parenthesis that was never opened.
    tokens.next().is_none().then_some(chain)
}

/// A chain up to a closing parenthesis or the end. A value is too short for its nesting to exhaust the stack.
fn parse_chain(tokens: &mut std::iter::Peekable<std::vec::IntoIter<Token>>) -> Option<Chain> {
    // Runs of operands without an operator between them, and the operators between the runs.
    let mut runs: Vec<Vec<Operand>> = vec![Vec::new()];
    let mut links = Vec::new();
    while let Some(token) = tokens.next_if(|token| *token != Token::Close) {
        let run = runs.last_mut()?;
        match token {
            Token::Word(word) => run.push(Operand::Term(quote_if_special(&word))),
            Token::Phrase(phrase) => run.push(Operand::Term(format!("\"{phrase}\""))),
            Token::Open => {
                let group = parse_chain(tokens)?;
                tokens.next_if_eq(&Token::Close)?;
                run.push(single_or_group(group));
            }
            Token::Operator(operator) => {
                if run.is_empty() {
                    return None;
                }
                links.push(operator);
                runs.push(Vec::new());
            }
            Token::Close => return None,
        }
    }
    if runs.iter().any(Vec::is_empty) {
        return None;
    }
    let chain = if links.iter().all(|link| *link == "AND") {
        conjunction(runs.into_iter().flatten().collect())
    } else {
        Chain {
            operands: runs
                .into_iter()
                .map(|run| single_or_group(conjunction(run)))
                .collect(),
            links,
        }
    };
    Some(unwrap_lone_group(chain))
}

fn conjunction(operands: Vec<Operand>) -> Chain {
    let links = vec!["AND"; operands.len().saturating_sub(1)];
    Chain { operands, links }
}

fn single_or_group(mut chain: Chain) -> Operand {
    match chain.operands.pop() {
        Some(only) if chain.operands.is_empty() => only,
        Some(last) => {
            chain.operands.push(last);
            Operand::Group(chain)
        }
        None => Operand::Group(chain),
    }
}

/// `((a OR b))` as `a OR b`.
fn unwrap_lone_group(mut chain: Chain) -> Chain {
    match chain.operands.pop() {
        Some(Operand::Group(group)) if chain.operands.is_empty() => group,
        Some(last) => {
            chain.operands.push(last);
            chain
        }
        None => chain,
    }
}

/// The words of a value that is not well-formed.
fn plain(value: &str) -> Chain {
    let words = value
        .split(|c| c == '"' || is_boundary(c))
        .filter(|word| is_word(word));
    conjunction(words.map(|word| Operand::Term(quote_if_special(word))).collect())
}

fn render(chain: &Chain, prefix: &str, grouped: bool, out: &mut String) {
    if grouped {
        out.push('(');
    }
    for (index, operand) in chain.operands.iter().enumerate() {
        if let Some(link) = index.checked_sub(1).and_then(|before| chain.links.get(before)) {
            out.push(' ');
            out.push_str(link);
            out.push(' ');
        }
        match operand {
            Operand::Term(term) => {
                out.push_str(prefix);
                out.push(':');
                out.push_str(term);
            }
            Operand::Group(group) => render(group, prefix, true, out),
        }
    }
    if grouped {
        out.push(')');
    }
}

fn is_boundary(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | ':' | '\\')
}

fn is_word(word: &str) -> bool {
    !word.chars().all(|c| c.is_ascii_punctuation())
}

fn quote_if_special(word: &str) -> String {
    let special = word.starts_with('-')
        || word.contains(SPECIAL)
        || word.contains("&&")
        || OPERATORS.contains(&word)
        || RESERVED.contains(&word);
    if special {
        format!("\"{word}\"")
    } else {
        word.to_owned()
    }
}

#[cfg(test)]
mod tests;
