//! Letters with accents, in TeX's notation and in Unicode.

use unicode_normalization::UnicodeNormalization;

use super::{
    math::formula,
    tokens::{tokens, write},
};

/// Accents: TeX's command, and the combining mark.
const ACCENTS: [(&str, char); 16] = [
    ("`", '\u{300}'),
    ("'", '\u{301}'),
    ("^", '\u{302}'),
    ("~", '\u{303}'),
    ("=", '\u{304}'),
    ("u", '\u{306}'),
    (".", '\u{307}'),
    ("\"", '\u{308}'),
    ("r", '\u{30a}'),
    ("H", '\u{30b}'),
    ("v", '\u{30c}'),
    ("d", '\u{323}'),
    ("c", '\u{327}'),
    ("k", '\u{328}'),
    ("b", '\u{331}'),
    ("t", '\u{361}'),
];

/// Letters that have a command of their own.
const LETTERS: [(&str, char); 20] = [
    ("aa", 'å'),
    ("AA", 'Å'),
    ("ae", 'æ'),
    ("AE", 'Æ'),
    ("oe", 'œ'),
    ("OE", 'Œ'),
    ("o", 'ø'),
    ("O", 'Ø'),
    ("l", 'ł'),
    ("L", 'Ł'),
    ("ss", 'ß'),
    ("SS", 'ẞ'),
    ("dh", 'ð'),
    ("DH", 'Ð'),
    ("dj", 'đ'),
    ("DJ", 'Đ'),
    ("th", 'þ'),
    ("TH", 'Þ'),
    ("i", 'ı'),
    ("j", 'ȷ'),
];

/// The letter of a command: `\ss`.
pub(super) fn letter(command: &str) -> Option<char> {
    LETTERS
        .iter()
        .find(|(name, _)| *name == command)
        .map(|(_, letter)| *letter)
}

/// A letter with an accent: `\v` and `c` are `č`.
pub(super) fn accented(command: &str, base: char) -> Option<String> {
    let (_, mark) = ACCENTS.iter().find(|(name, _)| *name == command)?;
    // An accent replaces the dot.
    let base = match base {
        'ı' => 'i',
        'ȷ' => 'j',
        base => base,
    };
    Some([base, *mark].into_iter().nfc().collect())
}

/// A name for BibTeX: Latin letters with accents in TeX's notation, other letters and formulas as they are.
///
/// BibTeX knows no character beyond ASCII: where it shortens a name, it would cut one in two.
pub(crate) fn name_tex(name: &str) -> String {
    let tokens = tokens(name);
    let text = |from: usize, to: usize| {
        let mut text = String::new();
        write(tokens.get(from..to).unwrap_or_default(), &mut text);
        letters_tex(&text)
    };
    let (mut out, mut from, mut n) = (String::with_capacity(name.len()), 0, 0);
    while n < tokens.len() {
        if let Some((math, next)) = formula(&tokens, n) {
            out.extend([text(from, n), math]);
            (from, n) = (next, next);
        } else {
            n += 1;
        }
    }
    out + &text(from, n)
}

fn letters_tex(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.nfc() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '{' => out.push_str("\\textbraceleft{}"),
            '}' => out.push_str("\\textbraceright{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '$' | '&' | '%' | '#' | '_' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c if c.is_ascii() => out.push(c),
            '\u{2010}' | '\u{2011}' => out.push('-'),
            '\u{2019}' => out.push('\''),
            c => match latin(c) {
                Some(tex) => out.extend(["{", &tex, "}"]),
                None => out.push(c),
            },
        }
    }
    out
}

/// A Latin letter that TeX has, or makes with one accent. Two accents on one letter are beyond most programs.
fn latin(c: char) -> Option<String> {
    let of_its_own = LETTERS.iter().find(|(_, letter)| *letter == c);
    if let Some((name, _)) = of_its_own.filter(|(name, _)| !name.eq_ignore_ascii_case("aa")) {
        return Some(format!("\\{name}"));
    }
    let mut parts = std::iter::once(c).nfd();
    let (base, mark) = (parts.next()?, parts.next()?);
    let (name, _) = ACCENTS.iter().find(|(_, known)| *known == mark)?;
    if !base.is_ascii_alphabetic() || parts.next().is_some() {
        return None;
    }
    Some(if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        format!("\\{name}{{{base}}}")
    } else {
        format!("\\{name}{base}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin_letters_of_a_name_are_tex_and_others_stay() {
        for (name, tex) in [
            ("Erdős", r"Erd{\H{o}}s"),
            ("Čech", r"{\v{C}}ech"),
            ("Müller", r#"M{\"u}ller"#),
            ("Mu\u{308}ller", r#"M{\"u}ller"#),
            ("Łoś", r"{\L}o{\'s}"),
            ("Ångström", r#"{\r{A}}ngstr{\"o}m"#),
            ("Nguyễn Văn", r"Nguyễn V{\u{a}}n"),
            ("Gödel’s", r#"G{\"o}del's"#),
            ("Иванов", "Иванов"),
            ("毛泽东", "毛泽东"),
            (
                "A_1 & 100% {x}",
                r"A\_1 \& 100\% \textbraceleft{}x\textbraceright{}",
            ),
            (r"NO$\nu$A Collaboration", r"NO$\nu$A Collaboration"),
            (r"Čech $5", r"{\v{C}}ech \$5"),
        ] {
            assert_eq!(name_tex(name), tex, "{name}");
        }
    }
}
