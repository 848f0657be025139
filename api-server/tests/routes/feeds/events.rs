//! /feeds/NAME/events.

use futures::future::join_all;
use serde_json::json;
use testbed::test_env::{eventually, json_body};

use super::{ID, SEED};
use crate::support::{Api, Events, events::Event, header};

const PATH: &str = "/feeds/knuth/events";
/// A run that finds two.
const RUN: &str = "
    insert into arxiv_papers (paper, version, title, authors, abstract, categories, published, updated, links, first_seen_at,
      changed_at, fetched_at, category_keys, words)
    select '2406.0000' || n, 1, 'Another', '[]', '', '{math.CO}', '2024-06-01Z', '2024-06-01Z', '[]', now(), now(), now(), '{}', ''
    from generate_series(4, 5) n;
    insert into arxiv_feed_items (feed_uid, position, seen_set, paper, version, run_uid, recorded_at)
    select feed_uid, n, 1, '2406.0000' || n, 1, '00000000-0000-0000-0000-000000000001', '2024-06-02T06:00:00Z'
    from arxiv_feeds, generate_series(4, 5) n where name = 'knuth';
    update arxiv_feeds set last_position = 5, last_run_at = '2024-06-02T06:00:00Z', last_new_items = 2 where name = 'knuth'";

fn id(version: &str, position: i64) -> String {
    format!("{ID}/1/{version}#{position}")
}

/// The items up to the next event that shows the feed: their ids.
async fn items(events: &mut Events) -> (Vec<String>, Event) {
    let mut items = Vec::new();
    loop {
        let event = events.next().await.unwrap();
        if event.name != "item" {
            return (items, event);
        }
        items.push(event.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_items_are_sent_in_their_order_each_once_and_the_feed_when_it_changes() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    let mut events = Events::open(&api, PATH, None).await;
    let feed = events.next().await.unwrap();
    assert_eq!((feed.name.as_str(), feed.id), ("feed", id("2405.00001v2", 3)));
    assert_eq!(feed.data, json_body(api.get("/feeds").await).await[0]);
    api.execute(RUN).await;
    let first = events.next().await.unwrap();
    assert_eq!((first.name.as_str(), &first.id), ("item", &id("2406.00004v1", 4)));
    let (rest, feed) = items(&mut events).await;
    assert_eq!(rest, [id("2406.00005v1", 5)]);
    assert_eq!((feed.name.as_str(), &feed.data["items"]), ("feed", &json!(5)));
    assert_eq!(feed.id, rest[0]);
    // As the page of items has it.
    let page = json_body(api.get("/feeds/knuth").await).await;
    assert_eq!(first.data, page[1]);
    // A run that finds nothing is reported as well.
    api.execute("update arxiv_feeds set last_run_at = '2024-06-03T06:00:00Z', last_new_items = 0 where name = 'knuth'")
        .await;
    let (none, feed) = items(&mut events).await;
    assert_eq!((none.len(), &feed.data["last_run"]["new_items"]), (0, &json!(0)));
    // Removed.
    api.execute("update arxiv_feeds set dropped_at = now() where name = 'knuth'")
        .await;
    assert_eq!(events.next().await.unwrap().name, "gone");
    assert!(events.next().await.is_none());
    assert_eq!(api.get(PATH).await.status(), 404);
    assert_eq!(api.send("HEAD", "/feeds/new/events").await.status(), 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_comes_back_gets_what_it_missed_and_all_when_its_place_is_gone() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    let all = [
        id("2405.00001v1", 1),
        id("math/0309136v3", 2),
        id("2405.00001v2", 3),
    ];
    let other = ID.replace("000a", "000b");
    for (last, expected) in [
        (all[0].clone(), &all[1..]),
        (all[2].clone(), &[]),
        // The start of a feed that had no items; another feed of this name; what was never given.
        (ID.to_owned(), &all[..]),
        (format!("{other}/1/2405.00001v2#3"), &all[..]),
        ("3".to_owned(), &all[..]),
        // Another version is there, as after a restore of the database.
        (id("2405.00009v1", 2), &all[..]),
    ] {
        let mut events = Events::open(&api, PATH, Some(&last)).await;
        let feed = events.next().await.unwrap();
        assert_eq!(feed.name, "feed", "{last}");
        for item in expected {
            assert_eq!(&events.next().await.unwrap().id, item, "after {last}");
        }
        // Nothing else: the next event is of what has changed.
        let title = format!("'after {}'", expected.len());
        api.execute(&format!(
            "update arxiv_feeds set title = {title} || clock_timestamp() where name = 'knuth'"
        ))
        .await;
        let (none, feed) = items(&mut events).await;
        assert_eq!((none.len(), feed.name.as_str()), (0, "feed"), "after {last}");
    }
    // Removed for their age.
    let mut events = Events::open(&api, PATH, Some(&all[0])).await;
    events.next().await.unwrap();
    api.execute("delete from arxiv_feed_items where position < 3")
        .await;
    let mut late = Events::open(&api, PATH, Some(&all[0])).await;
    late.next().await.unwrap();
    assert_eq!(late.next().await.unwrap().id, all[2]);
    // It knows more than this replica has: what comes next is not sent again.
    let mut ahead = Events::open(&api, PATH, Some(&id("2406.00004v1", 4))).await;
    ahead.next().await.unwrap();
    api.execute(RUN).await;
    assert_eq!(ahead.next().await.unwrap().id, id("2406.00005v1", 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_clients_of_all_feeds_share_one_read_and_the_limit_of_streams() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    let mut open = Vec::new();
    for n in 0..128 {
        let path = if n % 2 == 0 { PATH } else { "/feeds/new/events" };
        let mut events = Events::open(&api, path, None).await;
        assert_eq!(events.next().await.unwrap().name, "feed");
        open.push(events);
    }
    let refused = api.get(PATH).await;
    assert_eq!(refused.status(), 429);
    assert!(header(&refused, "retry-after").is_some());
    // Scans of the table of feeds, as Postgres has counted them: one for each statement that reads them.
    let scans = async || -> i64 {
        let sql = "select (seq_scan + coalesce(idx_scan, 0))::bigint from pg_stat_user_tables where relname = 'arxiv_feeds'";
        api.databases.column(sql).await[0]
    };
    let before = eventually("those of the requests are counted", async || {
        Some(scans().await).filter(|counted| *counted >= 128)
    })
    .await;
    for _ in 0..3 {
        api.execute("update arxiv_feeds set title = title || '.'").await;
        let changed = join_all(open.iter_mut().map(Events::next)).await;
        assert!(changed.iter().flatten().all(|event| event.name == "feed"));
        assert_eq!(changed.iter().flatten().count(), open.len());
    }
    // Three updates, and at least one read after each.
    let counted = eventually("the last scan is counted", async || {
        Some(scans().await - before).filter(|counted| *counted >= 6)
    })
    .await;
    assert!(counted < 64, "{counted} statements for 128 clients");
    drop(open);
    let mut again = Events::open(&api, PATH, None).await;
    assert_eq!(again.next().await.unwrap().name, "feed");
    api.ending.cancel();
    while again.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn events_end_when_the_token_is_not_valid_any_more() {
    let api = Api::start(&[("ACCESS", "all"), ("ACCESS_CACHE_SECONDS", "1")]).await;
    api.execute(SEED).await;
    for (user, path) in [("ada", "/results"), ("bob", "/arxiv")] {
        let rights = [("get", path)];
        api.kubernetes.add_user(user, &format!("{user}-token"), &rights);
    }
    let bob = [("authorization", "Bearer bob-token")];
    assert_eq!(api.send_with("GET", PATH, &bob).await.status(), 403);
    let ada = [("authorization", "Bearer ada-token")];
    let mut events = Events::open_with(&api, PATH, &ada).await;
    assert_eq!(events.next().await.unwrap().name, "feed");
    api.kubernetes.remove_user("ada-token");
    while events.next().await.is_some() {}
}
