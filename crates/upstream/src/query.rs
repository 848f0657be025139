//! From the spec of an `ArxivQuery` to a search that can be sent: the conversion that both binaries use.
//!
//! The schema refuses most bad specs already. The rest (an object from before a stricter schema, a value of
//! nothing but separators) ends here, so that no later step can fail on input.

use arxiv::{Search, SearchError, SortBy, SortOrder, ValidatedSearch};
use crd::{
    ArxivQuerySpec,
    fields::{self, Field, Kind, MAX_DATE_CHARS},
};
use jiff::Timestamp;

// The definition and the client of arXiv have the same bounds.
const _: () = assert!(fields::MAX_WORDS_CHARS == arxiv::MAX_VALUE_CHARS);
const _: () = assert!(fields::MAX_IDS == arxiv::MAX_IDS);
const _: () = assert!(fields::MAX_ID_CHARS == arxiv::MAX_ID_CHARS);
const _: () = assert!(fields::MAX_RESULTS.cast_unsigned() == arxiv::MAX_RESULTS);

/// A search that can be sent, with its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedQuery {
    /// What to search for.
    pub search: ValidatedSearch,
    /// The number of papers to skip.
    pub start: u32,
    /// The most papers to fetch.
    pub max_results: u32,
}

/// Why a spec is not a search that can be sent. The text is meant for the user who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A number is outside its range.
    #[error("{field} must be {least} to {most}")]
    OutOfRange {
        /// The field's name in the spec.
        field: &'static str,
        /// The lowest value.
        least: i64,
        /// The highest value.
        most: i64,
    },
    /// A date cannot be parsed.
    #[error("{field} must be a date and time, as 2024-01-31T00:00:00Z")]
    NotADate {
        /// The field's name in the spec.
        field: &'static str,
    },
    /// The search itself is invalid.
    #[error(transparent)]
    Search(#[from] SearchError),
}

impl SpecError {
    /// The field's name in the spec; none if the error is about the search as a whole.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::OutOfRange { field, .. } | Self::NotADate { field } => Some(field),
            Self::Search(error) => error.field(),
        }
    }

    /// The position of the invalid entry in a list, from 0.
    pub fn index(&self) -> Option<usize> {
        match self {
            Self::Search(SearchError::NoIdentifier { place }) => place.checked_sub(1),
            Self::OutOfRange { .. } | Self::NotADate { .. } | Self::Search(_) => None,
        }
    }
}

impl TryFrom<&ArxivQuerySpec> for ValidatedQuery {
    type Error = SpecError;

    fn try_from(spec: &ArxivQuerySpec) -> Result<Self, SpecError> {
        Ok(Self {
            max_results: in_range(&fields::RESULTS, spec.max_results)?,
            start: in_range(&fields::START, spec.start)?,
            search: search(spec)?.validate()?,
        })
    }
}

/// Everything that is wrong with a spec, one error for each field. An error of the search as a whole is the
/// last one, and is left out where an invalid field may be its cause.
pub fn problems(spec: &ArxivQuerySpec) -> Vec<SpecError> {
    let mut rest = spec.clone();
    let mut problems = Vec::new();
    while let Err(error) = ValidatedQuery::try_from(&rest) {
        let field = error.field().and_then(fields::field);
        if field.is_some() || problems.is_empty() {
            problems.push(error);
        }
        // The next round finds what is wrong with the other fields.
        if !field.is_some_and(|field| field.clear(&mut rest)) {
            break;
        }
    }
    problems
}

fn in_range(field: &Field, value: i32) -> Result<u32, SpecError> {
    let (least, most) = match &field.kind {
        Kind::Integer(range) => (*range.start(), *range.end()),
        Kind::Words(_) | Kind::Identifiers(_) | Kind::Date(_) | Kind::OneOf(_) | Kind::Boolean => (0, 0),
    };
    let fits = (least..=most).contains(&i64::from(value));
    let value = u32::try_from(value).ok().filter(|_| fits);
    value.ok_or(SpecError::OutOfRange {
        field: field.name,
        least,
        most,
    })
}

fn search(spec: &ArxivQuerySpec) -> Result<Search, SpecError> {
    Ok(Search {
        author: spec.author.clone(),
        title: spec.title.clone(),
        journal: spec.journal.clone(),
        abstract_text: spec.abstract_text.clone(),
        category: spec.category.clone(),
        comment: spec.comment.clone(),
        report_number: spec.report_number.clone(),
        all: spec.all.clone(),
        ids: spec.id_list.clone().unwrap_or_default(),
        submitted_after: date(&fields::SUBMITTED_AFTER, spec.submitted_after.as_deref())?,
        submitted_before: date(&fields::SUBMITTED_BEFORE, spec.submitted_before.as_deref())?,
        sort_by: spec.sort_by.map(|by| match by {
            crd::SortBy::Relevance => SortBy::Relevance,
            crd::SortBy::LastUpdatedDate => SortBy::LastUpdatedDate,
            crd::SortBy::SubmittedDate => SortBy::SubmittedDate,
        }),
        sort_order: spec.sort_order.map(|order| match order {
            crd::SortOrder::Ascending => SortOrder::Ascending,
            crd::SortOrder::Descending => SortOrder::Descending,
        }),
    })
}

fn date(field: &Field, text: Option<&str>) -> Result<Option<Timestamp>, SpecError> {
    let parse = |text: &str| {
        let date = text.parse().ok().filter(|_| text.len() <= MAX_DATE_CHARS);
        date.ok_or(SpecError::NotADate { field: field.name })
    };
    text.map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use crd::FIELDS;

    use super::*;

    fn knuth() -> ArxivQuerySpec {
        ArxivQuerySpec {
            author: Some("knuth".into()),
            max_results: 8,
            ..Default::default()
        }
    }

    #[test]
    fn invalid_spec_has_one_error_that_names_its_field() {
        type Change = fn(&mut ArxivQuerySpec);
        let cases: [(&str, Change, Option<&str>); 17] = [
            ("no field", |s| s.author = None, None),
            ("blank", |s| s.author = Some("\u{3000} ".into()), Some("author")),
            ("separators only", |s| s.title = Some("():".into()), Some("title")),
            ("too long", |s| s.title = Some("x".repeat(513)), Some("title")),
            (
                "control character",
                |s| s.comment = Some("a\u{7}b".into()),
                Some("comment"),
            ),
            (
                "blank report number",
                |s| s.report_number = Some(" ".into()),
                Some("reportNumber"),
            ),
            (
                "blank abstract",
                |s| s.abstract_text = Some(" ".into()),
                Some("abstract"),
            ),
            (
                "no identifier",
                |s| s.id_list = Some(vec!["x".into()]),
                Some("idList"),
            ),
            (
                "too many identifiers",
                |s| s.id_list = Some(vec!["x".into(); 501]),
                Some("idList"),
            ),
            (
                "no date",
                |s| s.submitted_after = Some("yesterday".into()),
                Some("submittedAfter"),
            ),
            (
                "no date of papers",
                |s| s.submitted_before = Some("1600-01-01T00:00:00Z".into()),
                Some("submittedBefore"),
            ),
            (
                "dates out of order",
                |s| {
                    s.submitted_after = Some("2024-01-02T00:00:00Z".into());
                    s.submitted_before = Some("2024-01-01T00:00:00Z".into());
                },
                None,
            ),
            (
                "too long a date",
                |s| s.submitted_after = Some(format!("2024-01-01T00:00:00Z{}", " ".repeat(60))),
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
            id_list: Some(vec!["arXiv:2401.01234".into()]),
            submitted_after: Some("2024-01-01T00:00:00+02:00".into()),
            sort_by: Some(crd::SortBy::SubmittedDate),
            sort_order: Some(crd::SortOrder::Ascending),
            start: 7,
            ..knuth()
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
        let spec = ArxivQuerySpec {
            author: Some(" ".into()),
            journal: Some("()".into()),
            id_list: Some(vec!["2401.01234".into(), "x".into()]),
            submitted_before: Some("tomorrow".into()),
            ..knuth()
        };
        let problems: Vec<_> = problems(&spec)
            .iter()
            .map(|error| (error.field(), error.index()))
            .collect();
        assert_eq!(
            problems,
            [
                (Some("submittedBefore"), None),
                (Some("author"), None),
                (Some("journal"), None),
                (Some("idList"), Some(1))
            ]
        );
    }

    #[test]
    fn every_field_of_words_is_searched_for_with_its_own_prefix() {
        let rows = FIELDS.iter().filter_map(|field| match &field.kind {
            Kind::Words(access) => Some((field.name, access)),
            _ => None,
        });
        let mut names = Vec::new();
        for (name, access) in rows {
            let mut spec = ArxivQuerySpec {
                author: None,
                ..knuth()
            };
            *(access.get_mut)(&mut spec) = Some("x".into());
            let sent = ValidatedQuery::try_from(&spec)
                .unwrap()
                .search
                .search_query()
                .to_owned();
            let prefix = arxiv::FIELDS.iter().find(|(field, _)| *field == name).unwrap().1;
            assert_eq!(sent, format!("{prefix}:x"), "{name}");
            names.push(name);
        }
        assert_eq!(names, arxiv::FIELDS.map(|(name, _)| name));
    }
}
