//! The runs of a feed: `ArxivQuery` objects with its label that it owns.

use std::cmp::Reverse;

use cluster::delete_exact;
use crd::{
    ArxivFeed, ArxivQuery, ArxivQuerySpec, ArxivSearch, FEED_LABEL, Phase, SortBy, SortOrder,
    TemplateMetadata, TemplateSpec,
};
use jiff::Timestamp;
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, PostParams, Preconditions},
};
use storage::feeds::NextRun;

use crate::process::kubernetes::{CALL_TIMEOUT, CallError, within};

/// Seconds in a minute.
const MINUTE: i64 = 60;
/// Objects in one page of the listing, 2 to 3 kB each.
const PAGE: u32 = 100;

/// A run.
#[derive(Debug)]
pub(super) struct Run {
    /// Its scheduled time.
    pub(super) scheduled: Timestamp,
    pub(super) object: ArxivQuery,
}

/// The runs of a feed, the last one first.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<Run>);

/// What came of the creation of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Created {
    /// It is new.
    New,
    /// It was there already: an earlier attempt has created it.
    Before,
    /// Another object has its name.
    NameTaken,
}

/// The name of the run of a scheduled time. It is the same for every process, so no time has two runs.
pub(super) fn name(feed: &str, scheduled: Timestamp) -> String {
    format!("{feed}-{}", scheduled.as_second() / MINUTE)
}

/// The scheduled time in the name of a run.
fn scheduled(feed: &str, run: &str) -> Option<Timestamp> {
    let minutes = run.strip_prefix(feed)?.strip_prefix('-')?;
    let minutes: i64 = minutes.parse().ok()?;
    Timestamp::from_second(minutes.checked_mul(MINUTE)?).ok()
}

impl Run {
    fn phase(&self) -> Phase {
        self.object.phase()
    }

    /// One line about how it ended, or what it waits for.
    pub(super) fn message(&self) -> &str {
        let status = self.object.status.as_ref();
        status
            .and_then(|status| status.message.as_deref())
            .unwrap_or_default()
    }

    /// When it ended.
    pub(super) fn ended(&self) -> Option<Timestamp> {
        let status = self.object.status.as_ref()?;
        status.completion_time.as_ref().map(|time| time.0)
    }

    pub(super) fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }
}

impl Runs {
    /// Reads the runs of a feed as they are now: not from a watch, which may be behind.
    pub(super) async fn list(queries: &Api<ArxivQuery>, feed: &ArxivFeed) -> Result<Self, CallError> {
        let name = feed.name_any();
        let mut page = ListParams::default()
            .labels(&format!("{FEED_LABEL}={name}"))
            .limit(PAGE);
        let mut runs = Vec::new();
        loop {
            let listed = within(queries.list(&page)).await?;
            let own = listed.items.into_iter().filter(|object| is_of(feed, object));
            runs.extend(own.filter_map(|object| {
                let scheduled = scheduled(&name, object.metadata.name.as_deref()?)?;
                Some(Run { scheduled, object })
            }));
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
        runs.sort_by_key(|run| Reverse(run.scheduled));
        Ok(Self(runs))
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<&Run> {
        self.0.first()
    }

    /// The one that has not ended. One whose deletion has begun counts too, until it is gone.
    pub(super) fn active(&self) -> Option<&Run> {
        self.0.iter().find(|run| !run.phase().is_final())
    }

    /// The last one that has ended.
    pub(super) fn last_ended(&self) -> Option<&Run> {
        self.0.iter().find(|run| run.phase().is_final())
    }

    /// The last one that has succeeded.
    pub(super) fn last_succeeded(&self) -> Option<&Run> {
        self.0.iter().find(|run| run.phase() == Phase::Succeeded)
    }

    /// Those that have ended and are more than the limits of the feed's history allow.
    fn surplus(&self, feed: &ArxivFeed) -> impl Iterator<Item = &Run> {
        let limits = [
            (Phase::Succeeded, feed.spec.successful_queries_history_limit),
            (Phase::Failed, feed.spec.failed_queries_history_limit),
        ];
        limits.into_iter().flat_map(|(phase, limit)| {
            let kept = usize::try_from(limit).unwrap_or(0);
            self.0.iter().filter(move |run| run.phase() == phase).skip(kept)
        })
    }

    /// Deletes what the limits of the history do not allow. The rows stay.
    pub(super) async fn delete_surplus(
        &self,
        queries: &Api<ArxivQuery>,
        feed: &ArxivFeed,
    ) -> Result<(), CallError> {
        for run in self.surplus(feed) {
            let preconditions = Preconditions {
                uid: run.object.metadata.uid.clone(),
                resource_version: run.object.metadata.resource_version.clone(),
            };
            delete_exact(queries, run.name(), preconditions, CALL_TIMEOUT).await?;
        }
        Ok(())
    }
}

/// Whether the object is a run of this feed, not of an earlier one of the same name.
fn is_of(feed: &ArxivFeed, object: &ArxivQuery) -> bool {
    let owners = object.metadata.owner_references.iter().flatten();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true));
    controllers.any(|owner| Some(&owner.uid) == feed.metadata.uid.as_ref())
}

/// The search of a run: that of the feed, the papers that were updated last first.
pub(super) fn search(feed: &ArxivFeed, next: Option<&NextRun>) -> ArxivSearch {
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    ArxivSearch {
        updated_after: text(next.and_then(|next| next.updated_after)),
        submitted_before: text(next.and_then(|next| next.submitted_before)),
        sort_by: SortBy::LastUpdatedDate,
        sort_order: SortOrder::Descending,
        ..feed.spec.search.clone()
    }
}

/// The object of a run.
pub(super) fn object(feed: &ArxivFeed, scheduled: Timestamp, next: &NextRun) -> ArxivQuery {
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
    let mut object = ArxivQuery::new(&name(&feed_name, scheduled), spec);
    labels.insert(FEED_LABEL.to_owned(), feed_name);
    object.metadata.labels = Some(labels);
    object.metadata.namespace = feed.namespace();
    // It does not block the deletion of the feed, which would need a right on its finalizers.
    object.metadata.owner_references = Some(feed.controller_owner_ref(&()).into_iter().collect());
    object
}

/// Creates a run.
pub(super) async fn create(
    queries: &Api<ArxivQuery>,
    feed: &ArxivFeed,
    run: &ArxivQuery,
) -> Result<Created, CallError> {
    match within(queries.create(&PostParams::default(), run)).await {
        Ok(_) => Ok(Created::New),
        Err(error) if error.code() == Some(409) => {
            let found = within(queries.get_opt(&run.name_any())).await?;
            Ok(match found {
                Some(found) if is_of(feed, &found) => Created::Before,
                _ => Created::NameTaken,
            })
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crd::{ArxivFeedSpec, ArxivQueryStatus, CachePolicy, QueryTemplate};

    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn feed() -> ArxivFeed {
        let mut feed = ArxivFeed::new("knuth", ArxivFeedSpec::default());
        feed.metadata.uid = Some("f0000000-0000-4000-8000-000000000000".to_owned());
        feed.metadata.namespace = Some("team".to_owned());
        feed.spec.search.author = Some("knuth".to_owned());
        feed
    }

    fn first() -> NextRun {
        NextRun {
            start: 0,
            max_results: 2_000,
            updated_after: None,
            submitted_before: None,
        }
    }

    #[test]
    fn name_of_a_run_tells_its_scheduled_time() {
        let at = time("2026-03-02T06:17:00Z");
        assert_eq!(name("knuth", at), "knuth-29540537");
        assert_eq!(scheduled("knuth", "knuth-29540537"), Some(at));
        for other in [
            "knuth",
            "knuth-",
            "knuth-x",
            "other-29540537",
            "knuth-9223372036854775807",
        ] {
            assert_eq!(scheduled("knuth", other), None, "{other}");
        }
    }

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
        let run = object(&feed, time("2026-03-02T06:17:00Z"), &next);
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
    fn oldest_runs_of_each_kind_are_surplus_and_active_ones_never() {
        let mut feed = feed();
        feed.spec.successful_queries_history_limit = 1;
        feed.spec.failed_queries_history_limit = 0;
        let phases = [
            Phase::Running,
            Phase::Succeeded,
            Phase::Failed,
            Phase::Succeeded,
            Phase::Succeeded,
        ];
        let runs = phases.iter().rev().zip(1..).map(|(phase, minute)| {
            let scheduled = Timestamp::from_second(minute * MINUTE).unwrap();
            let mut object = object(&feed, scheduled, &first());
            object.status = Some(ArxivQueryStatus {
                phase: *phase,
                ..ArxivQueryStatus::default()
            });
            Run { scheduled, object }
        });
        let mut runs: Vec<_> = runs.collect();
        runs.reverse();
        let runs = Runs(runs);
        let surplus: Vec<_> = runs.surplus(&feed).map(Run::name).collect();
        assert_eq!(surplus, ["knuth-2", "knuth-1", "knuth-3"]);
        assert_eq!(runs.active().map(Run::name), Some("knuth-5"));
        assert_eq!(runs.last_ended().map(Run::name), Some("knuth-4"));
    }
}
