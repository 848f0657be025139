//! How words may be written differently: the characters that are removed, replaced or ignored, in tables that the SQL of the indexes
//! and the reading of queries share.

/// A set of characters, as ranges that include both ends, in order.
pub(super) type Chars = [(char, char)];

/// Whether a set holds a character.
pub(super) fn contains(set: &Chars, c: char) -> bool {
    set.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// A set as a bracket expression of the server's regular expressions, in a string of SQL. As short as possible: the server keeps the
/// expressions of an index in one row of 8 KiB.
pub(super) fn bracket(set: &Chars) -> String {
    format!("[{}]", ranges(set))
}

/// All characters but those of a set, in the same way.
pub(super) fn all_but(set: &Chars) -> String {
    format!("[^{}]", ranges(set))
}

fn ranges(set: &Chars) -> String {
    let shown = |c: char| match u32::from(c) {
        // Readable where it means only itself.
        code @ 0xA1.. if !contains(REMOVED, c) && !(0x2000..0x2070).contains(&code) => c.to_string(),
        code @ 0x1_0000.. => format!("\\U{code:08X}"),
        code => format!("\\u{code:04X}"),
    };
    let ranges = set.iter().map(|(first, last)| {
        if first == last {
            shown(*first)
        } else {
            format!("{}-{}", shown(*first), shown(*last))
        }
    });
    ranges.collect()
}

/// ASCII without what apostrophes and TeX are written with: a text of these is read alike with and without the steps for all others.
pub(super) const PLAIN: &Chars = &[('\n', '\n'), (' ', '&'), ('(', '['), (']', '_'), ('a', '~')];

/// What is typed or printed for an apostrophe, and what transliterations have in its place.
pub(super) const APOSTROPHES: &Chars = &[
    ('\'', '\''),
    ('`', '`'),
    // Windows-1252 that was read as Latin-1.
    ('\u{91}', '\u{92}'),
    ('\u{B4}', '\u{B4}'),
    ('\u{2B9}', '\u{2B9}'),
    ('\u{2BB}', '\u{2BF}'),
    ('\u{2C8}', '\u{2C8}'),
    ('\u{2CA}', '\u{2CB}'),
    ('\u{374}', '\u{374}'),
    ('\u{1FBD}', '\u{1FBD}'),
    ('\u{1FBF}', '\u{1FBF}'),
    ('\u{1FEF}', '\u{1FEF}'),
    ('\u{1FFD}', '\u{1FFD}'),
    ('\u{2018}', '\u{2019}'),
    ('\u{201B}', '\u{201B}'),
    ('\u{2032}', '\u{2032}'),
    ('\u{2035}', '\u{2035}'),
    ('\u{A78B}', '\u{A78C}'),
    ('\u{FF07}', '\u{FF07}'),
    ('\u{FF40}', '\u{FF40}'),
];

/// Of a text without precomposed letters: accents, points that few people write, and characters that nobody sees.
pub(super) const REMOVED: &Chars = &[
    ('\u{AD}', '\u{AD}'),
    // An apostrophe of its own was replaced before; this one was a part of a letter.
    ('\u{2BC}', '\u{2BC}'),
    ('\u{300}', '\u{36F}'),
    ('\u{1AB0}', '\u{1AFF}'),
    ('\u{1DC0}', '\u{1DFF}'),
    ('\u{200B}', '\u{200F}'),
    ('\u{202A}', '\u{202E}'),
    ('\u{2060}', '\u{206F}'),
    ('\u{20D0}', '\u{20FF}'),
    ('\u{FE00}', '\u{FE0F}'),
    ('\u{FE20}', '\u{FE2F}'),
    ('\u{FEFF}', '\u{FEFF}'),
];

/// What stands between words. All of it is named, as a server with the locale C takes every character beyond ASCII for a letter.
pub(super) const PUNCTUATION: &Chars = &[
    ('!', '/'),
    (':', '@'),
    ('[', '`'),
    ('{', '©'),
    ('«', '´'),
    ('¶', '¹'),
    ('»', '¿'),
    ('×', '×'),
    ('÷', '÷'),
    ('\u{2000}', '\u{206F}'),
    // Currencies, arrows, mathematical and other signs.
    ('\u{20A0}', '\u{20CF}'),
    ('\u{2190}', '\u{245F}'),
    ('\u{2500}', '\u{2775}'),
    ('\u{2794}', '\u{2BFF}'),
    // East Asian.
    ('\u{3000}', '\u{3004}'),
    ('\u{3008}', '\u{3020}'),
    ('\u{30FB}', '\u{30FB}'),
    ('\u{FFFC}', '\u{FFFD}'),
    ('\u{1F000}', '\u{1FAFF}'),
];

/// What begins or ends a phrase.
pub(super) const QUOTES: &Chars = &[
    ('"', '"'),
    ('«', '«'),
    ('»', '»'),
    ('\u{201C}', '\u{201F}'),
    ('\u{2033}', '\u{2033}'),
    ('\u{FF02}', '\u{FF02}'),
];

/// Letters that Unicode does not decompose, and what people type for them. In upper and lower case, as a database of the locale C
/// knows capitals of ASCII only (there, those of other alphabets stay as they are).
pub(super) const LETTERS: [(&str, &str); 20] = [
    ("ł", "l"),
    ("Ł", "l"),
    ("ø", "o"),
    ("Ø", "o"),
    ("đ", "d"),
    ("Đ", "d"),
    ("ħ", "h"),
    ("Ħ", "h"),
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
    ("ς", "σ"),
];

/// TeX for an accent with its letter (`\"o`, `\'{e}`, `{\H o}`, `\"{\i}`) or for a letter (`\o`, `{\ss}`), whose groups are what it
/// is read as. Read alike by the server and by the library of regular expressions.
pub(super) const TEX: &str = concat!(
    r#"\{?\\(?:(?:["'`^~=.]\s*\{?|[Hcuvkrdb](?:\s+\{?|\{))\s*\\?([A-Za-z])(?:\{\})?\}?\}?"#,
    r"|(?:[aA]?(o|O|l|L|i|j|a|A|ss|SS|ae|AE|oe|OE|th|TH)|([dD])[hHjJ])(?:\{\}|[}\s]|([^A-Za-z])|$))",
);
/// Its groups, as the server names them.
pub(super) const TEX_LETTERS: &str = r"\1\2\3\4";

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    #[test]
    fn sets_of_characters_are_in_order() {
        for set in [PLAIN, APOSTROPHES, REMOVED, PUNCTUATION, QUOTES] {
            assert!(set.iter().all(|(first, last)| first <= last), "{set:?}");
            assert!(set.windows(2).all(|pair| pair[0].1 < pair[1].0), "{set:?}");
        }
    }

    #[test]
    fn letters_and_digits_are_no_punctuation_unless_unicode_decomposes_them() {
        // Letters and digits in circles and squares are symbols.
        let is_symbol = |c: char| ('\u{1F100}'..='\u{1F1FF}').contains(&c);
        let words = ('\0'..=char::MAX).filter(|c| c.is_alphanumeric() && !is_symbol(*c));
        for c in words.filter(|c| contains(PUNCTUATION, *c)) {
            assert!(std::iter::once(c).nfkd().ne([c]), "{c}");
        }
    }

    #[test]
    fn plain_characters_have_no_other_spelling() {
        let plain: Vec<char> = ('\0'..=char::MAX).filter(|c| contains(PLAIN, *c)).collect();
        let others = LETTERS.map(|(letter, _)| letter).concat();
        for c in plain {
            assert!(c.is_ascii() && std::iter::once(c).nfkd().eq([c]), "{c:?}");
            assert!(
                ![APOSTROPHES, REMOVED].iter().any(|set| contains(set, c)),
                "{c:?}"
            );
            assert!(c != '\\' && !others.contains(c), "{c:?}");
            let is_word = c.is_ascii_alphanumeric() || [' ', '\n'].contains(&c);
            assert_ne!(contains(PUNCTUATION, c), is_word, "{c:?}");
        }
    }

    #[test]
    fn bracket_expression_has_no_character_with_a_meaning_of_its_own() {
        let set = [('!', '/'), ('\'', '\''), ('ʻ', 'ʿ'), ('\u{2018}', '\u{2019}')];
        assert_eq!(bracket(&set), r"[\u0021-\u002F\u0027ʻ-ʿ\u2018-\u2019]");
    }
}
