//! The query builder.

use arxiv::{MAX_VALUE_CHARS, PageRequest, Search, SortBy, SortOrder};
use url::Url;

/// Where searches are sent.
const BASE: &str = "https://export.arxiv.org/api/query";

/// A search, whose fields are the lines of a text: it is refused with a reason, or asked for in a URL that says it and
/// nothing else, in which each field's words stay in their field.
pub fn search(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text
        .split('\n')
        .map(|line| Some(line.to_owned()).filter(|line| !line.is_empty()));
    let mut search = Search {
        author: lines.next().flatten(),
        title: lines.next().flatten(),
        journal: lines.next().flatten(),
        ..Search::default()
    };
    search.sort_by = (input.len() % 2 == 1).then_some(SortBy::SubmittedDate);
    search.sort_order = (input.len() % 3 == 1).then_some(SortOrder::Ascending);
    let validated = match search.validate() {
        Ok(validated) => validated,
        Err(error) => {
            let told = error.to_string();
            assert!(
                !told.chars().any(char::is_control) && told.len() < 200,
                "{told:?}"
            );
            return;
        }
    };
    let mut clauses = Vec::new();
    for (prefix, value) in [
        ("au", &search.author),
        ("ti", &search.title),
        ("jr", &search.journal),
    ] {
        let Some(value) = value else { continue };
        assert!(value.chars().count() <= MAX_VALUE_CHARS);
        let clause = alone(prefix, value);
        assert_stays_in_field(prefix, value, &clause);
        clauses.push(clause);
    }
    // What one field holds changes nothing about another one.
    assert_eq!(validated.search_query(), clauses.join(" AND "));
    assert!(validated.search_query().len() <= 16 * text.len() + 64);
    assert!(!validated.key().chars().any(char::is_control));
    assert!(validated.key().starts_with(validated.search_query()));

    let base = Url::parse(BASE).unwrap();
    let request = PageRequest {
        search: validated.clone(),
        start: 4,
        count: 8,
    };
    let mut url = request.url(&base);
    let mut expected = vec![
        ("search_query", validated.search_query()),
        ("start", "4"),
        ("max_results", "8"),
    ];
    expected.extend(search.sort_by.map(|by| ("sortBy", by.as_str())));
    expected.extend(search.sort_order.map(|order| ("sortOrder", order.as_str())));
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(pairs, expected, "{url}");
    assert_eq!(Url::parse(url.as_str()).as_ref(), Ok(&url));
    url.set_query(None);
    assert_eq!(url.as_str(), BASE);
}

/// What is sent for one field alone.
fn alone(prefix: &str, value: &str) -> String {
    let only = |field: &str| (field == prefix).then(|| value.to_owned());
    let search = Search {
        author: only("au"),
        title: only("ti"),
        journal: only("jr"),
        ..Search::default()
    };
    search.validate().unwrap().search_query().to_owned()
}

/// Reads a clause as strictly as can be: terms of one field, operators between them, parentheses in pairs. A clause
/// with other operators than AND stands in parentheses, so that it can be joined to others by AND.
fn assert_stays_in_field(prefix: &str, typed: &str, sent: &str) {
    let context = || format!("{typed:?} became {sent:?}");
    let mut rest = sent;
    let mut depth = 0_usize;
    let mut operand_expected = true;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('(') {
            assert!(operand_expected, "{}", context());
            depth += 1;
            rest = after;
        } else if let Some(after) = rest.strip_prefix(')') {
            assert!(!operand_expected && depth > 0, "{}", context());
            depth -= 1;
            rest = after;
        } else if let Some(after) = rest.strip_prefix(" AND ") {
            assert!(!operand_expected, "{}", context());
            operand_expected = true;
            rest = after;
        } else if let Some(after) = [" OR ", " ANDNOT "]
            .iter()
            .find_map(|link| rest.strip_prefix(link))
        {
            assert!(!operand_expected && depth > 0, "{}", context());
            operand_expected = true;
            rest = after;
        } else {
            assert!(operand_expected, "{}", context());
            operand_expected = false;
            let term = rest.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(':'));
            rest = after_term(term.unwrap_or_else(|| panic!("{}", context())), &context);
        }
    }
    assert!(!operand_expected && depth == 0, "{}", context());
}

/// What follows a word or phrase.
fn after_term<'a>(term: &'a str, context: &impl Fn() -> String) -> &'a str {
    if let Some(phrase) = term.strip_prefix('"') {
        let (inside, after) = phrase.split_once('"').unwrap_or_else(|| panic!("{}", context()));
        assert!(
            !inside.contains([':', '\\', '(', ')']) && !inside.trim().is_empty(),
            "{}",
            context()
        );
        return after;
    }
    let end = term.find([' ', ')']).unwrap_or(term.len());
    let (word, after) = term.split_at(end);
    let meaningful = [
        ':', '\\', '"', '(', '+', '!', '{', '}', '[', ']', '^', '~', '/', '|',
    ];
    assert!(!word.is_empty() && !word.starts_with('-'), "{}", context());
    assert!(
        !word.contains(meaningful) && !word.contains("&&"),
        "{}",
        context()
    );
    assert!(
        !["AND", "OR", "ANDNOT", "NOT", "TO"].contains(&word),
        "{}",
        context()
    );
    after
}
