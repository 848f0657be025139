//! Results with whole papers, where both tables have a million rows to the server: neither is read as a whole.

use testbed::test_env::eventually;

use crate::support::Api;

/// Papers, each found once.
const FILL: [&str; 4] = [
    "insert into results (query_id, query_uid, timestamp, result_number, author, title, journal, arxiv_id, categories)
       select 100000 + n / 10, null, 1700000000 + n, n % 10, 'Paul Erdős, A' || n % 500, 'On common graphs and rare' || n, '',
              '2405.' || lpad(n::text, 5, '0') || 'v1', case when n % 100 = 0 then 'math.CO' else 'cs.DM' end
         from generate_series(1, 20000) n",
    "insert into arxiv_papers (paper, version, title, authors, abstract, categories, published, updated, links, first_seen_at,
         changed_at, fetched_at, category_keys, words)
       select '2405.' || lpad(n::text, 5, '0'), version, 'On common graphs', '[{\"name\": \"A\"}]', 'We show.', '{math.CO}', t, t, '[]',
              t, t, t, '{math.*}', to_tsvector('simple', 'rare' || n)
         from generate_series(1, 20000) n, generate_series(1, 2) version, lateral (select timestamptz 'epoch' + n * interval '1 hour' as t) times",
    "analyze results, arxiv_papers",
    "update pg_class set reltuples = 1000000 where reltuples > 0 and (relname like 'arxiv_papers%' or relname like 'results%')",
];

/// How often a table was read as a whole, and papers by an index. Sessions tell it at their end.
async fn scans(api: &Api) -> (i64, i64) {
    let others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    let ended: Vec<i32> = api
        .databases
        .column(&format!(
            "select pid from (select pid, pg_terminate_backend(pid) {others}) as ended"
        ))
        .await;
    eventually("they have ended", async || {
        let left: Vec<i32> = api.databases.column(&format!("select pid {others}")).await;
        left.iter().all(|pid| !ended.contains(pid)).then_some(())
    })
    .await;
    let sum = async |column: &str, tables: &str| -> i64 {
        let sql =
            format!("select sum({column})::bigint from pg_stat_user_tables where relname in ({tables})");
        api.databases.column(&sql).await[0]
    };
    (
        sum("seq_scan", "'results', 'arxiv_papers'").await,
        sum("idx_scan", "'arxiv_papers'").await,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_papers_of_results_are_read_without_reading_a_whole_table() {
    let api = Api::start(&[]).await;
    for statement in FILL {
        api.execute(statement).await;
    }
    assert_eq!(api.get("/arxiv?title=a&max_results=25").await.status(), 200);
    api.operator.settle().await;
    let of_query = format!("/arxiv/{}/results", api.name_of("a"));
    let paths = [
        ("/results?format=bibtex", "  eprint = ", 10),
        ("/results?format=csv&items_per_page=100&page=3", "We show.", 100),
        ("/results?fields=title,abstract&page=7", "We show.", 10),
        ("/results?format=atom&after=&items_per_page=100", "<entry>", 100),
        ("/results?format=ris&author=erdos", "ER  - ", 10),
        ("/results?format=csl-json&title=rare777", "\"abstract\"", 1),
        (
            "/results?format=ndjson&category=math.CO&items_per_page=50",
            "We show.",
            50,
        ),
        ("/read-results?format=bibtex&query_id=100700", "  eprint = ", 10),
        (
            "/results?format=bibtex&all=true&category=math.CO&title=common",
            "  eprint = ",
            200,
        ),
        (&format!("{of_query}?format=bibtex"), "  eprint = ", 25),
        (&format!("{of_query}?format=csv&items_per_page=5"), "\r\n", 6),
    ];
    let before = scans(&api).await;
    for (path, part, count) in &paths {
        // Often enough for the server to think of a plan for any parameters.
        for _ in 0..7 {
            let text = api.get(path).await.text().await.unwrap();
            assert_eq!(text.matches(part).count(), *count, "{path}: {text}");
        }
    }
    let after = scans(&api).await;
    assert_eq!(after.0, before.0, "a table was read as a whole");
    assert!(after.1 > before.1, "papers were read by an index");
    api.execute("select count(*) from arxiv_papers where abstract like '%x%'")
        .await;
    assert!(scans(&api).await.0 > after.0, "it would have been counted");
}
