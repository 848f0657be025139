//! What a run looks at, and its object.

use crd::{
    ArxivFeed, ArxivQuery, ArxivQuerySpec, ArxivSearch, FEED_LABEL, SortBy, SortOrder, TemplateMetadata,
    TemplateSpec,
};
use jiff::{SignedDuration, Timestamp};
use kube::{Resource, ResourceExt};
use storage::feeds::NextRun;

use super::RunKey;

/// The search of a run: that of the feed, the papers that were updated last first.
pub(in crate::feeds) fn search(feed: &ArxivFeed, next: Option<&NextRun>) -> ArxivSearch {
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    ArxivSearch {
        updated_after: text(next.and_then(|next| next.updated_after)),
        submitted_before: text(next.and_then(|next| next.submitted_before)),
        sort_by: SortBy::LastUpdatedDate,
        sort_order: SortOrder::Descending,
        ..feed.spec.search.clone()
    }
}

/// Whether this is what a run looks at.
pub(super) fn looks_at(run: &ArxivQuery, next: &NextRun) -> bool {
    let ArxivQuerySpec {
        search,
        start,
        max_results,
        ..
    } = &run.spec;
    let is_time =
        |text: Option<&String>, time: Option<Timestamp>| text.cloned() == time.map(|time| time.to_string());
    is_time(search.updated_after.as_ref(), next.updated_after)
        && is_time(search.submitted_before.as_ref(), next.submitted_before)
        && (u32::try_from(*start), u32::try_from(*max_results)) == (Ok(next.start), Ok(next.max_results))
}

/// What the run looks at where its search has a first time of submission, which has to be earlier than the last one. What is
/// left for a run cannot be older: it is of this minute.
pub(in crate::feeds) fn from(submitted_after: Option<Timestamp>, next: NextRun) -> NextRun {
    let least = submitted_after.and_then(|after| after.checked_add(SignedDuration::from_mins(1)).ok());
    NextRun {
        submitted_before: next
            .submitted_before
            .map(|before| least.map_or(before, |least| least.max(before))),
        ..next
    }
}

/// The object of a run.
pub(in crate::feeds) fn object(feed: &ArxivFeed, key: RunKey, next: &NextRun) -> ArxivQuery {
    let template = feed.spec.query_template.clone().unwrap_or_default();
    let TemplateMetadata { mut labels } = template.metadata.unwrap_or_default();
    let TemplateSpec {
        priority,
        backoff_limit,
        active_deadline_seconds,
        cache_policy,
    } = template.spec.unwrap_or_default();
    let default = ArxivQuerySpec::default();
    let spec = ArxivQuerySpec {
        search: search(feed, Some(next)),
        max_results: i32::try_from(next.max_results).unwrap_or(i32::MAX),
        start: i32::try_from(next.start).unwrap_or(i32::MAX),
        cache_policy: cache_policy.unwrap_or_default(),
        priority: priority.unwrap_or(default.priority),
        backoff_limit: backoff_limit.unwrap_or(default.backoff_limit),
        active_deadline_seconds,
        class_name: feed.spec.class_name.clone(),
        ..default
    };
    let feed_name = feed.name_any();
    let mut object = ArxivQuery::new(&key.name(&feed_name), spec);
    labels.insert(FEED_LABEL.to_owned(), feed_name);
    object.metadata.labels = Some(labels);
    object.metadata.namespace = feed.namespace();
    // It does not block the deletion of the feed, which would need a right on its finalizers.
    object.metadata.owner_references = Some(feed.controller_owner_ref(&()).into_iter().collect());
    object
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crd::{CachePolicy, QueryTemplate};

    use super::{
        super::{
            fixtures::{feed, first, time},
            is_of,
        },
        *,
    };

    #[test]
    fn run_has_the_search_of_its_feed_in_the_order_of_updates_and_what_the_template_says() {
        let mut feed = feed();
        feed.spec.class_name = Some("papers".to_owned());
        feed.spec.query_template = Some(QueryTemplate {
            metadata: Some(TemplateMetadata {
                labels: BTreeMap::from([("team".to_owned(), "a".to_owned())]),
            }),
            spec: Some(TemplateSpec {
                priority: Some(-5),
                backoff_limit: None,
                active_deadline_seconds: Some(600),
                cache_policy: Some(CachePolicy::Refresh),
            }),
        });
        let next = NextRun {
            start: 1_950,
            updated_after: Some(time("2026-02-10T00:00:01Z")),
            submitted_before: Some(time("2026-02-20T00:01:00Z")),
            ..first()
        };
        let run = object(&feed, RunKey::first(time("2026-03-02T06:17:00Z")), &next);
        let expected = ArxivQuerySpec {
            search: ArxivSearch {
                author: Some("knuth".to_owned()),
                updated_after: Some("2026-02-10T00:00:01Z".to_owned()),
                submitted_before: Some("2026-02-20T00:01:00Z".to_owned()),
                sort_by: SortBy::LastUpdatedDate,
                ..ArxivSearch::default()
            },
            max_results: 2_000,
            start: 1_950,
            priority: -5,
            active_deadline_seconds: Some(600),
            cache_policy: CachePolicy::Refresh,
            class_name: Some("papers".to_owned()),
            ..ArxivQuerySpec::default()
        };
        assert_eq!(run.spec, expected);
        let labels = run.metadata.labels.clone().unwrap();
        assert_eq!(labels[FEED_LABEL], "knuth");
        assert_eq!(labels["team"], "a");
        assert!(is_of(&feed, &run));
        let mut another = feed;
        another.metadata.uid = Some("f1111111-0000-4000-8000-000000000000".to_owned());
        assert!(!is_of(&another, &run), "a feed of the same name");
    }

    #[test]
    fn run_never_ends_before_the_first_time_of_its_search() {
        let before = |text: Option<&str>| NextRun {
            submitted_before: text.map(time),
            ..first()
        };
        for (after, left, expected) in [
            (None, Some("2024-02-20T00:01:00Z"), Some("2024-02-20T00:01:00Z")),
            (
                Some("2024-01-31T00:00:00Z"),
                Some("2024-02-20T00:01:00Z"),
                Some("2024-02-20T00:01:00Z"),
            ),
            (
                Some("2024-01-31T00:00:00Z"),
                Some("2024-01-31T00:00:00Z"),
                Some("2024-01-31T00:01:00Z"),
            ),
            (
                Some("2024-01-31T00:00:00Z"),
                Some("2024-01-30T00:00:00Z"),
                Some("2024-01-31T00:01:00Z"),
            ),
            (Some("2024-01-31T00:00:00Z"), None, None),
        ] {
            assert_eq!(
                from(after.map(time), before(left)),
                before(expected),
                "{after:?} {left:?}"
            );
        }
    }
}
