//! Feeds: what runs record for them, each version of a paper once.

mod deliveries;
mod searches;
mod transfer;

use std::time::Duration;

use futures::{
    StreamExt,
    future::join_all,
    stream::{self, BoxStream},
};
use jiff::{Timestamp, ToSpan};
use paper::{PaperId, PaperVersion};
use storage::{
    Ending, PaperBatch, PaperSource, QueryRow, Reads, Record, Records, StorageError,
    feeds::{
        FeedKey, FeedRun, FeedSpec, FeedState, Feeds, InitialItems, ItemRange, Revisions, RunEnd, Timing,
    },
};
use uuid::Uuid;

use crate::{
    records::objects::{in_one, object, recorded},
    setup::{Server, Split, eventually},
};

pub(crate) const FEED: Uuid = Uuid::from_u128(0xFEED);
const LOOKBACK: Duration = Duration::from_hours(24 * 14);

/// As registered by tests that do not say otherwise.
pub(crate) fn spec() -> FeedSpec<'static> {
    FeedSpec {
        uid: FEED,
        is_restored: false,
        namespace: "science",
        name: "knuth",
        title: "author: knuth",
        search: "search 1",
        initial_items: InitialItems::Include,
        revisions: Revisions::Include,
        retention_days: None,
        timing: Timing::default(),
    }
}

/// A paper that was last updated at this minute.
pub(crate) fn paper(id: &str, minute: i64) -> PaperVersion {
    PaperVersion {
        id: PaperId::of_entry(id),
        title: format!("Title of {id}"),
        updated: Some(time(minute)),
        ..PaperVersion::default()
    }
}

fn time(minute: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap() + minute.minutes()
}

/// Papers that come three at a time.
pub(crate) struct Papers(pub(crate) Vec<PaperVersion>);

impl PaperSource for Papers {
    fn batch_count(&self) -> usize {
        self.0.len().div_ceil(3)
    }

    fn batches(&self) -> BoxStream<'_, Result<PaperBatch, StorageError>> {
        let batch = |papers: &[PaperVersion]| PaperBatch {
            papers: papers.to_vec().into(),
            fetched_at: time(1_000_000),
        };
        stream::iter(self.0.chunks(3).map(move |papers| Ok(batch(papers)))).boxed()
    }
}

fn papers(of: &[(&str, i64)]) -> Papers {
    Papers(of.iter().map(|(id, minute)| paper(id, *minute)).collect())
}

/// A run of the search that feeds have here.
fn searches() -> Vec<String> {
    vec!["search 1".to_owned()]
}

fn run(searches: &[String]) -> FeedRun<'_> {
    FeedRun {
        feed: FEED,
        searches,
        start: 0,
        max_results: 100,
        updated_after: None,
        submitted_before: None,
        end: RunEnd::Exhausted,
    }
}

fn record<'a>(number: i64, papers: &'a Papers, run: FeedRun<'a>) -> Record<'a> {
    Record {
        object: object(Uuid::from_u128(u128::try_from(number).unwrap())),
        query_id: number,
        timestamp: 1_711_843_200,
        status: 200,
        num_results: 100,
        query: "q",
        papers,
        feed: Some(run),
    }
}

/// Records a complete run.
pub(crate) async fn found(records: &Records, number: i64, of: &[(&str, i64)]) -> QueryRow {
    let (searches, papers) = (searches(), papers(of));
    let record = record(number, &papers, run(&searches));
    recorded(records.record(&record).await.unwrap())
}

pub(crate) fn feeds(server: &Server) -> Feeds {
    Feeds::new(server.pool("arxiv_rw", "arxiv"))
}

async fn state(feeds: &Feeds) -> FeedState {
    feeds.register(&spec()).await.unwrap().unwrap()
}

/// Positions and versions, the newest first.
const ITEMS: &str = "select coalesce(string_agg(concat_ws(' ', position, paper || 'v' || version), ', ' order by position desc), '')
    from arxiv_feed_items";
const RESULTS: &str =
    "select coalesce(string_agg(concat_ws(' ', query_id, result_number, arxiv_id), ', ' order by query_id, result_number), '')
    from results";

async fn items(server: &Server) -> String {
    server.value("arxiv", ITEMS).await
}

#[tokio::test]
async fn version_is_an_item_once_however_many_runs_find_it() {
    let server = Server::migrated().await;
    let (feeds, records) = (feeds(&server), in_one(&server));
    let first = state(&feeds).await;
    assert_eq!(
        (first.items, first.last_run, first.is_complete()),
        (0, None, false)
    );
    assert_eq!(first.next_run(10, LOOKBACK, time(0)).updated_after, None);

    let row = found(&records, 1, &[("4v1", 40), ("3v1", 30), ("2v1", 20), ("1v1", 10)]).await;
    assert_eq!(row.num_entries, 4);
    let row = found(
        &records,
        2,
        &[("5v1", 50), ("2v2", 45), ("4v1", 40), ("3v1", 30), ("3v1", 30)],
    )
    .await;
    assert_eq!(row.num_entries, 2);
    let row = found(&records, 3, &[("5v1", 50), ("2v2", 45)]).await;
    assert_eq!((row.num_entries, row.num_results), (0, 100));

    assert_eq!(items(&server).await, "6 5v1, 5 2v2, 4 4v1, 3 3v1, 2 2v1, 1 1v1");
    let results: String = server.value("arxiv", RESULTS).await;
    assert_eq!(results, "1 0 4v1, 1 1 3v1, 1 2 2v1, 1 3 1v1, 2 0 5v1, 2 1 2v2");
    let last = state(&feeds).await;
    assert_eq!(last.progress.watermark, Some(time(50)));
    assert!(last.is_complete() && last.last_complete_run == last.last_run.map(|run| run.recorded_at));
    assert_eq!((last.items, last.last_run.unwrap().new_items), (6, 0));
    let after = last.next_run(10, LOOKBACK, time(0)).updated_after;
    assert_eq!(after, Some(time(50 - 14 * 24 * 60)));
    // Each item has its paper.
    let joined = "select count(*) from arxiv_feed_items join arxiv_papers using (paper, version)";
    assert_eq!(server.value::<i64>("arxiv", joined).await, 6);
}

/// The versions are each an item once, positions have no gap, and the runs' counts and results agree with them.
const SOUND: &str = "select concat_ws(' ', count(*), count(distinct (paper, version)), min(position), max(position),
      (select last_position from arxiv_feeds), (select sum(new_items) from arxiv_feed_runs), (select count(*) from results),
      (select count(*) from arxiv_feed_seen))
    from arxiv_feed_items";

/// Eight runs that overlap, each recorded by four processes at once.
async fn record_at_once(recorders: &[Records]) -> Vec<Result<Ending, StorageError>> {
    let searches = searches();
    let found: Vec<Papers> = (0..8)
        .map(|n| {
            Papers(
                (n * 10..n * 10 + 30)
                    .rev()
                    .map(|id| paper(&format!("{id}v1"), id))
                    .collect(),
            )
        })
        .collect();
    let all = recorders.iter().flat_map(|records| {
        let searches = &searches;
        (1..).zip(&found).map(move |(number, papers)| async move {
            let record = record(number, papers, run(searches));
            records.record(&record).await.map(Result::unwrap)
        })
    });
    join_all(all).await
}

#[tokio::test]
async fn concurrent_recorders_of_overlapping_runs_add_each_version_once_without_a_gap() {
    let server = Server::migrated().await;
    state(&feeds(&server)).await;
    let recorders: Vec<Records> = (0..4).map(|_| in_one(&server)).collect();
    for outcome in record_at_once(&recorders).await {
        assert!(matches!(outcome, Ok(Ending::Recorded(_))), "{outcome:?}");
    }
    assert_eq!(
        server.value::<String>("arxiv", SOUND).await,
        "100 100 1 100 100 100 100 100"
    );
}

#[tokio::test]
async fn items_are_whole_with_their_run_or_absent_when_the_server_dies() {
    let server = Server::migrated().await;
    state(&feeds(&server)).await;
    let recorders = [in_one(&server)];
    let kill = async {
        eventually("the first item", async || {
            server
                .value::<i64>("arxiv", "select count(*) from arxiv_feed_items")
                .await
                > 0
        })
        .await;
        server.postgres.kill9().await.unwrap();
    };
    tokio::join!(record_at_once(&recorders), kill);
    server.postgres.start_again().await.unwrap();
    let half = "select count(*) from arxiv_feed_runs r where new_items <>
        (select count(*) from arxiv_feed_items i where i.run_uid = r.run_uid)
        or not exists (select from queries q where q.query_uid = r.run_uid and q.num_entries = r.new_items)";
    assert_eq!(server.value::<i64>("arxiv", half).await, 0);
    for outcome in record_at_once(&recorders).await {
        assert!(matches!(outcome, Ok(Ending::Recorded(_))), "{outcome:?}");
    }
    assert_eq!(
        server.value::<String>("arxiv", SOUND).await,
        "100 100 1 100 100 100 100 100"
    );
}

#[tokio::test]
async fn run_that_was_recorded_without_its_query_is_finished_as_it_is_when_split() {
    let split = Split::migrated().await;
    let url = split.results.url("arxiv_rw", "arxiv_rw", "papers");
    let pool = storage::Pool::open(&url, &crate::setup::pool_settings(storage::Access::ReadWrite)).unwrap();
    let feeds = Feeds::new(pool);
    feeds.register(&spec()).await.unwrap();
    let recorders: Vec<Records> = (0..4).map(|_| split.records()).collect();
    for outcome in record_at_once(&recorders).await {
        assert!(matches!(outcome, Ok(Ending::Recorded(_))), "{outcome:?}");
    }
    let sound =
        format!("select case ({SOUND}) when '100 100 1 100 100 100 100 100' then 1 else 0 end::bigint");
    assert_eq!(split.count(&sound).await, 1);

    // The databases of queries is restored to a time before: a run with items, and one without.
    let none = [("1v1", 1), ("2v1", 2)];
    assert_eq!(found(&recorders[0], 9, &none).await.num_entries, 0);
    let entries = split
        .queries
        .value::<i64>("arxiv", "select sum(num_entries) from queries")
        .await;
    split.queries.execute("arxiv", "delete from queries").await;
    for outcome in record_at_once(&recorders[..1]).await {
        assert!(matches!(outcome, Ok(Ending::Recorded(_))), "{outcome:?}");
    }
    assert_eq!(found(&recorders[0], 9, &none).await.num_entries, 0);
    let again = split
        .queries
        .value::<i64>("arxiv", "select sum(num_entries) from queries")
        .await;
    assert_eq!((entries, again), (100, 100));
    assert_eq!(split.count(&sound).await, 1);
}

#[tokio::test]
async fn feeds_and_items_are_read_by_name_and_position() {
    let server = Server::migrated().await;
    let (feeds, records) = (feeds(&server), in_one(&server));
    for (uid, namespace, name) in [
        (1, "science", "Z"),
        (2, "science", "a"),
        (3, "arts", "knuth"),
        (4, "science", "gone"),
    ] {
        let spec = FeedSpec {
            uid: Uuid::from_u128(uid),
            namespace,
            name,
            ..spec()
        };
        feeds.register(&spec).await.unwrap();
    }
    state(&feeds).await;
    feeds.drop(Uuid::from_u128(4)).await.unwrap();
    found(&records, 1, &[("3v1", 30), ("2v1", 20), ("math/0309136", 10)]).await;
    let pool = || server.pool("arxiv_ro", "arxiv");
    let reads = Reads::new(pool(), pool(), None);

    let names = async |namespace, after: Option<&FeedKey>, limit| {
        let found = reads
            .feeds(namespace, after.unwrap_or(&FeedKey::default()), limit)
            .await
            .unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|feed| format!("{}/{}", feed.namespace, feed.name))
            .collect();
        names.join(" ")
    };
    assert_eq!(
        names(None, None, 9).await,
        "arts/knuth science/Z science/a science/knuth"
    );
    assert_eq!(names(Some("science"), None, 2).await, "science/Z science/a");
    let key = FeedKey {
        namespace: "science".into(),
        name: "a".into(),
    };
    assert_eq!(names(Some("science"), Some(&key), 2).await, "science/knuth");
    assert_eq!(reads.feed(Some("science"), "gone").await.unwrap(), None);

    let feed = reads.feed(Some("science"), "knuth").await.unwrap().unwrap();
    assert_eq!(
        (feed.uid, feed.items, feed.title.as_str()),
        (FEED, 3, "author: knuth")
    );
    assert_eq!(
        feed.last_run.unwrap().recorded_at,
        feed.last_complete_run.unwrap()
    );
    let items = async |range| {
        let found = reads.feed_items(FEED, range, 2).await.unwrap();
        let items: Vec<_> = found
            .iter()
            .map(|item| format!("{} {}", item.position, item.id))
            .collect();
        items.join(", ")
    };
    let all = ItemRange::default();
    assert_eq!(items(all).await, "3 3v1, 2 2v1");
    assert_eq!(
        items(ItemRange {
            before: Some(2),
            ..all
        })
        .await,
        "1 math/0309136"
    );
    assert_eq!(
        items(ItemRange {
            after: Some(2),
            ..all
        })
        .await,
        "3 3v1"
    );
    let recorded_at = feed.last_run.unwrap().recorded_at;
    assert_eq!(
        items(ItemRange {
            since: Some(recorded_at),
            ..all
        })
        .await,
        "3 3v1, 2 2v1"
    );
    let oldest = reads.oldest_feed_items(FEED, all, 2).await.unwrap();
    let oldest: Vec<_> = oldest.iter().map(|(item, _)| item.position).collect();
    assert_eq!(oldest, [1, 2]);
    let later = recorded_at.checked_add(1.microsecond()).unwrap();
    assert_eq!(
        items(ItemRange {
            since: Some(later),
            ..all
        })
        .await,
        ""
    );
}

#[tokio::test]
async fn times_of_a_feed_are_read_as_they_were_registered_last() {
    let server = Server::migrated().await;
    let feeds = feeds(&server);
    let pool = || server.pool("arxiv_ro", "arxiv");
    let reads = Reads::new(pool(), pool(), None);
    let timing = async || {
        let found = reads.feeds_by_uid(&[FEED, Uuid::from_u128(1)]).await.unwrap();
        assert_eq!(found.len(), 1);
        found.into_iter().next().unwrap().timing
    };
    let planned = Timing {
        schedule: "17 6 * * 1-5".to_owned(),
        time_zone: "Europe/Budapest".to_owned(),
        is_suspended: false,
        next_run: Some(time(7)),
    };
    let suspended = Timing {
        is_suspended: true,
        next_run: None,
        ..planned.clone()
    };
    let later = Timing {
        next_run: Some(time(8)),
        ..planned.clone()
    };
    for registered in [planned, suspended, later] {
        let spec = FeedSpec {
            timing: registered.clone(),
            ..spec()
        };
        feeds.register(&spec).await.unwrap().unwrap();
        assert_eq!(timing().await, registered);
    }
    feeds.unschedule(FEED).await.unwrap();
    let unscheduled = timing().await;
    assert_eq!(
        (unscheduled.next_run, unscheduled.time_zone.as_str()),
        (None, "Europe/Budapest")
    );
    feeds.drop(FEED).await.unwrap();
    assert_eq!(reads.feeds_by_uid(&[FEED]).await.unwrap(), []);
}
