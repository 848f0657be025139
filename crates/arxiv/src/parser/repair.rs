//! Makes text out of what only looks like XML: lone ampersands and brackets, unknown entities, characters that XML forbids.

use std::borrow::Cow;

use atom::is_xml_char;

/// The names of elements in arXiv's feeds, without their prefixes. Another name after a `<` is part of a text: `a<b`.
const NAMES: [&str; 20] = [
    "affiliation",
    "author",
    "category",
    "comment",
    "doi",
    "email",
    "entry",
    "feed",
    "id",
    "itemsPerPage",
    "journal_ref",
    "link",
    "name",
    "primary_category",
    "published",
    "startIndex",
    "summary",
    "title",
    "totalResults",
    "updated",
];
/// Those that need no repair, besides numbers.
const ENTITIES: [&str; 5] = ["amp", "apos", "gt", "lt", "quot"];
/// A reference is no longer than this, in bytes.
const MAX_REFERENCE: usize = 12;

/// The text, with the replacement character (U+FFFD) in place of bytes that are not UTF-8 and of forbidden characters.
pub(super) fn printable(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    let text = String::from_utf8_lossy(bytes);
    let was_utf8 = matches!(text, Cow::Borrowed(_));
    if text.chars().all(is_xml_char) {
        return (text, was_utf8);
    }
    let kept = text.chars().map(|c| {
        if is_xml_char(c) {
            c
        } else {
            char::REPLACEMENT_CHARACTER
        }
    });
    (Cow::Owned(kept.collect()), false)
}

/// An entry as XML that means the same to a reader.
pub(super) fn repaired(entry: &str) -> String {
    replaced(entry, &['<', '&'], |rest| {
        if rest.starts_with('&') {
            reference(rest)
        } else {
            bracket(rest)
        }
    })
}

/// The same for a text whose tags are right.
pub(super) fn with_references_repaired(text: &str) -> String {
    replaced(text, &['&'], reference)
}

/// The text with other words in place of what begins with one of these characters.
fn replaced<'t>(
    text: &'t str,
    starts: &[char],
    replace: impl Fn(&'t str) -> (Cow<'t, str>, usize),
) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(at) = rest.find(starts) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (replacement, length) = replace(rest);
        out.push_str(&replacement);
        rest = &rest[length..];
    }
    out + rest
}

/// The replacement of the reference at the start of `rest`, and how long it is there.
fn reference(rest: &str) -> (Cow<'_, str>, usize) {
    let end = rest.bytes().take(MAX_REFERENCE).position(|byte| byte == b';');
    let Some(whole) = end.and_then(|end| rest.get(..=end)) else {
        return ("&amp;".into(), 1);
    };
    let name = &whole[1..whole.len() - 1];
    let number = name
        .strip_prefix('#')
        .map(|number| match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        });
    match number {
        Some(Ok(code)) => match char::from_u32(code).filter(|c| is_xml_char(*c)) {
            Some(_) => (whole.into(), whole.len()),
            None => (char::REPLACEMENT_CHARACTER.to_string().into(), whole.len()),
        },
        None if ENTITIES.contains(&name) => (whole.into(), whole.len()),
        _ => ("&amp;".into(), 1),
    }
}

/// The same for what begins with a `<`.
fn bracket(rest: &str) -> (Cow<'_, str>, usize) {
    for (start, end) in [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")] {
        if rest.starts_with(start) {
            return match rest.find(end) {
                Some(at) => (rest[..at + end.len()].into(), at + end.len()),
                None => ("&lt;".into(), 1),
            };
        }
    }
    let name = rest[1..].trim_start_matches('/');
    let name = name
        .split(|c: char| c.is_whitespace() || matches!(c, '/' | '>' | '<'))
        .next()
        .unwrap_or_default();
    let local = name.rsplit(':').next().unwrap_or(name);
    if NAMES.contains(&local) {
        ("<".into(), 1)
    } else {
        ("&lt;".into(), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_looks_like_markup_is_escaped() {
        #[rustfmt::skip]
        let cases = [
            ("<title>a & b</title>", "<title>a &amp; b</title>"),
            ("<title>a &amp; b &#65; &lt;</title>", "<title>a &amp; b &#65; &lt;</title>"),
            ("<title>&nbsp;&eacute;</title>", "<title>&amp;nbsp;&amp;eacute;</title>"),
            ("<title>&#0;&#x1F;&#xD800;&#99999999999;</title>", "<title>\u{FFFD}\u{FFFD}\u{FFFD}&amp;#99999999999;</title>"),
            ("<title>p < 0.05, x<y</title>", "<title>p &lt; 0.05, x&lt;y</title>"),
            ("<title><b>bold</b></title>", "<title>&lt;b>bold&lt;/b></title>"),
            ("<x:title><![CDATA[a & <b>]]></x:title>", "<x:title><![CDATA[a & <b>]]></x:title>"),
            ("<title>AT&T; ő &ő;</title>", "<title>AT&amp;T; ő &amp;ő;</title>"),
            ("<title>a <", "<title>a &lt;"),
            ("&", "&amp;"),
        ];
        for (text, expected) in cases {
            assert_eq!(repaired(text), expected);
            assert_eq!(repaired(expected), expected, "again");
        }
    }

    #[test]
    fn lost_characters_are_marked() {
        assert_eq!(printable(b"plain"), ("plain".into(), true));
        assert_eq!(printable(b"a\xE1b"), ("a\u{FFFD}b".into(), false));
        assert_eq!(printable(b"a\x01b\0"), ("a\u{FFFD}b\u{FFFD}".into(), false));
    }
}
