//! The parameters of /arxiv and /arxiv-api: a search and how many papers of it.

use arxiv::ValidatedSearch;
use crd::{
    ArxivQuerySpec, SEARCH_FIELDS, SortBy, SortOrder,
    fields::{self, Field, Kind, MAX_DATE_CHARS, MAX_RESULTS, MAX_WORDS_CHARS},
};
use jiff::Timestamp;
use paper::typed_ids;
use service::logs::Call;
use upstream::{SpecError, ValidatedQuery, problems};

use crate::error::{ApiError, Code};
use wire::{
    dates::hint,
    declared::{Param, ParamKind},
    field_error::{FieldError, FieldErrors},
    params::{ParamReader, loc},
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
/// Of a list of identifiers as one parameter; servers accept some 8,000 characters of an address.
const MAX_LIST_CHARS: usize = 8000;

/// A field under its name in this API.
const fn param(field: &Field) -> Param {
    let name = match field.member {
        Some(name) => name,
        None => field.name,
    };
    let kind = match field.kind {
        Kind::OneOf(words) => ParamKind::OneOf(words),
        Kind::Identifiers(_) => ParamKind::Text(MAX_LIST_CHARS),
        Kind::Date(_) => ParamKind::Text(MAX_DATE_CHARS),
        _ => ParamKind::Text(MAX_WORDS_CHARS),
    };
    Param::new(name, kind, field.example, field.about)
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
    /// Papers whose last version is older are left out.
    pub(crate) updated_after: Option<Timestamp>,
}

impl SearchParams {
    /// Those of the existing service first.
    pub(crate) const DECLARED: &'static [Param] = &[
        param(FIELDS[0]),
        param(FIELDS[1]),
        param(FIELDS[2]),
        MAX_RESULTS_WANTED,
        param(&fields::ABSTRACT),
        param(&fields::CATEGORY),
        param(&fields::COMMENT),
        param(&fields::REPORT_NUMBER),
        param(&fields::ALL),
        param(&fields::ID_LIST),
        param(&fields::SUBMITTED_AFTER),
        param(&fields::SUBMITTED_BEFORE),
        param(&fields::SORT_BY),
        param(&fields::SORT_ORDER),
        // After the order, which it needs.
        param(&fields::UPDATED_AFTER),
    ];

    /// Reads and checks the query. Everything that is wrong with a parameter's form is reported at once, in the order of
    /// their declaration.
    pub(crate) fn read(query: &QueryString, default_max_results: u32) -> Result<Self, ApiError> {
        let mut reader = ParamReader::new(query);
        let mut spec = ArxivQuerySpec {
            max_results: i32::try_from(default_max_results).unwrap_or(MAX_RESULTS),
            ..ArxivQuerySpec::default()
        };
        for param in Self::DECLARED {
            match field_of(param) {
                Some(field) => read_field(&mut reader, &mut spec, field, param),
                None => {
                    if let Some(max_results) = reader.integer(param) {
                        spec.max_results = i32::try_from(max_results).unwrap_or(MAX_RESULTS);
                    }
                }
            }
        }
        reader.finish()?;
        let query = ValidatedQuery::try_from(&spec).map_err(|error| match error {
            SpecError::NoField => ApiError::bad_parameter("At least one search parameter must be provided"),
            SpecError::DatesOutOfOrder => {
                let after = spec.search.submitted_after.as_deref().unwrap_or_default();
                FieldErrors::from(FieldError::unfit(&loc("submitted_after"), error, after)).into()
            }
            other => ApiError::new(Code::SearchRefused, other.to_string()),
        })?;
        Ok(Self {
            spec,
            validated: query.search,
            max_results: query.max_results,
            updated_after: query.updated_after,
        })
    }

    /// These parameters as the log shows them; the journal, which is rare, only if there is one.
    pub(crate) fn call(&self, function: &'static str) -> Call {
        let call = Call::new(function)
            .arg("author", self.spec.search.author.as_deref())
            .arg("title", self.spec.search.title.as_deref());
        // The others, which are rare, only if they are there.
        let others = SEARCH_FIELDS
            .iter()
            .filter(|field| !["author", "title"].contains(&field.name));
        let call = others.fold(call, |call, field| {
            match (field.member, field.text(&self.spec.search)) {
                (Some(name), Some(text)) => call.arg(name, &*text),
                _ => call,
            }
        });
        call.arg("max_results", self.max_results)
    }
}

/// The search field that a parameter is.
fn field_of(param: &Param) -> Option<&'static Field> {
    SEARCH_FIELDS
        .iter()
        .find(|field| field.member == Some(param.name))
}

/// Reads one search field into the spec; what is wrong with it is noted.
fn read_field(reader: &mut ParamReader<'_>, spec: &mut ArxivQuerySpec, field: &Field, param: &Param) {
    let Some(text) = reader.text(param) else { return };
    match &field.kind {
        Kind::Words(_, access) | Kind::Date(access) => {
            *(access.get_mut)(&mut spec.search) = Some(text.to_owned());
        }
        Kind::Identifiers(access) => {
            let ids = typed_ids(text).into_iter().map(str::to_owned);
            *(access.get_mut)(&mut spec.search) = Some(ids.collect());
        }
        Kind::OneOf(words) => {
            // arXiv itself spells them with a small first letter.
            let is_meant = |word: &str| word.eq_ignore_ascii_case(text);
            let by = SortBy::ALL.iter().find(|by| is_meant(by.as_str()));
            let order = SortOrder::ALL.iter().find(|order| is_meant(order.as_str()));
            match (field.name == fields::SORT_BY.name, by, order) {
                (true, Some(by), _) => spec.search.sort_by = *by,
                (false, _, Some(order)) => spec.search.sort_order = *order,
                _ => reader.note(FieldError::none_of(&loc(param.name), words, text)),
            }
            return;
        }
        // No search field is of this kind.
        Kind::Integer(_) | Kind::Boolean | Kind::Name => return,
    }
    let error = problems(spec)
        .into_iter()
        .find(|error| error.field() == Some(field.name));
    if let Some(error) = error {
        let hint = if matches!(error, SpecError::NotADate(_)) {
            hint(text)
        } else {
            ""
        };
        reader.unfit(param, format!("{error}{hint}"), text);
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
    fn every_search_field_is_a_parameter() {
        let declared: Vec<_> = SearchParams::DECLARED.iter().filter_map(field_of).collect();
        assert_eq!(declared.len(), SearchParams::DECLARED.len() - 1);
        for field in SEARCH_FIELDS.iter().filter(|field| field.member.is_some()) {
            assert!(
                declared.iter().any(|declared| declared.name == field.name),
                "{}",
                field.name
            );
        }
        let raw = "abstract=a&category=math.co&comment=c&report_number=r&all=x\
                   &id_list=2401.01234,%20arXiv:hep-th/9901001v2%20[hep-th]\
                   &submitted_after=2024-01-01&submitted_before=2024-02-01T12:00:00.000Z&sort_by=submittedDate\
                   &sort_order=Ascending";
        let SearchParams { spec, validated, .. } = read(raw).unwrap();
        let written = serde_json::to_value(&spec.search).unwrap();
        let expected = json!({"abstract": "a", "category": "math.co", "comment": "c", "reportNumber": "r", "all": "x",
            "idList": ["2401.01234", "arXiv:hep-th/9901001v2 [hep-th]"], "submittedAfter": "2024-01-01",
            "submittedBefore": "2024-02-01T12:00:00.000Z", "sortBy": "SubmittedDate", "sortOrder": "Ascending"});
        assert_eq!(written, expected);
        let sent = format!("{validated:?}");
        for part in [
            "202401010000 TO 202402011200",
            "2401.01234,hep-th/9901001v2",
            "submittedDate",
            "cat:math.CO",
        ] {
            assert!(sent.contains(part), "{part}: {sent}");
        }
    }

    #[test]
    fn date_of_the_update_is_read_with_its_order() {
        let params = read("title=x&updated_after=2024-01-31&sort_by=LastUpdatedDate").unwrap();
        assert_eq!(
            params.updated_after,
            Some("2024-01-31T00:00:00Z".parse().unwrap())
        );
        let (status, detail) = read("title=x&updated_after=2024-01-31").unwrap_err();
        assert_eq!((status, &detail[0]["loc"][1]), (422, &json!("updated_after")));
    }

    #[test]
    fn invalid_value_of_a_further_field_is_an_error_at_its_parameter() {
        for (raw, kind, name) in [
            (
                "title=x&submitted_after=yesterday",
                "value_error",
                "submitted_after",
            ),
            (
                "title=x&submitted_after=1711843200000",
                "value_error",
                "submitted_after",
            ),
            (
                "title=x&submitted_before=1066-01-01",
                "value_error",
                "submitted_before",
            ),
            (
                "title=x&submitted_after=2024-01-02&submitted_before=2024-01-01",
                "value_error",
                "submitted_after",
            ),
            ("title=x&submitted_after=", "string_too_short", "submitted_after"),
            ("id_list=x", "value_error", "id_list"),
            ("category=", "string_too_short", "category"),
            ("abstract=()", "value_error", "abstract"),
            ("title=x&sort_by=date", "literal_error", "sort_by"),
            ("title=x&sort_order=up", "literal_error", "sort_order"),
        ] {
            let (status, detail) = read(raw).unwrap_err();
            assert_eq!(status, 422, "{raw}: {detail}");
            assert_eq!(
                (&detail[0]["type"], &detail[0]["loc"][1]),
                (&json!(kind), &json!(name)),
                "{raw}"
            );
        }
        let (_, detail) = read("title=x&submitted_after=1711843200000").unwrap_err();
        assert!(
            detail[0]["msg"].as_str().unwrap().contains("milliseconds"),
            "{detail}"
        );
        let (_, detail) = read("title=x&submitted_after=2024-01-01T00:00:00+02:00").unwrap_err();
        assert!(detail[0]["msg"].as_str().unwrap().contains("%2B"), "{detail}");
        // Dates alone are no search.
        assert_eq!(read("submitted_after=2024-01-01").unwrap_err().0, 400);
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
