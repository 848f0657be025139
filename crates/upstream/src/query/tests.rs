use super::*;

mod dates;

fn title(value: &str) -> ArxivSearch {
    ArxivSearch {
        title: Some(value.into()),
        ..ArxivSearch::default()
    }
}

fn spec(search: &ArxivSearch) -> ArxivQuerySpec {
    ArxivQuerySpec {
        search: search.clone(),
        ..ArxivQuerySpec::default()
    }
}

fn validate(search: &ArxivSearch) -> Result<ValidatedSearch, SpecError> {
    ValidatedQuery::try_from(&spec(search)).map(|query| query.search)
}

#[test]
fn invalid_search_is_refused_with_its_error() {
    let field = "title";
    let long = "x".repeat(MAX_WORDS_CHARS + 1);
    let cases = [
        (ArxivSearch::default(), SpecError::NoField),
        (title(""), SpecError::Blank(field)),
        (title(" \u{3000} "), SpecError::Blank(field)),
        (title("\n"), SpecError::Blank(field)),
        (title(&long), SpecError::TooLong(field)),
        (title("a\nb"), SpecError::ControlCharacter(field)),
        (title("a\0b"), SpecError::ControlCharacter(field)),
        (title("a\u{85}b"), SpecError::ControlCharacter(field)),
        (title("\"\""), SpecError::NothingToSearch(field)),
        (title("(:)"), SpecError::NothingToSearch(field)),
        (title("+ - !"), SpecError::NothingToSearch(field)),
        // A good field does not make up for a bad one.
        (
            ArxivSearch {
                author: Some(" ".into()),
                ..title("x")
            },
            SpecError::Blank("author"),
        ),
    ];
    for (search, error) in cases {
        assert_eq!(validate(&search), Err(error), "{search:?}");
    }
}

#[test]
fn length_of_a_value_is_counted_in_characters() {
    assert!(validate(&title(&"ű".repeat(MAX_WORDS_CHARS))).is_ok());
}

#[test]
fn fields_are_joined_in_a_fixed_order() {
    let search = ArxivSearch {
        author: Some("a".into()),
        title: Some("b OR c".into()),
        journal: Some("d e".into()),
        ..ArxivSearch::default()
    };
    assert_eq!(
        validate(&search).unwrap().search_query(),
        "au:a AND (ti:b OR ti:c) AND jr:d AND jr:e"
    );
}

#[test]
fn key_differs_for_searches_with_different_results() {
    let key = |search: ArxivSearch| validate(&search).unwrap().key().to_owned();
    assert_eq!(key(title("  deep   learning ")), key(title("deep learning")));
    assert_eq!(key(title("deep AND learning")), key(title("deep learning")));
    assert_ne!(key(title("\"deep learning\"")), key(title("deep learning")));
    assert_ne!(
        key(title("x")),
        key(ArxivSearch {
            author: Some("x".into()),
            ..ArxivSearch::default()
        })
    );
    assert_ne!(
        key(title("x")),
        key(ArxivSearch {
            sort_by: SortBy::SubmittedDate,
            ..title("x")
        })
    );
    assert_ne!(
        key(ArxivSearch {
            sort_order: SortOrder::Ascending,
            ..title("x")
        }),
        key(ArxivSearch {
            sort_order: SortOrder::Descending,
            ..title("x")
        })
    );
}

#[test]
fn every_word_has_the_prefix_of_its_field() {
    type Set = fn(&mut ArxivSearch, String);
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
            let mut search = ArxivSearch::default();
            set(&mut search, typed.to_owned());
            let validated = match validate(&search) {
                Ok(validated) => validated,
                Err(error) => {
                    assert_eq!((typed, error), ("(((", SpecError::NothingToSearch(field)));
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
    let ids = |ids: &[&str]| ArxivSearch {
        id_list: Some(ids.iter().map(|id| (*id).to_owned()).collect()),
        ..ArxivSearch::default()
    };
    let first = ids(&[
        "arXiv:2401.01234",
        "https://arxiv.org/abs/2401.01234",
        "math.GT/0309136",
    ]);
    let first = validate(&first).unwrap();
    assert_eq!(
        (first.search_query(), first.id_list()),
        ("", "2401.01234,math/0309136")
    );
    assert_eq!(first.display_query(), "id_list=2401.01234,math/0309136");
    let same = validate(&ids(&["2401.01234", "math/0309136"])).unwrap();
    assert_eq!(first.key(), same.key());
    let turned = validate(&ids(&["math/0309136", "2401.01234"])).unwrap();
    assert_ne!(
        first.key(),
        turned.key(),
        "arXiv answers in the order of the list"
    );
    let both = ArxivSearch {
        title: Some("x".into()),
        ..ids(&["2401.01234"])
    };
    assert_eq!(
        validate(&both).unwrap().display_query(),
        "ti:x&id_list=2401.01234"
    );

    let refused = [
        (ids(&["2401.01234", "x"]), SpecError::NoIdentifier(1)),
        (ids(&[""]), SpecError::NoIdentifier(0)),
        (
            ids(&[&format!(
                "https://arxiv.org/abs/2401.01234?{}",
                "x".repeat(MAX_ID_CHARS)
            )]),
            SpecError::NoIdentifier(0),
        ),
        (ids(&vec!["2401.01234"; MAX_IDS + 1]), SpecError::TooManyIds),
    ];
    for (search, error) in refused {
        assert_eq!(validate(&search), Err(error));
    }
}

fn knuth() -> ArxivQuerySpec {
    spec(&ArxivSearch {
        author: Some("knuth".into()),
        ..ArxivSearch::default()
    })
}

#[test]
fn invalid_spec_has_one_error_that_names_its_field() {
    type Change = fn(&mut ArxivQuerySpec);
    let cases: [(&str, Change, Option<&str>); 17] = [
        ("no field", |s| s.search.author = None, None),
        (
            "blank",
            |s| s.search.author = Some("\u{3000} ".into()),
            Some("author"),
        ),
        (
            "separators only",
            |s| s.search.title = Some("():".into()),
            Some("title"),
        ),
        (
            "too long",
            |s| s.search.title = Some("x".repeat(513)),
            Some("title"),
        ),
        (
            "control character",
            |s| s.search.comment = Some("a\u{7}b".into()),
            Some("comment"),
        ),
        (
            "blank report number",
            |s| s.search.report_number = Some(" ".into()),
            Some("reportNumber"),
        ),
        (
            "blank abstract",
            |s| s.search.abstract_text = Some(" ".into()),
            Some("abstract"),
        ),
        (
            "no identifier",
            |s| s.search.id_list = Some(vec!["x".into()]),
            Some("idList"),
        ),
        (
            "too many identifiers",
            |s| s.search.id_list = Some(vec!["x".into(); 501]),
            Some("idList"),
        ),
        (
            "no date",
            |s| s.search.submitted_after = Some("yesterday".into()),
            Some("submittedAfter"),
        ),
        (
            "no date of papers",
            |s| s.search.submitted_before = Some("1600-01-01T00:00:00Z".into()),
            Some("submittedBefore"),
        ),
        (
            "dates out of order",
            |s| {
                s.search.submitted_after = Some("2024-01-02T00:00:00Z".into());
                s.search.submitted_before = Some("2024-01-01T00:00:00Z".into());
            },
            None,
        ),
        (
            "too long a date",
            |s| s.search.submitted_after = Some(format!("2024-01-01T00:00:00Z{}", " ".repeat(60))),
            Some("submittedAfter"),
        ),
        ("no results", |s| s.max_results = 0, Some("maxResults")),
        ("too many results", |s| s.max_results = 30_001, Some("maxResults")),
        ("negative start", |s| s.start = -1, Some("start")),
        ("start too far", |s| s.start = 30_001, Some("start")),
    ];
    for (name, change, field) in cases {
        let mut spec = knuth();
        change(&mut spec);
        let problems = problems(&spec);
        assert_eq!(problems.len(), 1, "{name}: {problems:?}");
        assert_eq!(problems[0].field(), field, "{name}");
        let text = problems[0].to_string();
        assert!(field.is_none_or(|field| text.contains(field)), "{name}: {text}");
        assert_eq!(
            ValidatedQuery::try_from(&spec),
            Err(problems[0].clone()),
            "{name}"
        );
    }
}

#[test]
fn valid_spec_is_the_search_that_it_says() {
    let spec = ArxivQuerySpec {
        search: ArxivSearch {
            id_list: Some(vec!["arXiv:2401.01234".into()]),
            submitted_after: Some("2024-01-01T00:00:00+02:00".into()),
            sort_by: SortBy::SubmittedDate,
            sort_order: SortOrder::Ascending,
            ..knuth().search
        },
        start: 7,
        ..ArxivQuerySpec::default()
    };
    let query = ValidatedQuery::try_from(&spec).unwrap();
    assert_eq!((query.start, query.max_results), (7, 8));
    assert_eq!(
        query.search.key(),
        "au:knuth AND submittedDate:[202312312200 TO 219912312359] idList=2401.01234 sortBy=submittedDate \
         sortOrder=ascending"
    );
    assert_eq!(problems(&spec), []);
}

#[test]
fn every_invalid_field_is_reported_and_no_missing_field() {
    let spec = spec(&ArxivSearch {
        author: Some(" ".into()),
        journal: Some("()".into()),
        id_list: Some(vec!["2401.01234".into(), "x".into()]),
        submitted_before: Some("tomorrow".into()),
        ..ArxivSearch::default()
    });
    assert_eq!(
        problems(&spec),
        [
            SpecError::NotADate("submittedBefore"),
            SpecError::Blank("author"),
            SpecError::NothingToSearch("journal"),
            SpecError::NoIdentifier(1),
        ]
    );
}

#[test]
fn every_field_of_words_is_searched_for_with_its_own_prefix() {
    let mut names = Vec::new();
    for field in SEARCH_FIELDS {
        let Kind::Words(prefix, access) = &field.kind else {
            continue;
        };
        let mut search = ArxivSearch::default();
        *(access.get_mut)(&mut search) = Some("x".into());
        let sent = validate(&search).unwrap().search_query().to_owned();
        assert_eq!(sent, format!("{prefix}:x"), "{}", field.name);
        names.push(field.name);
    }
    let all = [
        "author",
        "title",
        "journal",
        "abstract",
        "category",
        "comment",
        "reportNumber",
        "all",
    ];
    assert_eq!(names, all);
}
