//! What the search and the settings of a feed mean for its items, and what is removed of them.

use paper::PaperVersion;
use storage::{
    StorageError,
    feeds::{FeedRun, FeedSpec, Feeds, InitialItems, Outcome, Revisions, RunEnd, Timing},
};
use uuid::Uuid;

use super::{
    FEED, LOOKBACK, Papers, RESULTS, feeds, found, items, paper, papers, record, run, searches, spec, state,
    time,
};
use crate::{
    records::objects::{in_one, recorded},
    setup::Server,
};

#[tokio::test]
async fn another_search_sees_all_papers_anew_and_runs_of_the_former_one_add_nothing() {
    let server = Server::migrated().await;
    let (feeds, records) = (feeds(&server), in_one(&server));
    state(&feeds).await;
    found(&records, 1, &[("2v1", 20), ("1v1", 10)]).await;
    let other = FeedSpec {
        search: "search 2",
        ..spec()
    };
    let changed = feeds.register(&other).await.unwrap().unwrap();
    assert_eq!(
        (changed.seen_set, changed.items, changed.is_complete()),
        (2, 2, false)
    );
    assert_eq!(
        (changed.progress.watermark, changed.last_complete_run),
        (None, None)
    );

    // A late one of the former search.
    let row = found(&records, 2, &[("3v1", 30), ("2v1", 20)]).await;
    assert_eq!(row.num_entries, 0);
    let late = feeds.register(&other).await.unwrap().unwrap();
    assert_eq!((late.items, late.progress.is_established), (2, false));
    let outcome = "select outcome from arxiv_feed_runs where query_id = 2";
    assert_eq!(server.value::<String>("arxiv", outcome).await, "OtherSearch");

    let (of_other, papers) = (
        [String::from("x"), String::from("search 2")],
        papers(&[("2v1", 20)]),
    );
    let record = record(3, &papers, run(&of_other));
    assert_eq!(recorded(records.record(&record).await.unwrap()).num_entries, 1);
    assert_eq!(items(&server).await, "3 2v1, 2 2v1, 1 1v1");
    // The same again is no change.
    let same = feeds.register(&other).await.unwrap().unwrap();
    assert_eq!((same.seen_set, same.items, same.is_complete()), (2, 3, true));
    // What the former one has seen is not needed any more.
    assert_eq!(feeds.prune().await.unwrap(), 2);
    assert_eq!(feeds.prune().await.unwrap(), 0);
}

#[tokio::test]
async fn feed_is_registered_as_long_as_nothing_of_it_changes() {
    let server = Server::migrated().await;
    let feeds = feeds(&server);
    assert_eq!(feeds.registered(&spec()).await.unwrap(), None, "not yet");
    let state = feeds.register(&spec()).await.unwrap();
    assert_eq!(feeds.registered(&spec()).await.unwrap(), state);
    for (what, changed) in [
        (
            "title",
            FeedSpec {
                title: "another",
                ..spec()
            },
        ),
        (
            "search",
            FeedSpec {
                search: "search 2",
                ..spec()
            },
        ),
        (
            "retention",
            FeedSpec {
                retention_days: Some(1),
                ..spec()
            },
        ),
        (
            "next run",
            FeedSpec {
                timing: Timing {
                    next_run: Some(time(1)),
                    ..Timing::default()
                },
                ..spec()
            },
        ),
    ] {
        assert_eq!(feeds.registered(&changed).await.unwrap(), None, "{what}");
    }
    feeds.drop(FEED).await.unwrap();
    assert_eq!(feeds.registered(&spec()).await.unwrap(), None, "dropped");
}

#[tokio::test]
async fn first_papers_and_new_versions_are_no_items_where_the_feed_says_so() {
    let server = Server::migrated().await;
    let (feeds, records) = (feeds(&server), in_one(&server));
    let spec = FeedSpec {
        initial_items: InitialItems::Skip,
        revisions: Revisions::Ignore,
        ..spec()
    };
    let state = feeds.register(&spec).await.unwrap().unwrap();
    let after = state.next_run(10, LOOKBACK, time(50)).updated_after;
    assert_eq!(after, Some(time(50 - 14 * 24 * 60)));
    let first = |papers, number| {
        let (searches, records) = (searches(), &records);
        async move {
            let run = FeedRun {
                updated_after: after,
                end: RunEnd::Older,
                ..run(&searches)
            };
            recorded(records.record(&record(number, papers, run)).await.unwrap()).num_entries
        }
    };
    let initial = papers(&[("2v1", 20), ("1v3", 10)]);
    assert_eq!(first(&initial, 1).await, 0);
    // New papers, of one two versions; a new version of one that was there; and one that was updated before the feed began.
    let later = papers(&[
        ("5v1", 50),
        ("3v2", 45),
        ("3v1", 40),
        ("1v4", 35),
        ("2v1", 20),
        ("9v1", -100_000),
    ]);
    assert_eq!(first(&later, 2).await, 2);
    assert_eq!(items(&server).await, "2 5v1, 1 3v2");
    // Each version was seen all the same.
    let revisions = FeedSpec {
        revisions: Revisions::Include,
        ..spec
    };
    feeds.register(&revisions).await.unwrap();
    assert_eq!(first(&later, 3).await, 0);
}

#[tokio::test]
async fn incomplete_run_keeps_the_watermark_and_the_next_ones_go_on() {
    let server = Server::migrated().await;
    let (feeds, records) = (feeds(&server), in_one(&server));
    state(&feeds).await;
    let all: Vec<PaperVersion> = (0..260).rev().map(|id| paper(&format!("{id}v1"), id)).collect();
    let searches = searches();
    let mut outcomes = Vec::new();
    for number in 1..=4 {
        let state = state(&feeds).await;
        if state.is_complete() {
            break;
        }
        let next = state.next_run(100, LOOKBACK, time(300));
        let (start, max_results) = (next.start as usize, next.max_results as usize);
        let page = Papers(all.iter().skip(start).take(max_results).cloned().collect());
        let end = if start + max_results >= all.len() {
            RunEnd::Exhausted
        } else {
            RunEnd::Limit
        };
        let run = FeedRun {
            start: next.start,
            max_results: next.max_results,
            end,
            ..run(&searches)
        };
        recorded(records.record(&record(number, &page, run)).await.unwrap());
        let state = feeds.register(&spec()).await.unwrap().unwrap();
        outcomes.push((
            next.start,
            state.last_run.unwrap().outcome,
            state.progress.watermark,
        ));
    }
    let (incomplete, complete) = (Outcome::Incomplete, Outcome::Complete);
    let expected = [
        (0, incomplete, None),
        (50, incomplete, None),
        (100, incomplete, None),
        (150, incomplete, None),
    ];
    assert_eq!(outcomes, expected);
    // The last one.
    let next = state(&feeds).await.next_run(100, LOOKBACK, time(300));
    let page = Papers(all[200..].to_vec());
    let run = FeedRun {
        start: next.start,
        ..run(&searches)
    };
    recorded(records.record(&record(5, &page, run)).await.unwrap());
    let last = state(&feeds).await;
    assert_eq!((last.items, last.last_run.unwrap().outcome), (260, complete));
    assert_eq!(
        (last.progress.watermark, last.progress.backfill),
        (Some(time(259)), None)
    );
}

#[tokio::test]
async fn items_past_their_age_are_removed_and_never_come_again() {
    let server = Server::migrated().await;
    let (feeds, records) = (feeds(&server), in_one(&server));
    feeds
        .register(&FeedSpec {
            retention_days: Some(30),
            ..spec()
        })
        .await
        .unwrap();
    found(&records, 1, &[("2v1", 20), ("1v1", 10)]).await;
    server
        .execute(
            "arxiv",
            "update arxiv_feed_items set recorded_at = now() - interval '31 days' where position = 1;
             update arxiv_feed_runs set recorded_at = now() - interval '91 days'",
        )
        .await;
    assert_eq!(feeds.prune().await.unwrap(), 2);
    assert_eq!(feeds.prune().await.unwrap(), 0);
    assert_eq!(items(&server).await, "2 2v1");
    found(&records, 2, &[("3v1", 30), ("2v1", 20), ("1v1", 10)]).await;
    assert_eq!(items(&server).await, "3 3v1, 2 2v1");
}

/// All that there is of feeds.
const ROWS: &str =
    "select concat_ws(' ', (select count(*) from arxiv_feeds), (select count(*) from arxiv_feed_items),
    (select count(*) from arxiv_feed_seen))";

/// The uids of the feeds' objects after this one.
async fn objects(feeds: &Feeds, after: Option<Uuid>) -> Vec<Uuid> {
    let objects = feeds.objects(after, 10).await.unwrap();
    objects.into_iter().map(|(uid, _)| uid).collect()
}

#[tokio::test]
async fn feed_whose_object_is_gone_takes_no_runs_and_is_removed_after_a_week() {
    let server = Server::migrated().await;
    let (feeds, records) = (feeds(&server), in_one(&server));
    state(&feeds).await;
    let other = FeedSpec {
        uid: Uuid::from_u128(1),
        name: "other",
        ..spec()
    };
    feeds.register(&other).await.unwrap();
    found(&records, 1, &[("2v1", 20), ("1v1", 10)]).await;
    assert_eq!(objects(&feeds, None).await, [other.uid, FEED]);
    assert_eq!(objects(&feeds, Some(other.uid)).await, [FEED]);

    feeds.drop(FEED).await.unwrap();
    assert_eq!(objects(&feeds, None).await, [other.uid]);
    let (of_feed, late) = (searches(), papers(&[("3v1", 30)]));
    let late = record(2, &late, run(&of_feed));
    let error = records.record(&late).await.unwrap_err();
    assert!(matches!(error, StorageError::FeedUnknown), "{error:?}");
    assert_eq!(feeds.prune().await.unwrap(), 0);
    server
        .execute(
            "arxiv",
            "update arxiv_feeds set dropped_at = dropped_at - interval '169 hours'",
        )
        .await;
    assert_eq!(feeds.register(&spec()).await.unwrap(), None);
    assert_eq!(feeds.prune().await.unwrap(), 4);
    assert_eq!(feeds.prune().await.unwrap(), 1);
    assert_eq!(feeds.prune().await.unwrap(), 0);
    assert_eq!(server.value::<String>("arxiv", ROWS).await, "1 0 0");
    // The rows of its runs stay, as those of any other query.
    assert_eq!(server.value::<String>("arxiv", RESULTS).await, "1 0 2v1, 1 1 1v1");
    // Of another namespace there is no such feed.
    let elsewhere = FeedRun {
        feed: other.uid,
        ..run(&of_feed)
    };
    let papers = papers(&[("3v1", 30)]);
    let mut record = record(3, &papers, elsewhere);
    record.object.namespace = "arts";
    let error = records.record(&record).await.unwrap_err();
    assert!(matches!(error, StorageError::FeedUnknown), "{error:?}");
}

#[tokio::test]
async fn restored_feed_goes_on_where_it_was_and_one_that_is_made_anew_does_not() {
    let server = Server::migrated().await;
    let (feeds, records) = (feeds(&server), in_one(&server));
    let first = state(&feeds).await;
    let of_first = [("2v1", 20), ("1v1", 10)];
    found(&records, 1, &of_first).await;
    feeds.drop(FEED).await.unwrap();
    let restored = |uid, is_restored, search| FeedSpec {
        uid: Uuid::from_u128(uid),
        is_restored,
        search,
        ..spec()
    };
    let (searches, papers) = (searches(), papers(&[("3v1", 30), ("2v1", 20)]));
    let runs = [
        // By the same names and another search, or by those alone.
        (restored(2, true, "search 2"), 0, None),
        (restored(3, false, "search 1"), 0, Some(2)),
        (restored(4, true, "search 1"), 2, Some(1)),
        // Once more, now that it is known by its uid.
        (restored(4, true, "search 1"), 3, Some(0)),
    ];
    for (number, (spec, items, new)) in (2..).zip(runs) {
        if number == 4 {
            // The last of these names is the one that was made anew.
            feeds.drop(Uuid::from_u128(3)).await.unwrap();
            let past = "update arxiv_feeds set dropped_at = now() - interval '8 days' where object_uid = '00000000-0000-0000-0000-000000000003'";
            server.execute("arxiv", past).await;
        }
        let state = feeds.register(&spec).await.unwrap().unwrap();
        assert_eq!(state.items, items, "{spec:?}");
        assert_eq!(state.id == first.id, items > 0, "{spec:?}");
        let run = FeedRun {
            feed: spec.uid,
            ..run(&searches)
        };
        let row = recorded(records.record(&record(number, &papers, run)).await.unwrap());
        assert_eq!(row.num_entries, new.unwrap_or_default(), "{spec:?}");
    }
}
