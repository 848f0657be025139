//! By which plans papers are read.

use paper::PaperId;
use storage::{Access, PaperFilter, PaperOrder, Reads, TextQuery, WhichVersion};

use super::filters::plans;
use crate::setup::{Server, eventually, pool_settings};

fn words(text: &str) -> Option<TextQuery> {
    TextQuery::parse(text).ok()
}

/// `STORAGE_TEST_ROWS=1000000` takes minutes.
fn rows() -> i64 {
    let given = std::env::var("STORAGE_TEST_ROWS").ok();
    given.map_or(50_000, |rows| rows.parse().unwrap())
}

/// Papers with words of any frequency, at any place in the order of dates.
fn fill() -> String {
    format!(
        "insert into arxiv_papers (paper, version, title, authors, abstract, categories, published, updated, links, first_seen_at,
           changed_at, fetched_at, category_keys, words)
         select 'p' || n, 1, 'T', '[]', 'A', '{{}}', t, t, '[]', t, t, t, case when n % 1000 = 0 then '{{cs.*}}' else '{{math.*}}' end::text[],
           setweight(to_tsvector('simple', concat_ws(' ', 'common', case when n % 2 = 0 then 'half' end, 'w' || n)), 'C')
           || setweight(to_tsvector('simple', concat_ws(' ', case when n % 1000 = 0 then 'some' end, case when n % 25 = 0 then 'more' end,
                case when n < 5000 or n % 400 = 0 then 'sparse' end, case when n < 5000 then 'early' end)), 'A')
           || setweight(to_tsvector('simple', 'author' || n % 500), 'B')
         from generate_series(1, {}) n, lateral (select timestamptz 'epoch' + n * interval '1 hour' as t) times",
        rows()
    )
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a table")]
async fn papers_are_found_without_reading_the_whole_table() {
    let server = Server::migrated().await;
    server.execute("arxiv", &fill()).await;
    server.execute("arxiv", "vacuum analyze arxiv_papers").await;
    // As many as a plan is made for; an index of a small table is read in any case.
    let million = "update pg_class set reltuples = reltuples * 1000000 / (select reltuples from pg_class where relname = 'arxiv_papers')
                   where relname like 'arxiv_papers%' and reltuples > 0";
    server.execute("arxiv", million).await;
    let mut settings = pool_settings(Access::ReadOnly);
    settings.max_connections = 1;
    let pool = storage::Pool::open(server.url("arxiv_ro", "arxiv"), &settings).unwrap();
    let reads = Reads::new(pool.clone(), pool.clone(), None);
    let scans =
        "select coalesce(sum(seq_scan), 0)::bigint from pg_stat_user_tables where relname = 'arxiv_papers'";
    let others = "select count(*) from pg_stat_activity where datname = 'arxiv' and pid <> pg_backend_pid()
                  and backend_type in ('client backend', 'parallel worker')";
    eventually("nobody else is there", async || {
        server.value::<i64>("arxiv", others).await == 0
    })
    .await;
    let before: i64 = server.value("arxiv", scans).await;
    let of = |text: &str| PaperFilter {
        words: words(text),
        ..PaperFilter::default()
    };
    let all = PaperFilter::default();
    for (filter, expected) in [
        (all.clone(), 10),
        (of("common"), 10),
        (of("half"), 10),
        (of("more"), 10),
        (of("some"), 10),
        (of("sparse"), 10),
        (of("early"), 10),
        (of("w777"), 1),
        (of("none"), 0),
        (of("common some"), 10),
        (of("\"common half\""), 10),
        (
            PaperFilter {
                author: words("author7"),
                ..of("common")
            },
            10,
        ),
        (
            PaperFilter {
                category: Some("cs.*".into()),
                ..all.clone()
            },
            10,
        ),
        (
            PaperFilter {
                doi: Some("10.1/x".into()),
                ..all.clone()
            },
            0,
        ),
        (
            PaperFilter {
                published: (Some(0), Some(7200)),
                ..all.clone()
            },
            2,
        ),
    ] {
        for order in [PaperOrder::Updated, PaperOrder::Published, PaperOrder::Relevance] {
            if order == PaperOrder::Relevance && filter.words.is_none() {
                continue;
            }
            let found = reads.papers(&filter, order, None, 10).await.unwrap();
            assert_eq!(found.len(), expected, "{filter:?} {order:?}");
            if let Some(last) = found.last() {
                let after = last.position(order);
                reads.papers(&filter, order, Some(&after), 10).await.unwrap();
            }
        }
    }
    assert!(reads.paper(&PaperId::of_entry("p7")).await.unwrap().is_some());
    for which in [WhichVersion::Named, WhichVersion::Newest] {
        let found = reads
            .whole_papers(&[PaperId::of_entry("p7v1")], which)
            .await
            .unwrap();
        assert_eq!(found.len(), 1);
    }
    let all_plans = plans(&pool).await;
    let windows = all_plans
        .iter()
        .filter(|(sql, _)| sql.contains("desc offset 1999"));
    assert!(windows.count() >= 2, "one for each order");
    let mut since = 0;
    for (sql, plan) in &all_plans {
        assert!(!plan.contains("Seq Scan on arxiv_papers"), "{sql}\n{plan}");
        // The newest that have the words: by both indexes, so that the papers of no other time and with no other words are read.
        if sql.contains("updated >= timestamptz 'epoch'") && sql.contains("words @@") {
            since += 1;
            assert!(plan.contains("BitmapAnd"), "{sql}\n{plan}");
        }
    }
    assert!(since >= 2, "{since} statements for the newest papers with words");
    // The papers of results are read by their key, also where the server prefers what it takes for cheap.
    let mut connection = pool.acquire().await.unwrap();
    sqlx::raw_sql("set enable_seqscan = on")
        .execute(&mut *connection)
        .await
        .unwrap();
    drop(connection);
    let of_results = plans(&pool).await;
    let of_results: Vec<_> = of_results
        .iter()
        .filter(|(sql, _)| sql.starts_with("with wanted"))
        .collect();
    assert_eq!(of_results.len(), 2);
    for (sql, plan) in of_results {
        let by_key = plan.contains("arxiv_papers_pkey") && !plan.contains("Seq Scan on arxiv_papers");
        assert!(by_key, "{sql}\n{plan}");
    }
    // Sessions tell what they did at their end.
    drop((reads, pool));
    eventually("the counters", async || {
        let sql = "select count(*) from pg_stat_activity where usename = 'arxiv_ro'";
        server.value::<i64>("arxiv", sql).await == 0
    })
    .await;
    assert_eq!(server.value::<i64>("arxiv", scans).await, before);
}
