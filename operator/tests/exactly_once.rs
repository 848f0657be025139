//! Exactly once: however the operator is killed, and whatever stands in the tables already.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use crd::Phase;
use support::{Bed, LIMIT, on_one_day, options, search, within};
use testbed::{
    Postgres,
    arxiv::{Behaviour, Mode},
    stack::Options,
};

const QUERIES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_at_once_survive_a_kill_in_the_middle() {
    let bed = Bed::start(options()).await;
    let started = Instant::now();
    bed.create_many("first", QUERIES).await;
    let first = bed.until_in_phase(Phase::Succeeded, QUERIES).await;
    println!("{QUERIES} queries were done after {:?}", started.elapsed());
    bed.assert_rows_of(&first).await;
    assert_eq!(
        bed.stack.arxiv().unwrap().requests().len(),
        QUERIES,
        "one request each"
    );
    assert_eq!(
        bed.stack.arxiv().unwrap().max_open(),
        1,
        "one connection at a time"
    );
    // One status write each.
    bed.until_metric("arxiv_operator_status_writes_total{outcome=\"written\"}", 200.0)
        .await;

    // The same while the operator is killed again and again.
    let creation = bed.create_many("second", QUERIES);
    let killing = async {
        for killed_after in [40, 90, 150] {
            bed.until_in_phase(Phase::Succeeded, QUERIES + killed_after).await;
            bed.operator().kill9_and_start().unwrap();
        }
    };
    tokio::join!(creation, killing);
    let all = bed.until_in_phase(Phase::Succeeded, 2 * QUERIES).await;
    bed.assert_rows_of(&all).await;
    // What was in flight at a kill may have been asked for again, nothing else.
    let requests = bed.stack.arxiv().unwrap().requests().len();
    assert!(requests <= 2 * QUERIES + 3, "{requests} requests");
    assert_eq!(
        bed.stack.arxiv().unwrap().max_open(),
        1,
        "one connection at a time"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_rows_under_the_next_numbers_are_left_alone() {
    let bed = Bed::start(options()).await;
    let strange = "
        insert into public.queries (query_id, timestamp, status, num_results, num_entries, query)
            select n, 1711843200, 200, 3, 1, 'a stranger''s' from generate_series(1, 40) n;
        insert into public.results (query_id, timestamp, result_number, author, title, journal)
            select n, 1711843200, 0, 'a stranger', 'a title', '' from generate_series(21, 60) n;";
    bed.primary().execute("arxiv", strange).await.unwrap();
    bed.create_many("own", 5).await;
    let objects = bed.until_in_phase(Phase::Succeeded, 5).await;
    bed.assert_rows_of(&objects).await;
    for object in &objects {
        let number = object.status.as_ref().unwrap().query_id.unwrap();
        assert!(number > 60, "{number} is a stranger's");
    }
    let mut connection = bed.primary().connect("arxiv").await.unwrap();
    for (table, text) in [("queries", "query"), ("results", "author")] {
        let strangers: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "select count(*) from public.{table} where query_uid is null and {text} like 'a stranger%'"
        )))
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert_eq!(strangers, 40, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_made_anew_under_a_name_gets_rows_of_its_own() {
    on_one_day().await;
    let bed = Bed::start(options()).await;
    let arxiv = bed.stack.arxiv().unwrap();
    // Long enough for what is done meanwhile.
    let late = Behaviour {
        delay_ms: 8_000,
        ..Behaviour::default()
    }
    .times(1);
    arxiv.set(late.clone());
    let first = bed.create("same", search("one")).await;
    arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    // Deleted while its request is under way, and at once there again, with another search.
    bed.queries
        .delete("same", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    let second = bed.create("same", search("two")).await;
    assert_ne!(first.metadata.uid, second.metadata.uid);
    let status = bed.finished("same").await;
    assert_eq!(status.phase, Phase::Succeeded);
    assert_eq!(status.query.as_deref(), Some("ti:two"));
    let object = bed.queries.get("same").await.unwrap();
    assert_eq!(object.metadata.uid, second.metadata.uid);
    bed.assert_rows_of(&[object]).await;

    // The first one's page was stored; a search like it asks nothing.
    let asked = arxiv.requests().len();
    bed.create("like-the-first", search("one")).await;
    assert_eq!(bed.finished("like-the-first").await.phase, Phase::Succeeded);
    assert_eq!(arxiv.requests().len(), asked);

    // Deleted while it waits in the queue behind another one: never asked for.
    arxiv.set(late);
    bed.create("ahead", search("ahead")).await;
    arxiv.wait_for_requests(asked + 1, LIMIT).await.unwrap();
    bed.create("behind", search("behind")).await;
    let waits = within(LIMIT, async || {
        (bed.metric("arxiv_operator_queue_length").await > 1.5).then_some(())
    })
    .await;
    assert!(waits.is_some(), "it waits in the queue");
    bed.queries
        .delete("behind", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(bed.finished("ahead").await.phase, Phase::Succeeded);
    bed.create("last", search("last")).await;
    assert_eq!(bed.finished("last").await.phase, Phase::Succeeded);
    assert!(
        arxiv
            .requests()
            .iter()
            .all(|request| request.search_query != "ti:behind")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_on_two_servers_hold_each_query_once_across_a_kill() {
    let bed = Bed::start(Options {
        separate_results_server: true,
        // It watches all namespaces, so it must not see those of other tests.
        cluster_wide: true,
        own_control_plane: true,
        ..options()
    })
    .await;
    bed.create_many("split", 60).await;
    for killed_after in [10, 30] {
        bed.until_in_phase(Phase::Succeeded, killed_after).await;
        bed.operator().kill9_and_start().unwrap();
    }
    let objects = bed.until_in_phase(Phase::Succeeded, 60).await;
    let pairs = async |server: &Postgres, sql: &'static str| -> Vec<(String, i64)> {
        let mut connection = server.connect("arxiv").await.unwrap();
        let mut pairs = sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
        pairs.sort();
        pairs
    };
    let mut told: Vec<_> = objects
        .iter()
        .map(|object| {
            (
                object.metadata.uid.clone().unwrap(),
                object.status.as_ref().unwrap().query_id.unwrap(),
            )
        })
        .collect();
    told.sort();
    let queries = "select query_uid::text, query_id from public.queries";
    assert_eq!(pairs(bed.primary(), queries).await, told);
    let results = "select query_uid::text, query_id from public.results group by 1, 2
                   having array_agg(result_number::int order by result_number) = '{0,1}'";
    let server = bed.stack.databases.results.as_ref().unwrap();
    assert_eq!(pairs(server, results).await, told);
    let all = "select 'rows', count(*) from public.results";
    assert_eq!(pairs(server, all).await, [("rows".to_owned(), 120)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_recorded_of_a_query_that_another_operator_failed_meanwhile() {
    let bed = Bed::start(Options {
        operators: 2,
        ..options()
    })
    .await;
    let (late, other) = (&bed.stack.operators[0], &bed.stack.operators[1]);
    let arxiv = bed.stack.arxiv().unwrap();
    let mut database = bed.primary().connect("arxiv_sequence").await.unwrap();
    // On a machine so busy that the late one's time limits are over as it wakes, it only starts anew: then once more.
    for round in 0..5 {
        let name = format!("late{round}");
        // It has the page, has seen that its object stands, and waits for its number.
        other.child().freeze();
        arxiv.set(Mode::Ok);
        let hold = "begin; lock table public.arxiv_ledger in share mode";
        sqlx::raw_sql(hold).execute(&mut database).await.unwrap();
        bed.create(&name, search(&name)).await;
        let mut admin = bed.primary().connect("postgres").await.unwrap();
        let waits = within(LIMIT, async || {
            let waiting: bool = sqlx::query_scalar(
                "select exists (select from pg_stat_activity
                 where wait_event_type = 'Lock' and query like 'insert into public.arxiv_ledger%')",
            )
            .fetch_one(&mut admin)
            .await
            .unwrap();
            waiting.then_some(())
        })
        .await;
        assert!(waits.is_some(), "it waits for its number\n{}", bed.logs());
        late.child().freeze();
        let go_on = "delete from public.arxiv_pages; commit";
        sqlx::raw_sql(go_on).execute(&mut database).await.unwrap();

        // The other one finds no page, and arXiv does not take the search any more.
        arxiv.set(Mode::Status(400));
        other.child().thaw();
        let status = bed.finished(&name).await;
        assert_eq!((status.phase, status.http_status), (Phase::Failed, Some(400)));

        late.child().thaw();
        let refused = within(Duration::from_secs(5), async || {
            let log = std::fs::read_to_string(late.child().log()).ok()?;
            log.contains("closed by another process").then_some(())
        })
        .await;
        assert_eq!(bed.rows().await, [], "its failure is final");
        assert_eq!(bed.status(&name).await, status, "and so is what was told of it");
        if refused.is_some() {
            return;
        }
    }
    panic!("the late one never came to record\n{}", bed.logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_was_closed_is_told_of_after_a_kill_and_not_fetched_again() {
    let bed = Bed::start(options()).await;
    bed.operator().child().kill9();
    let object = bed.create("closed", search("closed")).await;
    // As a kill between the closing and the status leaves it.
    let closing = format!(
        "insert into public.arxiv_closed_queries (query_uid, reason, message, http_status)
         values ('{}', 'BrokenFeed', 'the feed is broken', 502)",
        object.metadata.uid.unwrap()
    );
    bed.primary().execute("arxiv", &closing).await.unwrap();
    bed.operator().child().start_again().unwrap();
    let status = bed.finished("closed").await;
    assert_eq!(
        (status.phase, status.http_status, status.message.as_deref()),
        (Phase::Failed, Some(502), Some("the feed is broken"))
    );
    assert!(bed.stack.arxiv().unwrap().requests().is_empty());
    assert_eq!(bed.rows().await, []);
}
