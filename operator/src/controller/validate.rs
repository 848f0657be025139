//! Step 1: the raw spec becomes a search that can be sent. Needs no client.
//!
//! The schema refuses most bad specs already. What comes through (an object from before a stricter schema, a value of
//! nothing but separators) ends here, so that no later step can fail on input.

use arxiv::{MAX_RESULTS, Search, SortBy, SortOrder, ValidatedSearch};
use crd::{ArxivQuery, ArxivQuerySpec, Reason};
use jiff::Timestamp;

use storage::FailureRecord;

/// A search with its range.
#[derive(Clone, Debug)]
pub(crate) struct Validated {
    pub(crate) search: ValidatedSearch,
    pub(crate) start: u32,
    pub(crate) max_results: u32,
}

/// The search, or why there is none.
pub(crate) fn validate(object: &ArxivQuery) -> Result<Validated, FailureRecord> {
    let spec = &object.spec;
    let max_results =
        in_range(spec.max_results, 1).ok_or_else(|| invalid("maxResults must be 1 to 30000"))?;
    let start = in_range(spec.start, 0).ok_or_else(|| invalid("start must be 0 to 30000"))?;
    let search = search(spec)?
        .validate()
        .map_err(|error| invalid(&error.to_string()))?;
    Ok(Validated {
        search,
        start,
        max_results,
    })
}

fn in_range(value: i32, least: u32) -> Option<u32> {
    u32::try_from(value)
        .ok()
        .filter(|value| (least..=MAX_RESULTS).contains(value))
}

fn search(spec: &ArxivQuerySpec) -> Result<Search, FailureRecord> {
    let date = |field: &str, text: Option<&String>| {
        text.map(|text| text.parse::<Timestamp>())
            .transpose()
            .map_err(|_| {
                invalid(&format!(
                    "{field} must be a date and time, as 2024-01-31T00:00:00Z"
                ))
            })
    };
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
        submitted_after: date("submittedAfter", spec.submitted_after.as_ref())?,
        submitted_before: date("submittedBefore", spec.submitted_before.as_ref())?,
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

fn invalid(message: &str) -> FailureRecord {
    FailureRecord {
        reason: Reason::InvalidSearch.as_str().to_owned(),
        message: message.to_owned(),
        http_status: Some(400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_that_cannot_be_sent_is_refused_with_its_reason() {
        type Change = fn(&mut ArxivQuerySpec);
        let cases: [(&str, Change, Option<&str>); 13] = [
            ("good", |_| {}, None),
            ("no field", |s| s.author = None, Some("search parameter")),
            ("blank", |s| s.author = Some("\u{3000} ".into()), Some("author")),
            ("separators only", |s| s.title = Some("():".into()), Some("title")),
            ("too long", |s| s.title = Some("x".repeat(513)), Some("title")),
            (
                "control character",
                |s| s.comment = Some("a\u{7}b".into()),
                Some("comment"),
            ),
            (
                "no identifier",
                |s| s.id_list = Some(vec!["x".into()]),
                Some("idList"),
            ),
            (
                "no date",
                |s| s.submitted_after = Some("yesterday".into()),
                Some("submittedAfter"),
            ),
            (
                "a date",
                |s| s.submitted_after = Some("2024-01-01T00:00:00+02:00".into()),
                None,
            ),
            ("no results", |s| s.max_results = 0, Some("maxResults")),
            ("too many results", |s| s.max_results = 30_001, Some("maxResults")),
            ("negative start", |s| s.start = -1, Some("start")),
            ("start too far", |s| s.start = 30_001, Some("start")),
        ];
        for (name, change, expected) in cases {
            let mut spec = ArxivQuerySpec {
                author: Some("knuth".into()),
                max_results: 8,
                ..Default::default()
            };
            change(&mut spec);
            let got = validate(&ArxivQuery::new("q", spec)).err();
            match (got, expected) {
                (None, None) => {}
                (Some(failure), Some(part)) => {
                    assert!(failure.message.contains(part), "{name}: {}", failure.message);
                    assert_eq!(
                        (failure.reason.as_str(), failure.http_status),
                        ("InvalidSearch", Some(400)),
                        "{name}"
                    );
                }
                (got, expected) => panic!("{name}: {got:?} instead of {expected:?}"),
            }
        }
    }
}
