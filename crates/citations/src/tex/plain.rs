//! A text with TeX as plain text: accents are letters, groups and font commands are gone, formulas stay as they are.

use super::accents::{accented, letter};
use super::commands;
use super::math::formula;
use super::tokens::{Token, closing, tokens, write};

/// The text for formats that know no TeX.
pub(crate) fn plain(text: &str) -> String {
    converted(text, |_| true)
}

/// The same, with a space for each formula.
pub(crate) fn without_math(text: &str) -> String {
    converted(text, |_| false)
}

/// The same of a name: formulas are kept (`NO$\nu$A`), but for the marks of footnotes (`$^{1}$`).
pub(crate) fn plain_name(name: &str) -> String {
    converted(name, |formula| formula.get(1) != Some(&Token::Char('^')))
}

fn converted(text: &str, is_kept: impl Fn(&[Token<'_>]) -> bool) -> String {
    let tokens = tokens(text.trim());
    let mut out = String::with_capacity(text.len());
    let mut n = 0;
    while n < tokens.len() {
        n = if let Some((_, next)) = formula(&tokens, n) {
            let formula = tokens.get(n..next).unwrap_or_default();
            if is_kept(formula) {
                write(formula, &mut out);
            } else {
                out.push(' ');
            }
            next
        } else {
            step(&tokens, n, &mut out)
        };
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Writes what is at this index; returns the index after it.
fn step(tokens: &[Token<'_>], n: usize, out: &mut String) -> usize {
    let Some(token) = tokens.get(n) else {
        return n + 1;
    };
    let command = match token {
        Token::Command(name) => (*name).to_owned(),
        Token::Symbol(c) => c.to_string(),
        _ => String::new(),
    };
    if !command.is_empty()
        && let Some((base, next)) = base(tokens, n, matches!(token, Token::Command(_)))
        && let Some(accented) = accented(&command, base)
    {
        out.push_str(&accented);
        return next;
    }
    match token {
        Token::Open | Token::Close | Token::Symbol('/' | '-' | '@') => {}
        Token::Dollar => out.push('$'),
        Token::Space | Token::Symbol('\\' | ' ' | ',' | ';' | ':' | '!') => out.push(' '),
        Token::Backslash => out.push('\\'),
        Token::Char('~') => {
            let is_start = out.is_empty() || out.ends_with([' ', '/']);
            out.push(if is_start { '~' } else { ' ' });
        }
        Token::Char(c) => out.push(*c),
        Token::Symbol(c) => {
            if !"$&%#_{}".contains(*c) {
                out.push('\\');
            }
            out.push(*c);
        }
        Token::Command(name) => {
            if let Some(letter) = letter(name) {
                out.push(letter);
                return after_space(tokens, n);
            }
            if let Some(text) = symbol(name) {
                out.push_str(text);
            } else if commands::is_text(name) || commands::is_text_with_argument(name) {
                return after_space(tokens, n);
            } else {
                out.push('\\');
                out.push_str(name);
            }
        }
    }
    n + 1
}

/// TeX skips the white space after a command.
fn after_space(tokens: &[Token<'_>], n: usize) -> usize {
    n + 1 + usize::from(tokens.get(n + 1) == Some(&Token::Space))
}

fn symbol(name: &str) -> Option<&'static str> {
    let symbol = match name {
        "S" => "§",
        "P" => "¶",
        "copyright" | "textcopyright" => "©",
        "dag" => "†",
        "ddag" => "‡",
        "dots" | "ldots" | "textellipsis" => "…",
        "pounds" => "£",
        "quad" => " ",
        "textbackslash" => "\\",
        "textasciitilde" => "~",
        "textasciicircum" => "^",
        "textbraceleft" => "{",
        "textbraceright" => "}",
        "textless" => "<",
        "textgreater" => ">",
        "textemdash" => "—",
        "textendash" => "–",
        "textquoteright" => "’",
        "textquoteleft" => "‘",
        "textunderscore" => "_",
        "textregistered" => "®",
        "texttrademark" => "™",
        "textdegree" => "°",
        "textbullet" => "•",
        "textbar" => "|",
        "LaTeX" => "LaTeX",
        "TeX" => "TeX",
        _ => return None,
    };
    Some(symbol)
}

/// The letter under an accent, and the index after it.
fn base(tokens: &[Token<'_>], n: usize, is_command: bool) -> Option<(char, usize)> {
    let of = |token: &Token<'_>| match token {
        Token::Char(c) if c.is_alphabetic() => Some(*c),
        Token::Command(name) => letter(name),
        _ => None,
    };
    let mut at = n + 1;
    if is_command && tokens.get(at) == Some(&Token::Space) {
        at += 1;
    }
    match tokens.get(at)? {
        Token::Open => {
            let end = closing(tokens, at)?;
            let inside = tokens.get(at + 1..end)?;
            let mut letters = inside.iter().filter(|token| **token != Token::Space);
            let first = letters.next().and_then(of)?;
            letters.next().is_none().then_some((first, end + 1))
        }
        // `\c` and `\u` of an undefined command's name are no accents: they are followed by a letter directly.
        token => of(token).map(|c| (c, at + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_are_letters_and_formulas_stay() {
        for (text, expected) in [
            (
                r#"Erd\H{o}s, R\'enyi, {\v C}ech, na\"{\i}ve, \ss{}"#,
                "Erdős, Rényi, Čech, naïve, ß",
            ),
            (r"\O ystein \L o\'s", "Øystein Łoś"),
            (r"{\it K}-theory of \emph{rings}", "K-theory of rings"),
            (r"On $\{x_1\}$ \& $O(n^2)$", r"On $\{x_1\}$ & $O(n^2)$"),
            (r"100\% of \$5", "100% of $5"),
            (r"Fig.~1 \foo{x}", r"Fig. 1 \foox"),
            ("a\n b", "a b"),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
        assert_eq!(without_math("The $K$-theory $x"), "The -theory $x");
        assert_eq!(
            plain_name(r"NO$\nu$A, R. A\'aij$^{1,\dagger}$"),
            r"NO$\nu$A, R. Aáij"
        );
    }
}
