//! A feed is moved to another database.

use std::io;

use storage::feeds::{
    FeedSpec, Feeds,
    transfer::{Counts, Line, Place, TransferError},
};
use uuid::Uuid;

use super::{FEED, LOOKBACK, feeds, found, items, papers, record, run, searches, spec, state, time};
use crate::{
    records::objects::{in_one, recorded},
    setup::Server,
};

/// The lines of the feed, as text.
async fn export(feeds: &Feeds) -> Vec<String> {
    let mut lines = Vec::new();
    let exported = feeds.export("science", "knuth", |line| {
        lines.push(serde_json::to_string(&line)?);
        Ok(())
    });
    let counts = exported.await.unwrap();
    assert_eq!(lines.len() as u64, counts.items + counts.seen + 2);
    lines
}

async fn import(feeds: &Feeds, lines: &[String], place: Place<'_>) -> Result<Counts, TransferError> {
    let mut lines = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    let Some(Line::Feed(feed)) = lines.next() else {
        panic!("no feed")
    };
    let mut import = feeds.import(*feed, place).await?;
    for line in lines {
        match line {
            Line::End(counts) => return import.end(counts).await.map(|()| counts),
            line => import.take(line).await?,
        }
    }
    Err(TransferError::Broken("no end"))
}

/// The feed of a restored object.
fn restored(uid: u128) -> FeedSpec<'static> {
    FeedSpec {
        uid: Uuid::from_u128(uid),
        is_restored: true,
        ..spec()
    }
}

/// All rows of feeds, and the papers of their items; without when they were written here, and what the new object says anew.
const ALL: &str = "select concat_ws(E'\\n',
      (select jsonb_agg(to_jsonb(f) - array['object_uid', 'registered_at', 'dropped_at', 'schedule', 'time_zone', 'next_run_at',
        'is_suspended']) from arxiv_feeds f),
      (select jsonb_agg(i order by position) from arxiv_feed_items i),
      (select jsonb_agg(s order by seen_set, paper, version) from arxiv_feed_seen s),
      (select jsonb_agg(to_jsonb(p) - array['first_seen_at', 'changed_at'] order by paper, version) from arxiv_papers p
        where exists (select from arxiv_feed_items i where i.paper = p.paper and i.version = p.version)))";

#[tokio::test]
async fn moved_feed_goes_on_with_its_positions_and_nothing_comes_twice_or_is_missing() {
    let (old, new) = (Server::migrated().await, Server::migrated().await);
    let (old_feeds, new_feeds) = (feeds(&old), feeds(&new));
    let (old_records, new_records) = (in_one(&old), in_one(&new));
    state(&old_feeds).await;
    let many: Vec<_> = (1..=450).map(|n| (format!("{n}v1"), n)).rev().collect();
    let many: Vec<_> = many.iter().map(|(id, minute)| (id.as_str(), *minute)).collect();
    found(&old_records, 1, &many).await;
    found(&old_records, 2, &[("450v2", 460), ("math/0309136", 455)]).await;
    let lines = export(&old_feeds).await;
    assert!(lines.iter().all(|line| line.len() < 1_000), "{lines:?}");

    // Some of the papers are known there already.
    found_elsewhere(&new_feeds, &new_records).await;
    let counts = import(&new_feeds, &lines, Place::default()).await.unwrap();
    assert_eq!(
        counts,
        Counts {
            items: 452,
            seen: 452
        }
    );
    let of_this = |sql: &str| sql.replace("from arxiv_feeds f", "from arxiv_feeds f where name = 'knuth'");
    let of_this = of_this(ALL)
        .replace(
            "arxiv_feed_items i)",
            &format!("arxiv_feed_items i where feed_uid = '{FEED}')"),
        )
        .replace(
            "arxiv_feed_seen s)",
            &format!("arxiv_feed_seen s where feed_uid = '{FEED}')"),
        );
    let (there, here) = (old.value::<String>("arxiv", ALL), new_value(&new, &of_this));
    let (there, here) = (there.await, here.await);
    assert_eq!(there, here);
    // Nobody sees it before there is an object.
    assert_eq!(new_feeds.objects(None, 10).await.unwrap().len(), 1);

    let moved = new_feeds.register(&restored(0xBEE)).await.unwrap().unwrap();
    assert_eq!((moved.id, moved.items), (FEED, 452));
    assert_eq!(moved, state(&old_feeds).await, "with all that is known of it");
    let next = moved.next_run(10, LOOKBACK, time(500)).updated_after;
    assert_eq!(next, Some(time(460 - 14 * 24 * 60)));
    let (searches, papers) = (
        searches(),
        papers(&[("451v1", 470), ("450v2", 460), ("449v1", 449)]),
    );
    let mut again = run(&searches);
    again.feed = Uuid::from_u128(0xBEE);
    let again = record(9, &papers, again);
    assert_eq!(recorded(new_records.record(&again).await.unwrap()).num_entries, 1);
    let last = "select concat_ws(' ', position, paper, version) from arxiv_feed_items where feed_uid = \
                (select feed_uid from arxiv_feeds where name = 'knuth') order by position desc limit 1";
    assert_eq!(new_value(&new, last).await, "453 451 1");
}

async fn new_value(server: &Server, sql: &str) -> String {
    server.value::<String>("arxiv", sql).await
}

/// Another feed of the new database has found two of the papers.
async fn found_elsewhere(feeds: &Feeds, records: &storage::Records) {
    let other = FeedSpec {
        uid: Uuid::from_u128(0xACE),
        name: "other",
        ..spec()
    };
    feeds.register(&other).await.unwrap();
    let (searches, papers) = (searches(), papers(&[("450v1", 450), ("1v1", 1)]));
    let mut elsewhere = run(&searches);
    elsewhere.feed = other.uid;
    recorded(records.record(&record(8, &papers, elsewhere)).await.unwrap());
}

#[tokio::test]
async fn feed_is_imported_again_while_no_object_uses_it_and_this_database_is_not_ahead() {
    let (old, new) = (Server::migrated().await, Server::migrated().await);
    let (old_feeds, new_feeds) = (feeds(&old), feeds(&new));
    let (old_records, new_records) = (in_one(&old), in_one(&new));
    state(&old_feeds).await;
    found(&old_records, 1, &[("2v1", 20), ("1v1", 10)]).await;
    let first = export(&old_feeds).await;
    import(&new_feeds, &first, Place::default()).await.unwrap();
    // The move was put off: the old one went on meanwhile.
    found(&old_records, 2, &[("3v1", 30)]).await;
    let second = export(&old_feeds).await;
    import(&new_feeds, &second, Place::default()).await.unwrap();
    assert_eq!(items(&new).await, "3 3v1, 2 2v1, 1 1v1");
    let refused = async |lines: &[String]| {
        let error = import(&new_feeds, lines, Place::default()).await.unwrap_err();
        error.to_string()
    };
    let ahead = refused(&first).await;
    assert!(
        ahead.contains("3 items and 1 searches of the feed, the file 2"),
        "{ahead}"
    );

    // An object uses it.
    new_feeds.register(&restored(0xBEE)).await.unwrap().unwrap();
    let in_use = refused(&second).await;
    assert!(in_use.contains("an object uses this feed here"), "{in_use}");
    // It went on in both places.
    let (searches, papers) = (searches(), papers(&[("5v1", 50)]));
    let mut here = run(&searches);
    here.feed = Uuid::from_u128(0xBEE);
    recorded(new_records.record(&record(9, &papers, here)).await.unwrap());
    new_feeds.drop(Uuid::from_u128(0xBEE)).await.unwrap();
    found(&old_records, 3, &[("4v1", 40)]).await;
    let third = export(&old_feeds).await;
    let differs = refused(&third).await;
    assert!(differs.contains("it went on in both places"), "{differs}");
    assert_eq!(
        items(&new).await,
        "4 5v1, 3 3v1, 2 2v1, 1 1v1",
        "nothing was imported"
    );

    // Another feed has the name.
    let other = FeedSpec {
        uid: Uuid::from_u128(0xACE),
        name: "taken",
        ..spec()
    };
    new_feeds.register(&other).await.unwrap().unwrap();
    let place = Place {
        namespace: None,
        name: Some("taken"),
    };
    let taken = import(&new_feeds, &third, place).await.unwrap_err().to_string();
    assert!(
        taken.contains("another feed has the name taken in the namespace science"),
        "{taken}"
    );
}

#[tokio::test]
async fn file_that_is_not_whole_or_was_changed_imports_nothing() {
    let (old, new) = (Server::migrated().await, Server::migrated().await);
    let (old_feeds, new_feeds) = (feeds(&old), feeds(&new));
    state(&old_feeds).await;
    found(&in_one(&old), 1, &[("3v1", 30), ("2v1", 20), ("1v1", 10)]).await;
    let lines = export(&old_feeds).await;
    let without = |n: usize| {
        let mut lines = lines.clone();
        lines.remove(n);
        lines
    };
    let with = |n: usize, from: &str, to: &str| {
        let mut lines = lines.clone();
        assert!(lines[n].contains(from), "{}", lines[n]);
        lines[n] = lines[n].replace(from, to);
        lines
    };
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    for (what, lines, problem) in [
        ("an item is missing", without(1), "lines are missing"),
        ("a seen version is missing", without(4), "lines are missing"),
        ("the end is missing", without(lines.len() - 1), "no end"),
        ("two items in another order", swapped, "not in the order"),
        (
            "a position that is too high",
            with(1, "\"position\":1,", "\"position\":9,"),
            "past the last one",
        ),
        (
            "a position twice",
            with(1, "\"position\":1,", "\"position\":2,"),
            "went on in both places",
        ),
        (
            "a later format",
            with(0, "\"format\":1,", "\"format\":2,"),
            "the format 2",
        ),
    ] {
        let error = import(&new_feeds, &lines, Place::default()).await.unwrap_err();
        assert!(error.to_string().contains(problem), "{what}: {error}");
        for table in [
            "arxiv_feeds",
            "arxiv_feed_items",
            "arxiv_feed_seen",
            "arxiv_papers",
        ] {
            let rows = format!("select count(*) from {table}");
            assert_eq!(new.value::<i64>("arxiv", &rows).await, 0, "{what}: {table}");
        }
    }
    let no_feed = old_feeds.export("science", "nobody", |_| Ok(())).await;
    assert!(matches!(no_feed, Err(TransferError::NoFeed { .. })));
    let full = old_feeds.export("science", "knuth", |_| Err(io::ErrorKind::StorageFull.into()));
    assert!(matches!(full.await, Err(TransferError::Write(_))));
    import(&new_feeds, &lines, Place::default()).await.unwrap();
}
