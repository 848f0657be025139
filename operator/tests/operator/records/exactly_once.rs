//! Exactly once: however the operator is killed, and whatever rows the tables have already.

use crd::Phase;
use std::time::{Duration, Instant};
use testbed::TestEnv;
use testbed::test_env::{LIMIT, search, within, within_one_arxiv_day};
use testbed::{
    Postgres,
    arxiv::{Behaviour, Mode},
    stack::Options,
};

const QUERIES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_recorded_once_when_operator_is_killed() {
    let env = TestEnv::start(Options::operator_only()).await;
    let started = Instant::now();
    env.create_many("first", QUERIES).await;
    let first = env.until_in_phase(Phase::Succeeded, QUERIES).await;
    println!("{QUERIES} queries were done after {:?}", started.elapsed());
    env.assert_rows_of(&first).await;
    assert_eq!(
        env.stack.arxiv().unwrap().requests().len(),
        QUERIES,
        "one request each"
    );
    assert_eq!(
        env.stack.arxiv().unwrap().max_open(),
        1,
        "one connection at a time"
    );
    // One status write each.
    env.until_metric("arxiv_operator_status_writes_total{outcome=\"written\"}", 200.0)
        .await;

    // The same while the operator is killed again and again.
    let creation = env.create_many("second", QUERIES);
    let killing = async {
        for killed_after in [40, 90, 150] {
            env.until_in_phase(Phase::Succeeded, QUERIES + killed_after).await;
            env.operator().kill9_and_start().unwrap();
        }
    };
    tokio::join!(creation, killing);
    let all = env.until_in_phase(Phase::Succeeded, 2 * QUERIES).await;
    env.assert_rows_of(&all).await;
    // Only a request in flight at a kill may have been sent again.
    let requests = env.stack.arxiv().unwrap().requests().len();
    assert!(requests <= 2 * QUERIES + 3, "{requests} requests");
    assert_eq!(
        env.stack.arxiv().unwrap().max_open(),
        1,
        "one connection at a time"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn query_id_skips_numbers_of_foreign_rows() {
    let env = TestEnv::start(Options::operator_only()).await;
    let foreign_rows = "
        insert into public.queries (query_id, timestamp, status, num_results, num_entries, query)
            select n, 1711843200, 200, 3, 1, 'a foreign query' from generate_series(1, 40) n;
        insert into public.results (query_id, timestamp, result_number, author, title, journal)
            select n, 1711843200, 0, 'a foreign author', 'a title', '' from generate_series(21, 60) n;";
    env.primary().execute("arxiv", foreign_rows).await.unwrap();
    env.create_many("own", 5).await;
    let objects = env.until_in_phase(Phase::Succeeded, 5).await;
    env.assert_rows_of(&objects).await;
    for object in &objects {
        let number = object.status.as_ref().unwrap().query_id.unwrap();
        assert!(number > 60, "{number} belongs to a foreign row");
    }
    let mut connection = env.primary().connect("arxiv").await.unwrap();
    for (table, text) in [("queries", "query"), ("results", "author")] {
        let foreign: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "select count(*) from public.{table} where query_uid is null and {text} like 'a foreign%'"
        )))
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert_eq!(foreign, 40, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recreated_object_of_same_name_gets_its_own_rows() {
    within_one_arxiv_day().await;
    let env = TestEnv::start(Options::operator_only()).await;
    let arxiv = env.stack.arxiv().unwrap();
    // Long enough for what is done meanwhile.
    let late = Behaviour {
        delay_ms: 8_000,
        ..Behaviour::default()
    }
    .times(1);
    arxiv.set(late.clone());
    let first = env.create("same", search("one")).await;
    arxiv.wait_for_requests(1, LIMIT).await.unwrap();
    // Deleted while its request is in flight, and created again at once with another search.
    env.queries
        .delete("same", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    let second = env.create("same", search("two")).await;
    assert_ne!(first.metadata.uid, second.metadata.uid);
    let status = env.finished("same").await;
    assert_eq!(status.phase, Phase::Succeeded);
    assert_eq!(status.query.as_deref(), Some("ti:two"));
    let object = env.queries.get("same").await.unwrap();
    assert_eq!(object.metadata.uid, second.metadata.uid);
    env.assert_rows_of(&[object]).await;

    // The first object's page was stored; the same search sends no request.
    let asked = arxiv.requests().len();
    env.create("like-the-first", search("one")).await;
    assert_eq!(env.finished("like-the-first").await.phase, Phase::Succeeded);
    assert_eq!(arxiv.requests().len(), asked);

    // Deleted while it waits in the queue behind another one: never requested.
    arxiv.set(late);
    env.create("ahead", search("ahead")).await;
    arxiv.wait_for_requests(asked + 1, LIMIT).await.unwrap();
    env.create("behind", search("behind")).await;
    let waits = within(LIMIT, async || {
        (env.metric("arxiv_operator_queue_length").await > 1.5).then_some(())
    })
    .await;
    assert!(waits.is_some(), "it waits in the queue");
    env.queries
        .delete("behind", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(env.finished("ahead").await.phase, Phase::Succeeded);
    env.create("last", search("last")).await;
    assert_eq!(env.finished("last").await.phase, Phase::Succeeded);
    assert!(
        arxiv
            .requests()
            .iter()
            .all(|request| request.search_query != "ti:behind")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_on_split_servers_are_recorded_once_when_operator_is_killed() {
    let env = TestEnv::start(Options {
        separate_results_server: true,
        // It watches all namespaces, so it must not see those of other tests.
        cluster_wide: true,
        own_control_plane: true,
        ..Options::operator_only()
    })
    .await;
    env.create_many("split", 60).await;
    for killed_after in [10, 30] {
        env.until_in_phase(Phase::Succeeded, killed_after).await;
        env.operator().kill9_and_start().unwrap();
    }
    let objects = env.until_in_phase(Phase::Succeeded, 60).await;
    let pairs = async |server: &Postgres, sql: &'static str| -> Vec<(String, i64)> {
        let mut connection = server.connect("arxiv").await.unwrap();
        let mut pairs = sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
        pairs.sort();
        pairs
    };
    let mut expected: Vec<_> = objects
        .iter()
        .map(|object| {
            (
                object.metadata.uid.clone().unwrap(),
                object.status.as_ref().unwrap().query_id.unwrap(),
            )
        })
        .collect();
    expected.sort();
    let queries = "select query_uid::text, query_id from public.queries";
    assert_eq!(pairs(env.primary(), queries).await, expected);
    let results = "select query_uid::text, query_id from public.results group by 1, 2
                   having array_agg(result_number::int order by result_number) = '{0,1}'";
    let server = env.stack.databases.results.as_ref().unwrap();
    assert_eq!(pairs(server, results).await, expected);
    let all = "select 'rows', count(*) from public.results";
    assert_eq!(pairs(server, all).await, [("rows".to_owned(), 120)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_not_recorded_when_another_operator_has_failed_the_query() {
    let env = TestEnv::start(Options {
        operators: 2,
        ..Options::operator_only()
    })
    .await;
    let (late, other) = (&env.stack.operators[0], &env.stack.operators[1]);
    let arxiv = env.stack.arxiv().unwrap();
    let mut database = env.primary().connect("arxiv_sequence").await.unwrap();
    // On a very busy machine the late operator's time limits have passed when it wakes, and it only
    // reconciles again: then once more.
    for round in 0..5 {
        let name = format!("late{round}");
        // It has the page, has checked that its object is current, and waits for its number.
        other.child().freeze();
        arxiv.set(Mode::Ok);
        let hold = "begin; lock table public.arxiv_ledger in share mode";
        sqlx::raw_sql(hold).execute(&mut database).await.unwrap();
        env.create(&name, search(&name)).await;
        let mut admin = env.primary().connect("postgres").await.unwrap();
        let waits = within(LIMIT, async || {
            let waiting: bool = sqlx::query_scalar(
                "select exists (select from pg_stat_activity
                 where wait_event_type = 'Lock' and query like '%assign_query_ids%')",
            )
            .fetch_one(&mut admin)
            .await
            .unwrap();
            waiting.then_some(())
        })
        .await;
        assert!(
            waits.is_some(),
            "it waits for its number\n{}",
            env.operator_logs()
        );
        late.child().freeze();
        let go_on = "delete from public.arxiv_pages; commit";
        sqlx::raw_sql(go_on).execute(&mut database).await.unwrap();

        // The other one finds no page, and arXiv refuses the search now.
        arxiv.set(Mode::Status(400));
        other.child().thaw();
        let status = env.finished(&name).await;
        assert_eq!((status.phase, status.http_status), (Phase::Failed, Some(400)));

        late.child().thaw();
        let refused = within(Duration::from_secs(5), async || {
            let log = std::fs::read_to_string(late.child().log()).ok()?;
            log.contains("failed by another process").then_some(())
        })
        .await;
        assert_eq!(env.rows().await, [], "its failure is final");
        assert_eq!(env.status(&name).await, status, "and so is its status");
        if refused.is_some() {
            return;
        }
    }
    panic!("the late operator never tried to record\n{}", env.operator_logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn tombstone_gives_failed_status_without_fetch_after_kill() {
    let env = TestEnv::start(Options::operator_only()).await;
    env.operator().child().kill9();
    let object = env.create("failed", search("failed")).await;
    // As a kill between the tombstone and the status leaves it.
    let tombstone = format!(
        "insert into public.arxiv_query_tombstones (query_uid, reason, message, http_status)
         values ('{}', 'BrokenFeed', 'the feed is broken', 502)",
        object.metadata.uid.unwrap()
    );
    env.primary().execute("arxiv", &tombstone).await.unwrap();
    env.operator().child().start_again().unwrap();
    let status = env.finished("failed").await;
    assert_eq!(
        (status.phase, status.http_status, status.message.as_deref()),
        (Phase::Failed, Some(502), Some("the feed is broken"))
    );
    assert!(env.stack.arxiv().unwrap().requests().is_empty());
    assert_eq!(env.rows().await, []);
}
