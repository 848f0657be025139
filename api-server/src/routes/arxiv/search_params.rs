//! The parameters of /arxiv and /arxiv-api: a search and how many papers of it.

use arxiv::{MAX_RESULTS, MAX_VALUE_CHARS, Search, SearchError, ValidatedSearch};
use service::logs::Call;

use crate::error::{ApiError, Code};
use wire::{
    declared::{Param, ParamKind},
    field_error::FieldError,
    json::Json,
    params::{ParamReader, loc},
    query::{QueryString, QueryValue},
};

const VALUE: ParamKind = ParamKind::Text {
    most: MAX_VALUE_CHARS,
};
const AUTHOR: Param = Param::new("author", VALUE, "knuth", "Words of authors' names.");
const TITLE: Param = Param::new(
    "title",
    VALUE,
    "\"literate programming\"",
    "Words of the title; words in quotes are a phrase.",
);
const JOURNAL: Param = Param::new(
    "journal",
    VALUE,
    "Phys Rev",
    "Words of the reference to the journal.",
);
const MAX_RESULTS_WANTED: Param = Param::new(
    "max_results",
    ParamKind::Integer(1..=MAX_RESULTS as i64),
    "3",
    "How many papers are wanted at most.",
);

/// What a caller searches for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SearchParams {
    /// The fields as they were typed.
    pub(crate) search: Search,
    /// The same, checked.
    pub(crate) validated: ValidatedSearch,
    /// Papers wanted: 1 to 30,000.
    pub(crate) max_results: u32,
    /// The same, where the caller says it.
    pub(crate) given_max_results: Option<u32>,
}

impl SearchParams {
    pub(crate) const DECLARED: &'static [Param] = &[AUTHOR, TITLE, JOURNAL, MAX_RESULTS_WANTED];

    /// Reads and checks the query. All that is wrong with a parameter's form is told at once.
    pub(crate) fn read(query: &QueryString, default_max_results: u32) -> Result<Self, ApiError> {
        let mut reader = ParamReader::new(query);
        let search = Search {
            author: field(&mut reader, query, &AUTHOR),
            title: field(&mut reader, query, &TITLE),
            journal: field(&mut reader, query, &JOURNAL),
            ..Search::default()
        };
        let max_results = reader.integer(&MAX_RESULTS_WANTED);
        reader.finish()?;
        let validated = search.validate().map_err(|error| match error {
            SearchError::NoField => ApiError::bad_parameter("At least one search parameter must be provided"),
            other => ApiError::new(Code::SearchRefused, other.to_string()),
        })?;
        // The reader let nothing pass that does not fit.
        let given_max_results = max_results.and_then(|n| u32::try_from(n).ok());
        Ok(Self {
            search,
            validated,
            max_results: given_max_results.unwrap_or(default_max_results),
            given_max_results,
        })
    }

    /// These parameters as the log shows them; the journal, which few ask for, only when it is given.
    pub(crate) fn call(&self, function: &'static str) -> Call {
        let call = Call::new(function)
            .arg("author", self.search.author.as_deref())
            .arg("title", self.search.title.as_deref());
        let call = match self.search.journal.as_deref() {
            Some(journal) => call.arg("journal", journal),
            None => call,
        };
        call.arg("max_results", self.max_results)
    }
}

/// A search field; what is wrong with it alone is noted.
fn field(reader: &mut ParamReader<'_>, query: &QueryString, param: &Param) -> Option<String> {
    let name = param.name;
    let QueryValue { text, is_unicode } = query.last(name)?;
    let loc = loc(name);
    if text.is_empty() {
        reader.note(FieldError::empty_string(&loc));
    } else if text.chars().count() > MAX_VALUE_CHARS {
        reader.note(FieldError::long_string(&loc, MAX_VALUE_CHARS, text));
    } else if !is_unicode {
        reader.note(FieldError::not_unicode(&loc, text));
    } else if let Err(error) = alone(name, text).validate() {
        reader.note(FieldError::unfit(&loc, error, Json::from(text.as_str())));
    }
    Some(text.clone())
}

/// A search with just one field, by its name in the spec, to learn what is wrong with that field whatever the others hold.
pub(crate) fn alone(name: &str, text: &str) -> Search {
    let only = |field: &str| (field == name).then(|| text.to_owned());
    Search {
        author: only("author"),
        title: only("title"),
        journal: only("journal"),
        abstract_text: only("abstract"),
        category: only("category"),
        comment: only("comment"),
        report_number: only("reportNumber"),
        all: only("all"),
        ..Search::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(raw: &str) -> Result<SearchParams, (u16, Value)> {
        SearchParams::read(&QueryString::parse(Some(raw)), 8)
            .map_err(|error| (error.status().as_u16(), error.body()["detail"].clone()))
    }

    #[test]
    fn a_search_is_read() {
        let params = read("author=a&title=b+c&max_results=3&foo=bar").unwrap();
        assert_eq!(params.search.author.as_deref(), Some("a"));
        assert_eq!(params.search.title.as_deref(), Some("b c"));
        assert_eq!(params.search.journal, None);
        assert_eq!(params.max_results, 3);
        assert_eq!(read("title=b").unwrap().max_results, 8);
        assert_eq!(
            params.call("search").to_string(),
            r#"search(author="a", title="b c", max_results=3)"#
        );
    }

    #[test]
    fn none_of_the_fields_is_400() {
        for raw in ["", "max_results=3", "Title=a", "foo=bar"] {
            let expected = json!("At least one search parameter must be provided");
            assert_eq!(read(raw).unwrap_err(), (400, expected), "{raw}");
        }
    }

    #[test]
    fn everything_wrong_is_told_in_order() {
        let long = "x".repeat(513);
        let (status, detail) = read(&format!("max_results=0&journal=%20&title={long}&author=")).unwrap_err();
        assert_eq!(status, 422);
        let problems: Vec<_> = detail
            .as_array()
            .unwrap()
            .iter()
            .map(|p| (&p["type"], &p["loc"][1]))
            .collect();
        assert_eq!(
            problems,
            [
                (&json!("string_too_short"), &json!("author")),
                (&json!("string_too_long"), &json!("title")),
                (&json!("value_error"), &json!("journal")),
                (&json!("greater_than_equal"), &json!("max_results")),
            ]
        );
        assert_eq!(detail[1]["ctx"], json!({"max_length": 512}));
    }

    #[test]
    fn values_that_cannot_be_searched_are_422() {
        let accented = "%C3%A9".repeat(512);
        assert!(
            read(&format!("author={accented}")).is_ok(),
            "512 characters, not bytes"
        );
        let bad = [
            "author=&title=x",
            "author=%20",
            "author=%C2%A0",
            "author=%E3%80%80",
            "title=a%0Ab",
            "title=a%00b",
            "title=a%7Fb",
            "author=%ff%fe",
            "title=x&max_results=30001",
            "title=x&max_results=-1",
            "title=x&max_results=99999999999999999999",
            "title=x&max_results=",
            "title=()",
        ];
        for raw in bad {
            assert_eq!(read(raw).unwrap_err().0, 422, "{raw}");
        }
    }
}
