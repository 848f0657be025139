//! Step 1: the raw spec becomes a search that can be sent. Needs no client.
//!
//! The schema refuses most bad specs already. What comes through (an object from before a stricter schema, a value of
//! nothing but separators) ends here, so that no later step can fail on input.

use arxiv::{MAX_RESULTS, Search, SortBy, SortOrder, ValidatedSearch};
use crd::{ArxivQuery, ArxivQuerySpec};
use jiff::Timestamp;

use crate::decide::Verdict;

/// A search with its range.
#[derive(Clone, Debug)]
pub(crate) struct Validated {
    pub(crate) search: ValidatedSearch,
    pub(crate) start: u32,
    pub(crate) max_results: u32,
}

/// The search, or why there is none.
pub(crate) fn validate(object: &ArxivQuery) -> Result<Validated, Verdict> {
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

fn search(spec: &ArxivQuerySpec) -> Result<Search, Verdict> {
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

fn invalid(message: &str) -> Verdict {
    Verdict {
        reason: "InvalidSearch".to_owned(),
        message: message.to_owned(),
        http_status: Some(400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_that_cannot_be_sent_is_refused_with_its_reason() {
        let good = || ArxivQuerySpec {
            author: Some("knuth".into()),
            max_results: 8,
            ..Default::default()
        };
        let cases = [
            ("good", good(), None),
            (
                "no field",
                ArxivQuerySpec {
                    author: None,
                    ..good()
                },
                Some("search parameter"),
            ),
            (
                "blank",
                ArxivQuerySpec {
                    author: Some("\u{3000} ".into()),
                    ..good()
                },
                Some("author"),
            ),
            (
                "separators only",
                ArxivQuerySpec {
                    title: Some("():".into()),
                    ..good()
                },
                Some("title"),
            ),
            (
                "too long",
                ArxivQuerySpec {
                    title: Some("x".repeat(513)),
                    ..good()
                },
                Some("title"),
            ),
            (
                "control character",
                ArxivQuerySpec {
                    title: Some("a\u{7}b".into()),
                    ..good()
                },
                Some("title"),
            ),
            (
                "no results",
                ArxivQuerySpec {
                    max_results: 0,
                    ..good()
                },
                Some("maxResults"),
            ),
            (
                "too many results",
                ArxivQuerySpec {
                    max_results: 30_001,
                    ..good()
                },
                Some("maxResults"),
            ),
            (
                "negative start",
                ArxivQuerySpec { start: -1, ..good() },
                Some("start"),
            ),
            (
                "no identifier",
                ArxivQuerySpec {
                    id_list: Some(vec!["x".into()]),
                    ..good()
                },
                Some("idList"),
            ),
            (
                "no date",
                ArxivQuerySpec {
                    submitted_after: Some("yesterday".into()),
                    ..good()
                },
                Some("submittedAfter"),
            ),
            (
                "a date that papers have",
                ArxivQuerySpec {
                    submitted_after: Some("2024-01-01T00:00:00+02:00".into()),
                    ..good()
                },
                None,
            ),
            (
                "start too far",
                ArxivQuerySpec {
                    start: 30_001,
                    ..good()
                },
                Some("start"),
            ),
        ];
        for (name, spec, expected) in cases {
            let got = validate(&ArxivQuery::new("q", spec)).err();
            match (got, expected) {
                (None, None) => {}
                (Some(verdict), Some(part)) => {
                    assert!(verdict.message.contains(part), "{name}: {}", verdict.message);
                    assert_eq!(
                        (verdict.reason.as_str(), verdict.http_status),
                        ("InvalidSearch", Some(400)),
                        "{name}"
                    );
                }
                (got, expected) => panic!("{name}: {got:?} instead of {expected:?}"),
            }
        }
    }
}
