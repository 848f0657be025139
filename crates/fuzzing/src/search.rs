//! The query builder.

use arxiv::{PageRequest, ValidatedSearch};
use crd::{
    ArxivQuerySpec, ArxivSearch, SEARCH_FIELDS, SortBy, SortOrder,
    fields::{Access, Kind, MAX_WORDS_CHARS},
};
use upstream::{ValidatedQuery, problems};
use url::Url;

/// Where searches are sent.
const BASE: &str = "https://export.arxiv.org/api/query";

/// The prefixes of the fields of words, in the order of their lines.
fn words() -> impl Iterator<Item = (&'static str, &'static Access<String>)> {
    SEARCH_FIELDS.iter().filter_map(|field| match &field.kind {
        Kind::Words(prefix, access) => Some((*prefix, access)),
        _ => None,
    })
}

/// A search, whose parts are the lines of a text: the fields, a date or two with `/` between them,
/// identifiers. It is refused with a reason, or sent in a URL that says it and nothing else, in which each
/// field's words stay in their field.
pub fn search(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.split('\n');
    let mut search = ArxivSearch::default();
    for ((_, access), line) in words().zip(&mut lines) {
        *(access.get_mut)(&mut search) = (!line.is_empty()).then(|| line.to_owned());
    }
    let mut dates = lines.next().unwrap_or_default().split('/');
    let mut date = || dates.next().filter(|date| !date.is_empty()).map(str::to_owned);
    (search.submitted_after, search.submitted_before) = (date(), date());
    search.updated_after = date();
    search.id_list = Some(lines.map(str::to_owned).collect());
    if input.len() % 2 == 1 {
        search.sort_by = SortBy::SubmittedDate;
    }
    if input.len() % 3 == 1 {
        search.sort_order = SortOrder::Ascending;
    }
    let spec = with(search);
    let search = &spec.search;
    let validated = match ValidatedQuery::try_from(&spec) {
        Ok(query) => query.search,
        Err(error) => {
            let problems = problems(&spec);
            assert_eq!(problems.first(), Some(&error));
            for text in problems.iter().map(ToString::to_string) {
                assert!(
                    !text.chars().any(char::is_control) && text.len() < 200,
                    "{text:?}"
                );
            }
            return;
        }
    };
    let mut clauses = Vec::new();
    for (prefix, access) in words() {
        let Some(value) = (access.get)(search) else {
            continue;
        };
        assert!(value.chars().count() <= MAX_WORDS_CHARS);
        let mut only = ArxivSearch::default();
        *(access.get_mut)(&mut only) = Some(value.clone());
        let clause = ValidatedQuery::try_from(&with(only))
            .unwrap()
            .search
            .search_query()
            .to_owned();
        assert_stays_in_field(prefix, value, &clause);
        clauses.push(clause);
    }
    // The value of one field changes nothing about another field.
    let words = clauses.join(" AND ");
    let rest = validated.search_query().strip_prefix(&words).unwrap();
    assert_is_date_clause(rest.strip_prefix(" AND ").unwrap_or(rest));
    assert_eq!(
        rest.is_empty(),
        search
            .submitted_after
            .as_ref()
            .or(search.submitted_before.as_ref())
            .is_none()
    );
    assert!(validated.search_query().len() <= 16 * text.len() + 128);
    assert!(!validated.key().chars().any(char::is_control));
    assert!(validated.key().starts_with(validated.search_query()));
    assert_are_identifiers(validated.id_list());
    assert_says(&validated, search);
}

fn with(search: ArxivSearch) -> ArxivQuerySpec {
    ArxivQuerySpec {
        search,
        ..ArxivQuerySpec::default()
    }
}

/// `submittedDate:[202301010600 TO 202401010600]`, or nothing.
fn assert_is_date_clause(clause: &str) {
    if clause.is_empty() {
        return;
    }
    let dates = clause
        .strip_prefix("submittedDate:[")
        .and_then(|rest| rest.strip_suffix(']'));
    let (after, before) = dates.and_then(|dates| dates.split_once(" TO ")).unwrap();
    for date in [after, before] {
        assert!(
            date.len() == 12 && date.bytes().all(|b| b.is_ascii_digit()),
            "{clause:?}"
        );
    }
    assert!(after <= before, "{clause:?}");
}

/// Identifiers in their short form, which is valid again.
fn assert_are_identifiers(list: &str) {
    for id in list.split(',').filter(|_| !list.is_empty()) {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '/');
        assert!(!id.is_empty() && id.chars().all(known), "{list:?}");
        let again = ArxivSearch {
            id_list: Some(vec![id.to_owned()]),
            ..ArxivSearch::default()
        };
        assert_eq!(
            ValidatedQuery::try_from(&with(again)).unwrap().search.id_list(),
            id
        );
    }
}

/// The URL says what is searched for, and nothing else.
fn assert_says(validated: &ValidatedSearch, search: &ArxivSearch) {
    let request = PageRequest {
        search: validated.clone(),
        start: 4,
        count: 8,
    };
    let mut url = request.url(&Url::parse(BASE).unwrap());
    let parts = [
        ("search_query", validated.search_query()),
        ("id_list", validated.id_list()),
    ];
    let mut expected: Vec<_> = parts.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    assert!(!expected.is_empty());
    expected.extend([("start", "4"), ("max_results", "8")]);
    let order = match (search.sort_by, search.sort_order) {
        (SortBy::Relevance, SortOrder::Descending) => None,
        (SortBy::Relevance, _) => Some(("relevance", "ascending")),
        (_, SortOrder::Descending) => Some(("submittedDate", "descending")),
        (_, SortOrder::Ascending) => Some(("submittedDate", "ascending")),
    };
    let order = order.map(|(by, order)| [("sortBy", by), ("sortOrder", order)]);
    expected.extend(order.into_iter().flatten());
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

/// Reads a clause as strictly as can be: terms of one field, operators between them, parentheses in pairs. A
/// clause with other operators than AND is in parentheses, so that it can be joined to others by AND.
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
