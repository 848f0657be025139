//! A year of arXiv's days, on which the operator is killed: each version is an item once, and none is missing.
//!
//! What there is to find is listed by the stand-in's own model. No clock is set: a feed's schedule is changed on each of the
//! days, to the next one of the minutes that have passed, and a new schedule counts from the last run. Each of these times
//! is later than the one before, as those of mornings are.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use crd::{ArxivFeed, FeedCondition};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use kube::api::ListParams;
use serde_json::{Value, json};
use testbed::{
    arxiv::{Archive, ArchiveSpec, DayKind},
    test_env::{LIMIT, within},
};

use super::{Feeds, condition, start_with};

/// Two months: a stale day, an outage of two days, and papers that are revised twice.
const DAYS: u32 = 60;
/// A year by `FEED_TEST_DAYS=365`.
const LONG_FORM: &str = "FEED_TEST_DAYS";
/// Many papers are older than the first lookback.
const OLDER: u32 = 1_600;
/// The first scheduled time is so many minutes ago.
const FIRST_MINUTE: i64 = 600;

/// The feeds of the year, what each of them searches for in arXiv's grammar, and its spec.
fn specs() -> [(&'static str, &'static str, Value); 3] {
    let search = |category: &str| json!({"category": category});
    [
        (
            "whole",
            "cat:math.CO",
            json!({"search": search("math.CO"), "successfulQueriesHistoryLimit": 1}),
        ),
        // The papers of the first day are more than one of its runs looks at.
        (
            "small",
            "cat:cs.DS",
            json!({"search": search("cs.DS"), "maxResultsPerRun": 130, "successfulQueriesHistoryLimit": 0}),
        ),
        (
            "firsts",
            "cat:quant-ph",
            json!({"search": search("quant-ph"), "revisions": "Ignore", "failedQueriesHistoryLimit": 0}),
        ),
    ]
}

struct Year {
    feeds: Feeds,
    archive: Arc<Archive>,
    /// The scheduled time of day 0.
    first: Timestamp,
}

impl Year {
    fn scheduled(&self, day: u32) -> Timestamp {
        self.first + SignedDuration::from_mins(day.into())
    }

    /// It is the morning of this day, and the feeds are due.
    async fn begin(&self, day: u32) {
        self.feeds.env.stack.arxiv().unwrap().set_day(&self.archive, day);
        let at = self.scheduled(day).to_zoned(TimeZone::UTC);
        let schedule = format!("{} {} * * *", at.minute(), at.hour());
        for (name, ..) in specs() {
            self.feeds.patch_spec(name, json!({"schedule": schedule})).await;
        }
    }

    /// Waits until each feed has run on this day. At outages they fail.
    async fn end(&self, day: u32) {
        let scheduled = self.scheduled(day);
        let has_run = |feed: &ArxivFeed| {
            feed.status.as_ref().is_some_and(|status| {
                let last = status.last_schedule_time.as_ref();
                status.active.is_none() && last.is_some_and(|time| time.0 >= scheduled)
            })
        };
        let mut last = Vec::new();
        let began = Instant::now();
        loop {
            if let Ok(listed) = self.feeds.api.list(&ListParams::default()).await {
                last = listed.items;
            }
            if !last.is_empty() && last.iter().all(has_run) {
                return;
            }
            assert!(
                began.elapsed() < LIMIT,
                "day {day}: {:?}\n{}",
                last.iter().map(|feed| &feed.status).collect::<Vec<_>>(),
                self.feeds.env.operator_logs()
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Runs all feeds on days after the last one, until none of their runs has failed and all have read everything;
    /// the last of these days.
    async fn settle(&self, days: u32) -> u32 {
        let mut last = Vec::new();
        for day in days + 1..days + 10 {
            self.begin(day).await;
            self.end(day).await;
            let all = self.feeds.api.list(&ListParams::default()).await.unwrap().items;
            let is_settled = |feed: &ArxivFeed| {
                condition(feed, FeedCondition::Ready) == Some(("True", "Scheduled"))
                    && condition(feed, FeedCondition::Complete) == Some(("True", "AllRead"))
            };
            if all.iter().all(is_settled) {
                return day;
            }
            last = all;
        }
        let statuses: Vec<_> = last.iter().map(|feed| &feed.status).collect();
        panic!("not complete: {statuses:#?}\n{}", self.feeds.env.operator_logs());
    }
}

/// When the operator is killed: after so many requests to arXiv on that day, and whether it stays away for the next two days.
fn kill(day: u32) -> Option<(usize, bool)> {
    // Numbers that look like chance, the same in every run.
    let chance = u64::from(day).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let requests = usize::try_from(chance / 9 % 4).unwrap();
    (day > 0 && chance.is_multiple_of(9)).then_some((requests, (chance / 64).is_multiple_of(3)))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_version_of_a_year_is_an_item_once_although_the_operator_is_killed() {
    let days = std::env::var(LONG_FORM).map_or(DAYS, |days| days.parse().unwrap());
    let archive = Arc::new(Archive::new(ArchiveSpec {
        seed: 7,
        // All of it has passed: no paper has a date to come.
        first: Date::constant(2025, 1, 5),
        days,
        older: OLDER,
        ..ArchiveSpec::default()
    }));
    let retries = [("RETRY_BASE_MS", "1")];
    let feeds = start_with(&retries).await;
    let first = Timestamp::now() - SignedDuration::from_mins(FIRST_MINUTE);
    let first = Timestamp::from_second(first.as_second() / 60 * 60).unwrap();
    let year = Year {
        feeds,
        archive,
        first,
    };
    // Stored pages count for one of the real days.
    let template = json!({"spec": {"cachePolicy": "Refresh", "backoffLimit": 0, "activeDeadlineSeconds": 5}});
    for (name, _, mut spec) in specs() {
        spec["queryTemplate"] = template.clone();
        year.feeds.create(name, spec).await;
        year.feeds.observed(name).await;
        year.feeds.backdate(name, FIRST_MINUTE + 1).await;
    }
    let began = Instant::now();
    let (mut kills, mut days_away, mut outages) = (0, 0_u32, 0);
    for day in 0..=days {
        let arxiv = year.feeds.env.stack.arxiv().unwrap();
        arxiv.clear_record();
        year.begin(day).await;
        outages += u32::from(year.archive.kind(day) == DayKind::Outage);
        let operator = year.feeds.env.operator();
        if days_away > 0 {
            days_away -= 1;
            if days_away > 0 && day < days {
                continue;
            }
            operator.child().start_again().unwrap();
        } else if let Some((requests, stays_away)) = kill(day) {
            // Whether or not there are so many: it is killed.
            let _ = within(LIMIT / 90, async || {
                (arxiv.requests().len() >= requests).then_some(())
            })
            .await;
            operator.child().kill9();
            kills += 1;
            if stays_away && day < days {
                days_away = 3;
                continue;
            }
            operator.child().start_again().unwrap();
        }
        year.end(day).await;
    }
    let took = began.elapsed();
    assert!(
        kills >= days / 15 && outages >= days / 30,
        "{kills} kills, {outages} outages"
    );
    println!(
        "{days} days with {kills} kills and {outages} days without arXiv in {:.0} s",
        took.as_secs_f32()
    );

    let last = year.settle(days).await;
    for (name, search, _) in specs() {
        let items = year.feeds.versions(name).await;
        let positions: Vec<i64> = items.iter().map(|(position, ..)| *position).collect();
        let count = i64::try_from(items.len()).unwrap();
        assert_eq!(positions, (1..=count).collect::<Vec<_>>(), "{name}: positions");
        let reported = year.feeds.api.get(name).await.unwrap().status.unwrap().items;
        assert_eq!(reported, Some(count), "{name}");
        let versions: BTreeSet<(String, u16)> = items
            .iter()
            .map(|(_, paper, version)| (paper.clone(), u16::try_from(*version).unwrap()))
            .collect();
        assert_eq!(versions.len(), items.len(), "{name}: one is an item twice");
        let expected = year.archive.found_until(search, last).unwrap();
        let mut invented = versions.difference(&expected).peekable();
        assert!(invented.peek().is_none(), "{name}: {invented:?}");
        if name == "firsts" {
            let papers = |of: &BTreeSet<(String, u16)>| -> BTreeSet<String> {
                of.iter().map(|(paper, _)| paper.clone()).collect()
            };
            assert_eq!(papers(&versions), papers(&expected), "{name}");
            assert_eq!(
                versions.len(),
                papers(&versions).len(),
                "{name}: a paper is an item twice"
            );
        } else {
            let missing: Vec<_> = expected.difference(&versions).collect();
            assert!(missing.is_empty(), "{name}: {missing:?} are missing");
        }
        assert!(expected.iter().any(|(_, version)| *version > 1), "{name}");
    }
}
