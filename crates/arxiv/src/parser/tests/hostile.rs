//! Documents that are made to cost much, or to be misread.

use super::entry::{MAX_AUTHORS, MAX_TEXT};
use super::*;

#[tokio::test]
async fn feed_over_a_limit_is_refused() {
    let deep = feed(&format!("{}{}", "<d>".repeat(40), "</d>".repeat(40)));
    let long_text = entry(&format!("<title>{}</title>", "x".repeat(MAX_TEXT + 1)));
    let many_pieces = entry(&format!("<title>{}</title>", "x&amp;".repeat(MAX_TEXT / 2 + 1)));
    let long_comment = feed(&format!("<!--{}-->", "x".repeat(1024 * 1024)));
    let long_tag = feed(&format!("<x y='{}'/>", "x".repeat(1024 * 1024)));
    let long_root = RECENT.replacen("<feed ", &format!("<feed x='{}' ", "x".repeat(16 * 1024)), 1);
    let many_authors = entry(&"<author><name>x</name></author>".repeat(MAX_AUTHORS + 1));
    let long_feed = feed(&"<x></x>".repeat(MAX_BODY / 7));
    assert_refused(&[
        ("too deep", deep, "TooLarge"),
        ("a text too long", long_text, "Unreadable"),
        ("a text too long in pieces", many_pieces, "Unreadable"),
        ("a comment too long", long_comment, "TooLarge"),
        ("a tag too long", long_tag, "TooLarge"),
        ("a first tag too long", long_root, "TooLarge"),
        ("too many authors", many_authors, "Unreadable"),
        ("too long in all", long_feed, "TooLarge"),
    ])
    .await;
}

#[tokio::test]
async fn document_that_is_not_utf_8_is_refused() {
    let utf_16: Vec<u8> = RECENT.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cut_short = [entry("<title>").as_bytes(), "ő".as_bytes().split_at(1).0].concat();
    for document in [utf_16, cut_short] {
        for chunk in [1, usize::MAX] {
            assert!(parse_in_chunks(&document, chunk).await.is_err());
        }
    }
}

#[tokio::test]
async fn byte_that_is_no_character_is_replaced() {
    let mut latin = entry("<title>\u{0}</title>").into_bytes();
    let at = latin.iter().position(|byte| *byte == 0).unwrap();
    latin[at] = 0xE1;
    for chunk in [1, usize::MAX] {
        let feed = parse_in_chunks(&latin, chunk).await.unwrap();
        assert_eq!(feed.entries[0].title, "\u{FFFD}");
        assert_eq!(feed.defects[0].kind, DefectKind::Repaired);
    }
}

#[tokio::test]
async fn document_type_is_refused_before_it_is_expanded() {
    let bomb = (1..10)
        .map(|n| format!("<!ENTITY e{n} '{}'>", format!("&e{};", n - 1).repeat(10)))
        .collect::<Vec<_>>()
        .concat();
    let used = entry("<title>&e9;</title>");
    let doctype = |subset: &str| format!("<!DOCTYPE feed {subset}>{used}");
    assert_refused(&[
        (
            "a bomb",
            doctype(&format!("[<!ENTITY e0 'ha'>{bomb}]")),
            "Doctype",
        ),
        (
            "a file",
            doctype("[<!ENTITY e9 SYSTEM 'file:///etc/passwd'>]"),
            "Doctype",
        ),
        (
            "an address",
            doctype("[<!ENTITY e9 SYSTEM 'http://127.0.0.1:1/'>]"),
            "Doctype",
        ),
        (
            "a parameter",
            doctype("[<!ENTITY % p SYSTEM 'http://127.0.0.1:1/'> %p;]"),
            "Doctype",
        ),
        (
            "a definition elsewhere",
            doctype("SYSTEM 'http://127.0.0.1:1/feed.dtd'"),
            "Doctype",
        ),
        ("in small letters", format!("<!doctype feed>{used}"), "Doctype"),
        (
            "after the start",
            feed("<!DOCTYPE feed [<!ENTITY e9 'x'>]>"),
            "Doctype",
        ),
        (
            "one that never ends",
            format!("<!DOCTYPE feed [{}", "<!ENTITY a 'b'>".repeat(100_000)),
            "TooLarge",
        ),
    ])
    .await;
}

/// Far above what any of these takes on a busy machine, and far below what they take where work grows faster than length.
const TIMEOUT: std::time::Duration = std::time::Duration::from_mins(1);

#[tokio::test]
async fn expensive_document_is_cheap_to_refuse() {
    let bindings = |count: usize| {
        (0..count)
            .map(|n| format!(" xmlns:p{n}='urn:{n}'"))
            .collect::<Vec<_>>()
            .concat()
    };
    let attributes = (0..80_000)
        .map(|n| format!(" a{n}='1'"))
        .collect::<Vec<_>>()
        .concat();
    let many = |piece: &str| piece.repeat(MAX_BODY / 2 / piece.len());
    let cases = [
        ("tiny entries", feed(&many("<entry/>")), true),
        (
            "entries of nothing but names",
            feed(&many("<entry><author><name>x</name></author></entry>")),
            true,
        ),
        ("tiny elements", feed(&many("<x/>")), false),
        ("empty comments", feed(&many("<!---->")), false),
        ("instructions", feed(&many("<?x?>")), false),
        (
            "characters by number elsewhere",
            feed(&format!("<x>{}</x>", many("&#65;"))),
            false,
        ),
        (
            "texts elsewhere",
            feed(&format!("<x>{}</x>", many("x<!---->"))),
            false,
        ),
        ("attributes", feed(&format!("<x{attributes}/>")), false),
        (
            "a hundred namespaces",
            feed(&format!("<x{}>{}</x>", bindings(100), many("<y/>"))),
            false,
        ),
        (
            "thousands of namespaces",
            feed(&format!("<x{}>{}</x>", bindings(40_000), many("<y/>"))),
            false,
        ),
        ("open elements", feed(&many("<x>")), false),
        (
            "a title of many pieces",
            feed(&format!("<entry><title>{}", many("x<![CDATA[y]]>"))),
            false,
        ),
        ("opening brackets", many("<"), false),
        (
            "a prefix of many colons",
            feed(&format!("<{}/>", "a:".repeat(400_000))),
            false,
        ),
    ];
    for (what, document, is_read) in cases {
        let read = tokio::time::timeout(TIMEOUT, parse_all(document.as_bytes())).await;
        let read = read.unwrap_or_else(|_| panic!("{what} takes too long"));
        assert_eq!(
            read.is_ok(),
            is_read,
            "{what}: {:?}",
            read.map(|feed| feed.entries.len())
        );
    }
}

#[tokio::test]
async fn total_is_refused_when_it_is_no_number_that_fits() {
    let total = |total: &str| {
        format!(
            r#"<feed xmlns="{ATOM}" xmlns:o="{OPENSEARCH}"><o:totalResults>{total}</o:totalResults></feed>"#
        )
    };
    for (text, expected) in [
        ("0", Some(0)),
        (" 30000\n", Some(30_000)),
        ("4294967295", Some(u32::MAX)),
        ("4294967296", None),
        ("18446744073709551617", None),
        (&"9".repeat(60_000), None),
        ("1e3", None),
        ("0x10", None),
        ("1 000", None),
        ("1.0", None),
        ("\u{661}", None),
        ("NaN", None),
    ] {
        let read = parse_all(total(text).as_bytes())
            .await
            .ok()
            .map(|feed| feed.total);
        assert_eq!(read, expected, "{text:.20}");
    }
}

#[tokio::test]
async fn control_character_is_never_part_of_a_text() {
    for code in (0..0x20).chain([0xFFFE, 0xFFFF]) {
        let Some(character) = char::from_u32(code) else {
            continue;
        };
        let is_space = ['\t', '\n', '\r'].contains(&character);
        for written in [
            character.to_string(),
            format!("&#{code};"),
            format!("<![CDATA[{character}]]>"),
        ] {
            let read = parse_all(entry(&format!("<title>a{written}b</title>")).as_bytes()).await;
            let title = read.ok().map(|mut feed| feed.entries.remove(0).title);
            let expected = if is_space { "a b" } else { "a\u{FFFD}b" };
            assert_eq!(title.as_deref(), Some(expected), "{written:?}");
        }
    }
}
