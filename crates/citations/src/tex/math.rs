//! Mathematics between dollar signs, as far as it can be kept.

use super::commands;
use super::tokens::{Token, write};

/// A formula and the index after it, if one begins at this index and TeX can print it.
pub(super) fn formula(tokens: &[Token<'_>], start: usize) -> Option<(String, usize)> {
    let rest = tokens.get(start..)?;
    let (skip, end): (usize, &[Token<'_>]) = match rest {
        // Display mathematics has no place in a title.
        [Token::Dollar, Token::Dollar, ..] => (2, &[Token::Dollar, Token::Dollar]),
        [Token::Dollar, ..] => (1, &[Token::Dollar]),
        [Token::Symbol('('), ..] => (1, &[Token::Symbol(')')]),
        [Token::Symbol('['), ..] => (1, &[Token::Symbol(']')]),
        _ => return None,
    };
    let rest = rest.get(skip..)?;
    let is_start = |window: &[Token<'_>]| window.first() == tokens.get(start) && window != end;
    let mut windows = rest.windows(end.len());
    let length = windows.position(|window| window == end || (skip == 1 && is_start(window)))?;
    if rest.get(length..length + end.len()) != Some(end) {
        return None;
    }
    let inside = rest.get(..length)?;
    let next = rest.get(length + end.len());
    if is_price(inside, next) {
        return None;
    }
    let math = printed(inside)?;
    Some((format!("${math}$"), start + skip + length + end.len()))
}

/// `$5 to $10`, `$5-$10`: two prices have no formula between them.
fn is_price(inside: &[Token<'_>], next: Option<&Token<'_>>) -> bool {
    let is_digit = |token: Option<&Token<'_>>| matches!(token, Some(Token::Char(c)) if c.is_ascii_digit());
    let is_text = |token: &Token<'_>| match token {
        Token::Char(c) => !"^_=<>+*".contains(*c),
        Token::Space | Token::Symbol('%' | '&' | '#') => true,
        _ => false,
    };
    is_digit(inside.first()) && is_digit(next) && inside.iter().all(is_text)
}

/// The formula, if it is balanced and nothing in it can fail or act.
fn printed(tokens: &[Token<'_>]) -> Option<String> {
    let mut kept = Vec::with_capacity(tokens.len());
    // For each open group, the outermost one first: whether it is a fraction.
    let mut groups = vec![false];
    let mut fences = 0_usize;
    for (n, token) in tokens.iter().enumerate() {
        let followed = || {
            let rest = tokens.get(n + 1..).unwrap_or_default();
            let next = rest.iter().find(|token| **token != Token::Space);
            next.is_some_and(|next| !matches!(next, Token::Close | Token::Char('^' | '_' | '&')))
        };
        let token = match *token {
            Token::Open => {
                groups.push(false);
                Token::Open
            }
            Token::Close => {
                groups.pop().filter(|_| !groups.is_empty())?;
                Token::Close
            }
            Token::Dollar | Token::Backslash => return None,
            Token::Char('^' | '_') if !followed() => return None,
            Token::Char(c @ ('%' | '#' | '&')) => Token::Symbol(c),
            Token::Char('~') | Token::Symbol('\\') => Token::Symbol(' '),
            Token::Symbol(c) if !commands::is_math_symbol(c) => return None,
            Token::Command(name @ ("left" | "right")) => {
                if !followed() {
                    return None;
                }
                fences = if name == "left" {
                    fences + 1
                } else {
                    fences.checked_sub(1)?
                };
                Token::Command(name)
            }
            Token::Command(name) if commands::is_math_with_argument(commands::current(name)) => {
                if !followed() {
                    return None;
                }
                Token::Command(commands::current(name))
            }
            Token::Command(name) if commands::is_fraction(name) => {
                let is_fraction = groups.last_mut()?;
                if std::mem::replace(is_fraction, true) {
                    return None;
                }
                Token::Command(name)
            }
            Token::Command(name) if !commands::is_math(name) => return None,
            token => token,
        };
        kept.push(token);
    }
    let has_content = kept.iter().any(|token| *token != Token::Space);
    if groups.len() > 1 || fences > 0 || !has_content {
        return None;
    }
    if !counts_as_balanced(&kept) {
        for token in &mut kept {
            match token {
                Token::Symbol('{') => *token = Token::Command("lbrace"),
                Token::Symbol('}') => *token = Token::Command("rbrace"),
                _ => {}
            }
        }
    }
    let mut math = String::new();
    write(&kept, &mut math);
    Some(math)
}

/// Whether BibTeX counts as many opening braces as closing ones: to it, `\{` is one too.
fn counts_as_balanced(tokens: &[Token<'_>]) -> bool {
    let depth = tokens.iter().try_fold(0_usize, |depth, token| match token {
        Token::Open | Token::Symbol('{') => Some(depth + 1),
        Token::Close | Token::Symbol('}') => depth.checked_sub(1),
        _ => Some(depth),
    });
    depth == Some(0)
}
