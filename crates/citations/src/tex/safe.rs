//! TeX that BibTeX and LaTeX can print.

use super::commands;
use super::math::formula;
use super::tokens::{Token, closing, tokens, write};

/// A text with its TeX, where that is balanced and harmless; everything else is escaped, so that it is printed as it was
/// typed. No text can end its field, run a command or stop LaTeX.
pub(crate) fn safe(text: &str) -> String {
    let tokens = tokens(text.trim());
    let mut out = String::with_capacity(text.len() + 16);
    let groups = grouped(&tokens);
    let is_group = |n: usize| groups.get(n).is_some_and(|is| *is);
    let mut n = 0;
    while let Some(token) = tokens.get(n) {
        if let Some((math, next)) = formula(&tokens, n) {
            out.push_str(&math);
            n = next;
            continue;
        }
        if let Some(next) = accent(&tokens, n) {
            write(tokens.get(n..next).unwrap_or_default(), &mut out);
            n = next;
            continue;
        }
        match *token {
            Token::Space | Token::Symbol('\\') => out.push(' '),
            Token::Open if is_group(n) => out.push('{'),
            Token::Open | Token::Symbol('{') => out.push_str("\\textbraceleft{}"),
            Token::Close if is_group(n) => out.push('}'),
            Token::Close | Token::Symbol('}') => out.push_str("\\textbraceright{}"),
            Token::Command(name) => command(tokens.get(n + 1), is_group(n + 1), name, &mut out),
            Token::Symbol(c) if commands::is_text_symbol(c) => out.extend(['\\', c]),
            Token::Symbol(c) => {
                out.push_str("\\textbackslash{}");
                character(&tokens, n, c, &mut out);
            }
            Token::Backslash => out.push_str("\\textbackslash{}"),
            Token::Dollar => out.push_str("\\$"),
            Token::Char(c) => character(&tokens, n, c, &mut out),
        }
        n += 1;
    }
    out
}

/// Which tokens are braces that belong together, not counting those in formulas.
fn grouped(tokens: &[Token<'_>]) -> Vec<bool> {
    let mut grouped = vec![false; tokens.len()];
    let mut open = Vec::new();
    let mut n = 0;
    while let Some(token) = tokens.get(n) {
        if let Some((_, next)) = formula(tokens, n) {
            n = next;
            continue;
        }
        match token {
            Token::Open => open.push(n),
            Token::Close => {
                if let Some(open) = open.pop() {
                    for n in [open, n] {
                        if let Some(is) = grouped.get_mut(n) {
                            *is = true;
                        }
                    }
                }
            }
            _ => {}
        }
        n += 1;
    }
    grouped
}

/// The index after a letter with its accent: `\'e`, `\'{e}`, `\v{c}`, `\v c`, `\'\i`, `\'{\i}`.
fn accent(tokens: &[Token<'_>], start: usize) -> Option<usize> {
    let mut next = start + 1;
    match tokens.get(start)? {
        Token::Symbol(c) if commands::is_symbol_accent(*c) => {}
        Token::Command(name) if commands::is_letter_accent(name) => {
            if tokens.get(next) == Some(&Token::Space) {
                next += 1;
            }
        }
        _ => return None,
    }
    let is_letter = |token: &Token<'_>| match token {
        Token::Char(c) => c.is_alphabetic(),
        Token::Command(name) => ["i", "j", "ae", "AE", "o", "O"].contains(name),
        _ => false,
    };
    if tokens.get(next) == Some(&Token::Open) {
        let end = closing(tokens, next)?;
        let inside = tokens.get(next + 1..end)?;
        let is_fit = !inside.is_empty()
            && inside.len() <= 3
            && inside.iter().all(|t| is_letter(t) || *t == Token::Space);
        return is_fit.then_some(end + 1);
    }
    is_letter(tokens.get(next)?).then_some(next + 1)
}

fn command(next: Option<&Token<'_>>, is_before_group: bool, name: &str, out: &mut String) {
    let has_argument = is_before_group && next == Some(&Token::Open);
    let is_kept = commands::is_text(name) || (commands::is_text_with_argument(name) && has_argument);
    if is_kept {
        out.push('\\');
        out.push_str(name);
        match next {
            Some(Token::Char(c)) if c.is_ascii_alphabetic() => out.push(' '),
            // So that a parser that joins what is around the command sees where it ends.
            None | Some(Token::Close) => out.push_str("{}"),
            _ => {}
        }
    } else if commands::is_math(name)
        && !["left", "right", "not", "limits", "nolimits"].contains(&name)
        && !commands::is_fraction(name)
    {
        out.extend(["$\\", name, "$"]);
    } else {
        out.extend(["\\textbackslash{}", name]);
    }
}

fn character(tokens: &[Token<'_>], n: usize, c: char, out: &mut String) {
    match c {
        '&' | '%' | '#' | '_' => out.extend(['\\', c]),
        '^' => out.push_str("\\textasciicircum{}"),
        '~' => {
            // Between two words it is a space; elsewhere people mean the character.
            let is_word = |token: Option<&Token<'_>>| match token {
                Some(Token::Char(c)) => !"/~".contains(*c),
                Some(Token::Space) | None => false,
                Some(_) => true,
            };
            let is_tie = is_word(n.checked_sub(1).and_then(|n| tokens.get(n))) && is_word(tokens.get(n + 1));
            out.push_str(if is_tie { "~" } else { "\\textasciitilde{}" });
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_tex_is_kept() {
        for text in [
            "Sorting in $O(n^2)$ time",
            r#"Erd\H{o}s and R\'enyi, G\"odel, \v{C}ech, na\"{\i}ve, \ss{}"#,
            r"A $\mathbb{Z}_2$-graded {\it $K$}-theory of $\{1, \dots, n\}$",
            r"\emph{Very} $\left(\frac{1}{2}\right)$ \& 100\% \#1 a\_b",
            r"$\sqrt{s} = 13\,\mathrm{TeV}$ {LHC} data",
            "Fig.~1",
            r"$1\over 2$ and ${a \over b} \choose {n \atop k}$",
            r"$f\colon x \mapsto y \bmod 2$",
            "A \"quoted\" word",
            "Übung über Größen, 毛, Ж",
        ] {
            assert_eq!(safe(text), text);
        }
    }

    #[test]
    fn tex_that_would_fail_or_act_is_printed_as_typed() {
        for (text, written) in [
            ("costs $5", r"costs \$5"),
            ("$5 to $10", r"\$5 to \$10"),
            ("$5-$10 or US$20%-US$30", r"\$5-\$10 or US\$20\%-US\$30"),
            (r"$2\times$2", r"$2\times$2"),
            ("$10^$5$", r"\$10\textasciicircum{}$5$"),
            (
                r"$\Bbb R$ $\frak{g}$ $\hbox{eff}$",
                r"$\mathbb R$ $\mathfrak{g}$ $\mbox{eff}$",
            ),
            (
                r"$a \over b \over c$",
                r"\$a \textbackslash{}over b \textbackslash{}over c\$",
            ),
            (r"\over", r"\textbackslash{}over"),
            (
                r"\cite{x} \url{y_z}",
                r"\textbackslash{}cite{x} \textbackslash{}url{y\_z}",
            ),
            ("$x", r"\$x"),
            ("$$x$$", "$x$"),
            ("$$", r"\$\$"),
            (r"\(x\) and \[y\]", "$x$ and $y$"),
            ("{a", r"\textbraceleft{}a"),
            ("a}", r"a\textbraceright{}"),
            ("}{", r"\textbraceright{}\textbraceleft{}"),
            ("{$x}$", r"{\$x}\$"),
            ("$\\{x$", r"$\lbrace x$"),
            ("100% & #1 a_b x^2", r"100\% \& \#1 a\_b x\textasciicircum{}2"),
            ("$5%$", r"$5\%$"),
            (r"\input{/etc/passwd}", r"\textbackslash{}input{/etc/passwd}"),
            (r"$\input{x}$", r"\$\textbackslash{}input{x}\$"),
            (r"$\def\x{}$", r"\$\textbackslash{}def\textbackslash{}x{}\$"),
            (r"\write18{rm}", r"\textbackslash{}write18{rm}"),
            (r"$x^$", r"\$x\textasciicircum{}\$"),
            (r"$\frac$", r"\$\textbackslash{}frac\$"),
            (r"$\left( x$", r"\$\textbackslash{}left( x\$"),
            (r"\alpha-stable", r"$\alpha$-stable"),
            (r"\emph", r"\textbackslash{}emph"),
            (r"end\", r"end\textbackslash{}"),
            (r"\'", r"\textbackslash{}'"),
            ("a\\\\b", "a b"),
            ("~5, x/~y", r"\textasciitilde{}5, x/\textasciitilde{}y"),
            ("two\nlines\u{1}", "two lines "),
            ("a}\n@misc{x", r"a\textbraceright{} @misc\textbraceleft{}x"),
        ] {
            assert_eq!(safe(text), written, "{text}");
        }
    }
}
