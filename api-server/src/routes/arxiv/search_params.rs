//! The parameters of /arxiv and /arxiv-api: a search and how many papers of it.

use arxiv::ValidatedSearch;
use crd::{
    ArxivQuerySpec,
    fields::{self, Field, Kind, MAX_RESULTS, MAX_WORDS_CHARS},
};
use service::logs::Call;
use upstream::{SpecError, ValidatedQuery, problems};

use crate::error::{ApiError, Code};
use wire::{
    declared::{Param, ParamKind},
    params::ParamReader,
    query::QueryString,
};

/// The search fields that the existing service has.
pub(crate) const FIELDS: [&Field; 3] = [&fields::AUTHOR, &fields::TITLE, &fields::JOURNAL];

pub(crate) const MAX_RESULTS_WANTED: Param = Param::new(
    "max_results",
    ParamKind::Integer(1..=MAX_RESULTS as i64),
    fields::RESULTS.example,
    fields::RESULTS.about,
);

const fn param(field: &Field) -> Param {
    Param::new(
        field.name,
        ParamKind::Text(MAX_WORDS_CHARS),
        field.example,
        field.about,
    )
}

/// The search that a caller asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SearchParams {
    /// As the caller typed it, with our default for `maxResults`.
    pub(crate) spec: ArxivQuerySpec,
    /// The same, checked.
    pub(crate) validated: ValidatedSearch,
    /// The most papers: 1 to 30,000.
    pub(crate) max_results: u32,
}

impl SearchParams {
    pub(crate) const DECLARED: &'static [Param] = &[
        param(FIELDS[0]),
        param(FIELDS[1]),
        param(FIELDS[2]),
        MAX_RESULTS_WANTED,
    ];

    /// Reads and checks the query. Everything that is wrong with a parameter's form is reported at once, in the order of
    /// their declaration.
    pub(crate) fn read(query: &QueryString, default_max_results: u32) -> Result<Self, ApiError> {
        let mut reader = ParamReader::new(query);
        let mut spec = ArxivQuerySpec {
            max_results: i32::try_from(default_max_results).unwrap_or(MAX_RESULTS),
            ..ArxivQuerySpec::default()
        };
        for (field, param) in FIELDS.into_iter().zip(Self::DECLARED) {
            let (Some(text), Kind::Words(_, access)) = (reader.text(param), &field.kind) else {
                continue;
            };
            *(access.get_mut)(&mut spec.search) = Some(text.to_owned());
            let error = problems(&spec)
                .into_iter()
                .find(|error| error.field() == Some(field.name));
            if let Some(error) = error {
                reader.unfit(param, error, text);
            }
        }
        if let Some(max_results) = reader.integer(&MAX_RESULTS_WANTED) {
            spec.max_results = i32::try_from(max_results).unwrap_or(MAX_RESULTS);
        }
        reader.finish()?;
        let query = ValidatedQuery::try_from(&spec).map_err(|error| match error {
            SpecError::NoField => ApiError::bad_parameter("At least one search parameter must be provided"),
            other => ApiError::new(Code::SearchRefused, other.to_string()),
        })?;
        Ok(Self {
            spec,
            validated: query.search,
            max_results: query.max_results,
        })
    }

    /// These parameters as the log shows them; the journal, which is rare, only if there is one.
    pub(crate) fn call(&self, function: &'static str) -> Call {
        let call = Call::new(function)
            .arg("author", self.spec.search.author.as_deref())
            .arg("title", self.spec.search.title.as_deref());
        let call = match self.spec.search.journal.as_deref() {
            Some(journal) => call.arg("journal", journal),
            None => call,
        };
        call.arg("max_results", self.max_results)
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
    fn search_is_read_from_its_params() {
        let params = read("author=a&title=b+c&max_results=3&foo=bar").unwrap();
        assert_eq!(params.spec.search.author.as_deref(), Some("a"));
        assert_eq!(params.spec.search.title.as_deref(), Some("b c"));
        assert_eq!(params.spec.search.journal, None);
        assert_eq!(params.max_results, 3);
        assert_eq!(read("title=b").unwrap().max_results, 8);
        assert_eq!(
            params.call("search").to_string(),
            r#"search(author="a", title="b c", max_results=3)"#
        );
    }

    #[test]
    fn search_without_a_field_is_400() {
        for raw in ["", "max_results=3", "Title=a", "foo=bar"] {
            let expected = json!("At least one search parameter must be provided");
            assert_eq!(read(raw).unwrap_err(), (400, expected), "{raw}");
        }
    }

    #[test]
    fn all_errors_are_reported_in_order() {
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
