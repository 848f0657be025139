use super::*;

fn title(value: &str) -> Search {
    Search {
        title: Some(value.into()),
        ..Search::default()
    }
}

#[test]
fn invalid_search_is_refused_with_its_error() {
    let field = "title";
    let long = "x".repeat(MAX_VALUE_CHARS + 1);
    let cases = [
        (Search::default(), SearchError::NoField),
        (title(""), SearchError::Blank { field }),
        (title(" \u{3000} "), SearchError::Blank { field }),
        (title("\n"), SearchError::Blank { field }),
        (title(&long), SearchError::TooLong { field }),
        (title("a\nb"), SearchError::ControlCharacter { field }),
        (title("a\0b"), SearchError::ControlCharacter { field }),
        (title("a\u{85}b"), SearchError::ControlCharacter { field }),
        (title("\"\""), SearchError::NothingToSearch { field }),
        (title("(:)"), SearchError::NothingToSearch { field }),
        (title("+ - !"), SearchError::NothingToSearch { field }),
        // A good field does not make up for a bad one.
        (
            Search {
                author: Some(" ".into()),
                ..title("x")
            },
            SearchError::Blank { field: "author" },
        ),
    ];
    for (search, error) in cases {
        assert_eq!(search.validate(), Err(error), "{search:?}");
    }
}

#[test]
fn length_of_a_value_is_counted_in_characters() {
    assert!(title(&"ű".repeat(MAX_VALUE_CHARS)).validate().is_ok());
}

#[test]
fn fields_are_joined_in_a_fixed_order() {
    let search = Search {
        author: Some("a".into()),
        title: Some("b OR c".into()),
        journal: Some("d e".into()),
        ..Search::default()
    };
    assert_eq!(
        search.validate().unwrap().search_query(),
        "au:a AND (ti:b OR ti:c) AND jr:d AND jr:e"
    );
}

#[test]
fn key_differs_for_searches_with_different_results() {
    let key = |search: Search| search.validate().unwrap().key().to_owned();
    assert_eq!(key(title("  deep   learning ")), key(title("deep learning")));
    assert_eq!(key(title("deep AND learning")), key(title("deep learning")));
    assert_ne!(key(title("\"deep learning\"")), key(title("deep learning")));
    assert_ne!(
        key(title("x")),
        key(Search {
            author: Some("x".into()),
            ..Search::default()
        })
    );
    assert_ne!(
        key(title("x")),
        key(Search {
            sort_by: Some(SortBy::SubmittedDate),
            ..title("x")
        })
    );
    assert_ne!(
        key(Search {
            sort_order: Some(SortOrder::Ascending),
            ..title("x")
        }),
        key(Search {
            sort_order: Some(SortOrder::Descending),
            ..title("x")
        })
    );
}

#[test]
fn every_word_has_the_prefix_of_its_field() {
    type Set = fn(&mut Search, String);
    let fields: [(&str, &str, Set); 8] = [
        ("author", "au", |s, v| s.author = Some(v)),
        ("title", "ti", |s, v| s.title = Some(v)),
        ("journal", "jr", |s, v| s.journal = Some(v)),
        ("abstract", "abs", |s, v| s.abstract_text = Some(v)),
        ("category", "cat", |s, v| s.category = Some(v)),
        ("comment", "co", |s, v| s.comment = Some(v)),
        ("reportNumber", "rn", |s, v| s.report_number = Some(v)),
        ("all", "all", |s, v| s.all = Some(v)),
    ];
    let attempts = [
        "x",
        "au:x",
        "x) OR au:y",
        "x\" OR au:\"y",
        "x AND",
        "OR x",
        "submittedDate:[190001010000 TO 219912312359]",
        "x&id_list=2401.01234",
        "x\\\" ANDNOT ti:y",
        "(((",
        "cs.LG OR math.GT",
        "x idList=1 sortBy=relevance sortOrder=",
    ];
    for (field, prefix, set) in fields {
        for typed in attempts {
            let mut search = Search::default();
            set(&mut search, typed.to_owned());
            let validated = match search.validate() {
                Ok(validated) => validated,
                Err(error) => {
                    assert_eq!((typed, error), ("(((", SearchError::NothingToSearch { field }));
                    continue;
                }
            };
            // Outside of quotes, each term begins with this field's prefix, and there is no other colon.
            let outside: String = validated.search_query().split('"').step_by(2).collect();
            for term in outside.split([' ', '(', ')']).filter(|term| !term.is_empty()) {
                let operator = ["AND", "OR", "ANDNOT"].contains(&term);
                let rest = term.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(':'));
                assert!(
                    operator || rest.is_some_and(|rest| !rest.contains([':', '[', ']'])),
                    "{field} {typed:?}: {}",
                    validated.search_query()
                );
            }
            assert_eq!(validated.id_list(), "", "{field} {typed:?}");
            let mut alone = validated.search_query().to_owned();
            alone.push_str(" idList= sortBy= sortOrder=");
            assert_eq!(validated.key(), alone, "{field} {typed:?}");
        }
    }
}

#[test]
fn identifiers_are_part_of_the_search_in_their_short_form() {
    let ids = |ids: &[&str]| Search {
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..Search::default()
    };
    let first = ids(&[
        "arXiv:2401.01234",
        "https://arxiv.org/abs/2401.01234",
        "math.GT/0309136",
    ]);
    let first = first.validate().unwrap();
    assert_eq!(
        (first.search_query(), first.id_list()),
        ("", "2401.01234,math/0309136")
    );
    assert_eq!(first.display_query(), "id_list=2401.01234,math/0309136");
    let same = ids(&["2401.01234", "math/0309136"]).validate().unwrap();
    assert_eq!(first.key(), same.key());
    let turned = ids(&["math/0309136", "2401.01234"]).validate().unwrap();
    assert_ne!(
        first.key(),
        turned.key(),
        "arXiv answers in the order of the list"
    );
    let both = Search {
        title: Some("x".into()),
        ..ids(&["2401.01234"])
    };
    assert_eq!(
        both.validate().unwrap().display_query(),
        "ti:x&id_list=2401.01234"
    );

    let refused = [
        (ids(&["2401.01234", "x"]), SearchError::NoIdentifier { place: 2 }),
        (ids(&[""]), SearchError::NoIdentifier { place: 1 }),
        (ids(&vec!["2401.01234"; MAX_IDS + 1]), SearchError::TooManyIds),
    ];
    for (search, error) in refused {
        assert_eq!(search.validate(), Err(error));
    }
}

#[test]
fn dates_of_submission_are_sent_in_the_documented_form() {
    let dated = |after: Option<&str>, before: Option<&str>| Search {
        submitted_after: after.map(|date| date.parse().unwrap()),
        submitted_before: before.map(|date| date.parse().unwrap()),
        ..title("x")
    };
    let (after, before) = ("submittedAfter", "submittedBefore");
    let cases = [
        (None, None, Ok("ti:x")),
        (
            Some("2023-01-01T06:00:00Z"),
            Some("2024-01-01T06:00:59+00:00"),
            Ok("ti:x AND submittedDate:[202301010600 TO 202401010600]"),
        ),
        (
            Some("2023-01-01T00:30:00+02:00"),
            None,
            Ok("ti:x AND submittedDate:[202212312230 TO 219912312359]"),
        ),
        (
            None,
            Some("2024-02-29T12:00:00Z"),
            Ok("ti:x AND submittedDate:[190001010000 TO 202402291200]"),
        ),
        (
            Some("2024-01-01T00:00:00Z"),
            Some("2024-01-01T00:00:00Z"),
            Err(SearchError::DatesOutOfOrder),
        ),
        (
            Some("1899-12-31T23:59:59Z"),
            None,
            Err(SearchError::NoDateOfPapers { field: after }),
        ),
        (
            None,
            Some("2200-01-01T00:00:00Z"),
            Err(SearchError::NoDateOfPapers { field: before }),
        ),
    ];
    for (after, before, expected) in cases {
        let got = dated(after, before).validate();
        let got = got.as_ref().map(ValidatedSearch::search_query);
        assert_eq!(got, expected.as_ref().copied(), "{after:?} {before:?}");
    }
    let only_dates = Search {
        title: None,
        ..dated(Some("2023-01-01T06:00:00Z"), None)
    };
    assert_eq!(only_dates.validate(), Err(SearchError::NoField));
}
