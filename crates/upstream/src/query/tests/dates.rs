//! Dates, and the order.

use super::*;

#[test]
fn dates_of_submission_are_sent_in_the_documented_form() {
    let dated = |after: Option<&str>, before: Option<&str>| ArxivSearch {
        submitted_after: after.map(str::to_owned),
        submitted_before: before.map(str::to_owned),
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
            Err(SpecError::DatesOutOfOrder),
        ),
        (
            Some("2024-01-31"),
            Some("2024-01-31"),
            Ok("ti:x AND submittedDate:[202401310000 TO 202401312359]"),
        ),
        (
            Some("2024-01-31 12:30:00.5Z"),
            None,
            Ok("ti:x AND submittedDate:[202401311230 TO 219912312359]"),
        ),
        (Some("2024-01-31T12:30:00"), None, Err(SpecError::NotADate(after))),
        (Some("1706659200000"), None, Err(SpecError::NotADate(after))),
        (
            Some("1899-12-31T23:59:59Z"),
            None,
            Err(SpecError::NoDateOfPapers(after)),
        ),
        (
            None,
            Some("2200-01-01T00:00:00Z"),
            Err(SpecError::NoDateOfPapers(before)),
        ),
    ];
    for (after, before, expected) in cases {
        let got = validate(&dated(after, before));
        let got = got.as_ref().map(ValidatedSearch::search_query);
        assert_eq!(got, expected.as_ref().copied(), "{after:?} {before:?}");
    }
    let only_dates = ArxivSearch {
        title: None,
        ..dated(Some("2023-01-01T06:00:00Z"), None)
    };
    assert_eq!(validate(&only_dates), Err(SpecError::NoField));
}

#[test]
fn order_is_sent_unless_it_is_arxivs_own() {
    let cases = [
        (SortBy::Relevance, SortOrder::Descending, "sortBy= sortOrder="),
        (
            SortBy::Relevance,
            SortOrder::Ascending,
            "sortBy=relevance sortOrder=ascending",
        ),
        (
            SortBy::LastUpdatedDate,
            SortOrder::Descending,
            "sortBy=lastUpdatedDate sortOrder=descending",
        ),
        (
            SortBy::SubmittedDate,
            SortOrder::Ascending,
            "sortBy=submittedDate sortOrder=ascending",
        ),
    ];
    for (sort_by, sort_order, sent) in cases {
        let search = ArxivSearch {
            sort_by,
            sort_order,
            ..title("x")
        };
        assert_eq!(validate(&search).unwrap().key(), format!("ti:x idList= {sent}"));
    }
}

#[test]
fn date_of_the_update_is_read_and_not_sent_and_needs_its_order() {
    let search = ArxivSearch {
        updated_after: Some("2024-01-31".into()),
        sort_by: SortBy::LastUpdatedDate,
        ..title("x")
    };
    let query = ValidatedQuery::try_from(&spec(&search)).unwrap();
    assert_eq!(query.updated_after, Some("2024-01-31T00:00:00Z".parse().unwrap()));
    let key = "ti:x idList= sortBy=lastUpdatedDate sortOrder=descending";
    assert_eq!(query.search.key(), key, "it shares the pages of others");
    let refused = [
        (
            ArxivSearch {
                sort_by: SortBy::SubmittedDate,
                ..search.clone()
            },
            SpecError::NotSortedByUpdate,
        ),
        (
            ArxivSearch {
                sort_order: SortOrder::Ascending,
                ..search.clone()
            },
            SpecError::NotSortedByUpdate,
        ),
        (
            ArxivSearch {
                updated_after: Some("last week".into()),
                ..search
            },
            SpecError::NotADate("updatedAfter"),
        ),
    ];
    for (search, error) in refused {
        assert_eq!(problems(&spec(&search)), [error]);
    }
}
