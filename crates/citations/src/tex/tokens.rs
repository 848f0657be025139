//! A text as TeX's tokens.

/// What TeX would read as one thing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token<'a> {
    /// Any character without a meaning of its own here.
    Char(char),
    /// A backslash and letters, given without the backslash.
    Command(&'a str),
    /// A backslash and one other character.
    Symbol(char),
    Open,
    Close,
    Dollar,
    /// White space, of any length and kind.
    Space,
    /// A backslash at the end.
    Backslash,
}

/// The tokens of a text. White space after a command is a token of its own.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (token, length) = match c {
            '\\' => after_backslash(rest.get(1..).unwrap_or_default()),
            '{' => (Token::Open, 1),
            '}' => (Token::Close, 1),
            '$' => (Token::Dollar, 1),
            c if c.is_whitespace() || c.is_control() => (Token::Space, c.len_utf8()),
            c => (Token::Char(c), c.len_utf8()),
        };
        if token != Token::Space || tokens.last() != Some(&Token::Space) {
            tokens.push(token);
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    tokens
}

/// The token of a backslash and what follows it, and its length.
fn after_backslash(rest: &str) -> (Token<'_>, usize) {
    let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    match (rest.get(..letters), rest.chars().next()) {
        (Some(name), Some(_)) if letters > 0 => (Token::Command(name), 1 + letters),
        (_, Some(c)) if c.is_whitespace() || c.is_control() => (Token::Symbol(' '), 1 + c.len_utf8()),
        (_, Some(c)) => (Token::Symbol(c), 1 + c.len_utf8()),
        (_, None) => (Token::Backslash, 1),
    }
}

/// The index of the brace that closes the short group at `open`: the letter under an accent.
pub(super) fn closing(tokens: &[Token<'_>], open: usize) -> Option<usize> {
    const LONGEST: usize = 6;
    let mut depth = 0_usize;
    for (n, token) in tokens.iter().enumerate().skip(open).take(LONGEST) {
        match token {
            Token::Open => depth += 1,
            Token::Close => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(n);
                }
            }
            _ => {}
        }
    }
    None
}

/// The text of tokens, as TeX reads it.
pub(super) fn write(tokens: &[Token<'_>], out: &mut String) {
    for (n, token) in tokens.iter().enumerate() {
        match token {
            Token::Char(c) => out.push(*c),
            Token::Command(name) => {
                out.push('\\');
                out.push_str(name);
                // Letters that follow a command without a space would become a part of it.
                if matches!(tokens.get(n + 1), Some(Token::Char(c)) if c.is_ascii_alphabetic()) {
                    out.push(' ');
                }
            }
            Token::Symbol(c) => out.extend(['\\', *c]),
            Token::Open => out.push('{'),
            Token::Close => out.push('}'),
            Token::Dollar => out.push('$'),
            Token::Space => out.push(' '),
            Token::Backslash => out.push('\\'),
        }
    }
}
