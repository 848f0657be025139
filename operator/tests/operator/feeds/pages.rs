//! Runs of several pages: what has equal dates comes in another order in each of arXiv's answers.

use std::{collections::BTreeSet, sync::Arc};

use crd::FeedCondition;
use jiff::civil::Date;
use serde_json::json;
use testbed::arxiv::{Archive, ArchiveSpec};

use super::{condition, half_an_hour_ago, start};

/// More than a page of arXiv's.
const PAPERS: u32 = 2_600;

#[tokio::test(flavor = "multi_thread")]
async fn paper_that_moves_over_the_end_of_a_page_between_two_requests_is_not_passed_over() {
    let feeds = start().await;
    let arxiv = feeds.env.stack.arxiv().unwrap();
    // A word that all papers have, how many days they are from, each with one date, the first results of the pages that this needs,
    // and whether it is enough.
    for (name, word, older_days, starts, is_enough) in [
        ("twenty-a-date", "study", 130, vec![0, 1_950], true),
        // The dates of those that two pages have in common are all equal: they need more in common.
        ("hundreds-a-date", "elements", 6, vec![0, 1_950, 1_000], true),
        ("one-date", "exist", 1, vec![0, 1_950, 1_000], false),
    ] {
        let archive = Arc::new(Archive::new(ArchiveSpec {
            first: Date::constant(2025, 1, 5),
            older: PAPERS,
            older_days,
            times_a_day: 1,
            ..ArchiveSpec::default()
        }));
        arxiv.set_day(&archive, 0);
        arxiv.clear_record();
        let (daily, _) = half_an_hour_ago();
        let spec = json!({"schedule": daily, "search": {"abstract": word}, "maxResultsPerRun": 5_000});
        feeds.create(name, spec).await;
        feeds.observed(name).await;
        feeds.backdate(name, 300).await;
        let expected = if is_enough {
            ("True", "AllRead")
        } else {
            ("False", "MoreToRead")
        };
        feeds
            .status_when(name, expected.1, |feed, _| {
                condition(feed, FeedCondition::Complete) == Some(expected)
            })
            .await;
        let found = feeds.versions(name).await.into_iter().map(|(_, paper, _)| paper);
        let found: BTreeSet<String> = found.collect();
        let there = archive.found(&format!("abs:{word}"), 0).unwrap();
        let there: BTreeSet<String> = there.into_iter().map(|(paper, _)| paper).collect();
        assert_eq!(there.len(), PAPERS as usize);
        assert_eq!(
            found == there,
            is_enough,
            "{name}: {} of {}",
            found.len(),
            there.len()
        );
        let requested: Vec<u32> = arxiv.requests().iter().map(|request| request.start).collect();
        assert_eq!(requested, starts, "{name}");
    }
}
