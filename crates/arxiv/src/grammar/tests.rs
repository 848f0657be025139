use super::*;

/// What was typed for the title, and what is sent for it.
const CASES: &[(&str, &str)] = &[
    // Words.
    ("deep", "ti:deep"),
    ("deep learning", "ti:deep AND ti:learning"),
    ("  deep \u{3000} learning ", "ti:deep AND ti:learning"),
    ("Árvíztűrő tükörfúrógép", "ti:Árvíztűrő AND ti:tükörfúrógép"),
    ("O'Neil", "ti:O'Neil"),
    ("AT&T", "ti:AT&T"),
    ("100%", "ti:100%"),
    ("C#", "ti:C#"),
    ("a;b", "ti:a;b"),
    ("graph*", "ti:graph*"),
    ("co-operate", "ti:co-operate"),
    ("😀", "ti:😀"),
    ("and or not", "ti:and AND ti:or AND ti:not"),
    // Words that would mean something.
    ("C++", "ti:\"C++\""),
    ("-spin", "ti:\"-spin\""),
    ("a/b?c", "ti:\"a/b?c\""),
    ("a&&b", "ti:\"a&&b\""),
    ("a||b", "ti:\"a||b\""),
    ("[1 TO 2]", "ti:\"[1\" AND ti:\"TO\" AND ti:\"2]\""),
    ("x^2", "ti:\"x^2\""),
    ("NOT a", "ti:\"NOT\" AND ti:a"),
    // Punctuation alone is no word.
    ("a + b", "ti:a AND ti:b"),
    ("a & b", "ti:a AND ti:b"),
    ("a OR + b", "(ti:a OR ti:b)"),
    // Phrases.
    ("\"deep learning\"", "ti:\"deep learning\""),
    ("\" deep   learning \"", "ti:\"deep learning\""),
    ("a \"b c\" d", "ti:a AND ti:\"b c\" AND ti:d"),
    ("a\"b\"c", "ti:a AND ti:\"b\" AND ti:c"),
    ("\"salt AND pepper\"", "ti:\"salt AND pepper\""),
    ("\"C++ (2nd ed.)\"", "ti:\"C++ 2nd ed.\""),
    ("a \"\" b", "ti:a AND ti:b"),
    ("\"a:b\\\"", "ti:\"a b\""),
    // Operators and parentheses.
    ("a AND b", "ti:a AND ti:b"),
    ("a OR b", "(ti:a OR ti:b)"),
    ("a ANDNOT b", "(ti:a ANDNOT ti:b)"),
    ("a OR \"b c\"", "(ti:a OR ti:\"b c\")"),
    ("a AND b OR c", "(ti:a AND ti:b OR ti:c)"),
    (
        "deep learning OR vision",
        "((ti:deep AND ti:learning) OR ti:vision)",
    ),
    ("(a OR b) AND c", "(ti:a OR ti:b) AND ti:c"),
    ("(a OR b) c", "(ti:a OR ti:b) AND ti:c"),
    ("a(b OR c)", "ti:a AND (ti:b OR ti:c)"),
    ("((a OR b))", "(ti:a OR ti:b)"),
    ("(((a)))", "ti:a"),
    ("(a b)", "ti:a AND ti:b"),
    (
        "a AND (b ANDNOT (c OR d))",
        "ti:a AND (ti:b ANDNOT (ti:c OR ti:d))",
    ),
    // Not well-formed: plain words.
    ("a AND", "ti:a AND ti:\"AND\""),
    ("OR b", "ti:\"OR\" AND ti:b"),
    ("a AND OR b", "ti:a AND ti:\"AND\" AND ti:\"OR\" AND ti:b"),
    ("ANDNOT", "ti:\"ANDNOT\""),
    ("(a OR b", "ti:a AND ti:\"OR\" AND ti:b"),
    ("a OR b)", "ti:a AND ti:\"OR\" AND ti:b"),
    (")a(", "ti:a"),
    ("a ()", "ti:a"),
    ("(a OR)", "ti:a AND ti:\"OR\""),
    ("\"a b", "ti:a AND ti:b"),
    ("a \"b c\" \"d", "ti:a AND ti:b AND ti:c AND ti:d"),
    ("a\\", "ti:a"),
    // Attempts to leave the field.
    ("au:b", "ti:au AND ti:b"),
    ("x\" AND au:evil", "ti:x AND ti:\"AND\" AND ti:au AND ti:evil"),
    ("x\" OR au:\"evil", "ti:x AND ti:\"OR au\" AND ti:evil"),
    ("x) OR (au:evil", "ti:x AND ti:\"OR\" AND ti:au AND ti:evil"),
    ("x OR au:evil", "(ti:x OR (ti:au AND ti:evil))"),
    ("x\\\" OR au:evil", "ti:x AND ti:\"OR\" AND ti:au AND ti:evil"),
    ("x&author=evil", "ti:x&author=evil"),
    (
        "submittedDate:[20200101 TO 20210101]",
        "ti:submittedDate AND ti:\"[20200101\" AND ti:\"TO\" AND ti:\"20210101]\"",
    ),
];

#[test]
fn value_becomes_a_clause() {
    for (typed, sent) in CASES {
        assert_eq!(clause("ti", typed).as_deref(), Some(*sent), "{typed}");
    }
}

#[test]
fn value_of_punctuation_alone_has_no_clause() {
    for typed in [
        "", "\"", "\"\"", "()", ":", "\\", "+", "- ! ?", "\"...\"", "(\"+\")",
    ] {
        assert_eq!(clause("ti", typed), None, "{typed}");
    }
}

/// Reads a clause as strictly as can be: terms of the field `ti`, operators between them, parentheses in
/// pairs.
fn assert_stays_in_field(typed: &str, sent: &str) {
    let context = format!("{typed:?} became {sent:?}");
    let mut rest = sent;
    let mut depth = 0_i32;
    let mut operand_expected = true;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('(') {
            assert!(operand_expected, "{context}");
            depth += 1;
            rest = after;
        } else if let Some(after) = rest.strip_prefix(')') {
            assert!(!operand_expected, "{context}");
            depth -= 1;
            assert!(depth >= 0, "{context}");
            rest = after;
        } else if let Some(after) = [" AND ", " OR ", " ANDNOT "]
            .iter()
            .find_map(|operator| rest.strip_prefix(operator))
        {
            assert!(!operand_expected, "{context}");
            operand_expected = true;
            rest = after;
        } else {
            assert!(operand_expected, "{context}");
            operand_expected = false;
            let term = rest.strip_prefix("ti:").unwrap_or_else(|| panic!("{context}"));
            rest = if let Some(quoted) = term.strip_prefix('"') {
                let end = quoted.find('"').unwrap_or_else(|| panic!("{context}"));
                let phrase = &quoted[..end];
                assert!(
                    !phrase.is_empty() && !phrase.contains([':', '\\', '(', ')']),
                    "{context}"
                );
                &quoted[end + 1..]
            } else {
                let end = term.find([' ', ')']).unwrap_or(term.len());
                let word = &term[..end];
                let special = [':', '\\', '(', '"', '+', '!', '[', ']', '^', '~', '/'];
                assert!(
                    !word.is_empty() && !word.starts_with('-') && !word.contains(special),
                    "{context}"
                );
                assert!(!["AND", "OR", "ANDNOT", "NOT", "TO"].contains(&word), "{context}");
                &term[end..]
            };
        }
    }
    assert!(depth == 0 && !operand_expected, "{context}");
}

#[test]
fn value_never_leaves_its_field() {
    for (typed, sent) in CASES {
        assert_stays_in_field(
            typed,
            &clause("ti", typed).unwrap_or_else(|| panic!("{typed} -> {sent}")),
        );
    }
    // Every sequence of up to four of these pieces.
    let pieces = [
        "a", " ", "\"", "(", ")", ":", "\\", "AND", " OR ", " ANDNOT ", "au:x", "+", "-",
    ];
    let mut values = vec![String::new()];
    let mut from = 0;
    for _ in 0..4 {
        let to = values.len();
        for index in from..to {
            for piece in pieces {
                values.push(format!("{}{piece}", values[index]));
            }
        }
        from = to;
    }
    assert!(values.len() > 30_000);
    for value in values {
        if let Some(sent) = clause("ti", &value) {
            assert_stays_in_field(&value, &sent);
        }
    }
}

#[test]
fn deepest_value_is_accepted() {
    let typed = format!("{}a OR b{}", "(".repeat(250), ")".repeat(250));
    assert_eq!(clause("ti", &typed).as_deref(), Some("(ti:a OR ti:b)"));
}

#[test]
fn category_is_sent_in_arxivs_case() {
    for (value, clause_text) in [
        ("MATH.co", "cat:math.CO"),
        ("math.co OR CS.lg", "(cat:math.CO OR cat:cs.LG)"),
        ("\"Cond-Mat.Soft\"", "cat:\"cond-mat.soft\""),
        ("math.*", "cat:math.*"),
        ("MATH.co AND HEP-TH", "cat:math.CO AND cat:hep-th"),
    ] {
        assert_eq!(clause("cat", value).as_deref(), Some(clause_text), "{value}");
    }
    assert_eq!(clause("ti", "MATH.co").as_deref(), Some("ti:MATH.co"));
}
