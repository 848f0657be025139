//! What is found by words and other filters, and by which plans.

use std::time::Instant;

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Row};
use storage::{Access, Position, QueryFilter, Reads, ResultFilter, TextQuery};

use crate::setup::{Server, pool_settings};

#[allow(clippy::unnecessary_wraps, reason = "filters hold it so")]
fn words(text: &str) -> Option<TextQuery> {
    Some(TextQuery::parse(text).unwrap())
}

fn by_title(text: &str) -> ResultFilter {
    ResultFilter {
        title: words(text),
        ..ResultFilter::default()
    }
}

async fn titles(reads: &Reads, filter: &ResultFilter) -> Vec<String> {
    let rows = reads.find(filter, 0, 100).await.unwrap();
    rows.into_iter().map(|row| row.paper.title).collect()
}

/// Whatever Unicode makes of a character: nothing, a space, punctuation, or many letters.
#[tokio::test]
async fn every_word_that_is_read_is_accepted_by_the_server() {
    let server = Server::migrated().await;
    let pool = server.pool("arxiv_ro", "arxiv");
    let reads = Reads::new(pool.clone(), pool, None);
    let words: Vec<String> = ('\u{1}'..=char::MAX)
        .filter(|c| c.is_alphanumeric() || ('\u{300}'..='\u{36F}').contains(c))
        .map(String::from)
        .collect();
    assert!(words.len() > 100_000);
    // Each alone is its own word; so many together that the server is asked often enough, but not for hours.
    for some in words.chunks(2000) {
        let Ok(query) = TextQuery::parse(&some.join(" ")) else {
            continue;
        };
        let filter = ResultFilter {
            title: Some(query),
            ..ResultFilter::default()
        };
        let found = reads.find(&filter, 0, 1).await;
        assert!(found.is_ok(), "{:?} … {:?}: {found:?}", some.first(), some.last());
    }
    for c in [
        "\u{345}", "\u{37A}", "\u{FDFA}", "\u{2474}", "\u{FE70}", "\u{149}",
    ] {
        let text = format!("a {c} {c}b");
        let found = reads.find(&by_title(&text), 0, 1).await;
        assert!(found.is_ok(), "{text}: {found:?}");
    }
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a table")]
async fn text_filter_ignores_case_accents_and_punctuation() {
    let server = Server::migrated().await;
    let rows = "insert into results (query_id, timestamp, author, title, journal, categories) values
        (1, 100, 'Paul Erdős, A. Rényi', 'On Random-Graphs, I', 'Publ. Math. 6', 'math.CO cs.DM'),
        (1, 100, 'Jan Łukasiewicz', 'random walks on graphs', null, 'math.CO'),
        (2, 200, null, 'Straße ﬁnite ２３', '', null),
        (2, 300, 'M. Müller', 'It''s «quoted» 量子 graphs', 'J. (2020)', 'quant-ph');";
    server.execute("arxiv", rows).await;
    let pool = server.pool("arxiv_ro", "arxiv");
    let reads = Reads::new(pool.clone(), pool, None);
    for (text, count) in [
        ("GRAPHS", 3),
        ("random graphs", 2),
        ("\"random graphs\"", 1),
        ("\"graphs random\"", 0),
        ("random-graphs", 2),
        ("strasse", 1),
        ("straße", 1),
        ("finite 23", 1),
        ("quoted", 1),
        ("量子", 1),
        ("it's", 1),
        ("graph", 0),
        ("& | ! graphs :* <->", 3),
    ] {
        assert_eq!(titles(&reads, &by_title(text)).await.len(), count, "{text}");
    }
    for (author, count) in [
        ("erdos renyi", 1),
        ("ERDŐS", 1),
        ("lukasiewicz", 1),
        ("Muller m", 1),
        ("x", 0),
    ] {
        let filter = ResultFilter {
            author: words(author),
            ..ResultFilter::default()
        };
        assert_eq!(titles(&reads, &filter).await.len(), count, "{author}");
    }
    let all = ResultFilter {
        author: words("paul"),
        title: words("on"),
        journal: words("math"),
        category: Some("cs.DM".into()),
        query_id: Some(1),
        start: Some(100),
        end: Some(100),
    };
    assert_eq!(titles(&reads, &all).await, ["On Random-Graphs, I"]);
    for (filter, count) in [
        (
            ResultFilter {
                category: Some("math.CO".into()),
                ..ResultFilter::default()
            },
            2,
        ),
        (
            ResultFilter {
                category: Some("math".into()),
                ..ResultFilter::default()
            },
            0,
        ),
        (
            ResultFilter {
                query_id: Some(2),
                ..ResultFilter::default()
            },
            2,
        ),
        (
            ResultFilter {
                start: Some(101),
                end: Some(299),
                ..ResultFilter::default()
            },
            1,
        ),
        (
            ResultFilter {
                start: Some(201),
                end: Some(200),
                ..ResultFilter::default()
            },
            0,
        ),
    ] {
        assert_eq!(titles(&reads, &filter).await.len(), count, "{filter:?}");
        assert_eq!(
            reads.total(&filter).await.unwrap(),
            Some(i64::try_from(count).unwrap())
        );
    }
    let third = reads.find(&by_title("graphs"), 1, 2).await.unwrap();
    assert_eq!(third.len(), 1, "the second page");

    let queries = "insert into queries (timestamp, status, query) values
        (1, 200, 'search_query=au:knuth&start=0'), (2, 404, 'search_query=ti:Árvíz'), (3, 200, null), (4, 200, 'au:KNUTH')";
    server.execute("arxiv", queries).await;
    for (status, text, expected) in [
        (None, "knuth", vec![1, 4]),
        (Some(404), "search query", vec![2]),
        (Some(200), "arviz", vec![]),
    ] {
        let filter = QueryFilter {
            status,
            text: words(text),
        };
        let found: Vec<_> = reads.queries(0, None, filter).try_concat().await.unwrap();
        assert_eq!(
            found.iter().map(|row| row.timestamp).collect::<Vec<_>>(),
            expected,
            "{text}"
        );
    }
    let filter = QueryFilter {
        status: Some(200),
        text: None,
    };
    let found: Vec<_> = reads.queries(2, None, filter).try_concat().await.unwrap();
    assert_eq!(found.len(), 2);
}

/// A table of this many rows; `STORAGE_TEST_ROWS=1000000` takes minutes.
fn rows() -> i64 {
    let given = std::env::var("STORAGE_TEST_ROWS").ok();
    given.map_or(200_000, |rows| rows.parse().unwrap())
}

/// As the existing service would have filled it, then adopted.
async fn filled() -> Server {
    let server = Server::empty().await;
    let fill = format!(
        "{}
         insert into results (query_id, timestamp, result_number, author, title, journal)
           select n / 10, 1700000000 + n, n % 10, 'Ada Łovelace ' || n % 1000 || ', Paul Erdős',
             'On the common graphs and rare' || n || case when n < 20000 then ' early' else '' end,
             case when n % 3 = 0 then 'Phys. Rev. ' || n % 500 else '' end
           from generate_series(1, {rows}) n;
         insert into queries (query_id, timestamp, status, query)
           select n, 1700000000 + n, case when n % 1000 = 0 then 500 else 200 end, 'search_query=ti:rare' || n
           from generate_series(1, {rows}) n;
         do $$ declare t record; begin
           for t in select tablename from pg_tables where schemaname = 'public' loop
             execute format('alter table %I owner to arxiv_owner', t.tablename); end loop; end $$;
         vacuum",
        crate::migrations::adoption::EXISTING_TABLES,
        rows = rows()
    );
    for statement in [
        fill.strip_suffix("vacuum").unwrap(),
        "vacuum results",
        "vacuum queries",
    ] {
        server.execute("arxiv", statement).await;
    }
    server.migrate().await;
    server
}

/// Sequential scans of the two tables so far.
async fn scans(server: &Server) -> i64 {
    server
        .value(
            "arxiv",
            "select sum(seq_scan)::bigint from pg_stat_user_tables where relname in ('results', 'queries')",
        )
        .await
}

/// The plans of what this connection has prepared, whatever the parameters are.
pub(super) async fn plans(pool: &storage::Pool) -> Vec<(String, String)> {
    let mut connection = pool.acquire().await.unwrap();
    let all = "select name, statement, cardinality(parameter_types) from pg_prepared_statements where statement like '%public.%'";
    let statements = sqlx::query(all).fetch_all(&mut *connection).await.unwrap();
    sqlx::raw_sql("set plan_cache_mode = force_generic_plan")
        .execute(&mut *connection)
        .await
        .unwrap();
    let mut plans = Vec::new();
    for row in statements {
        let (name, sql, parameters): (String, String, i32) = (row.get(0), row.get(1), row.get(2));
        let nulls = vec!["null"; usize::try_from(parameters).unwrap()].join(", ");
        let arguments = if parameters == 0 {
            String::new()
        } else {
            format!("({nulls})")
        };
        let explain = format!("explain execute {name}{arguments}");
        let lines = sqlx::raw_sql(AssertSqlSafe(explain))
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        let plan: Vec<String> = lines.iter().map(|line| line.get(0)).collect();
        plans.push((sql, plan.join("\n")));
    }
    plans
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a table")]
async fn filters_use_indexes_not_whole_tables() {
    let server = filled().await;
    let count = rows();
    let mut settings = pool_settings(Access::ReadOnly);
    settings.max_connections = 1;
    let pool = storage::Pool::open(server.url("arxiv_ro", "arxiv"), &settings).unwrap();
    let reads = Reads::new(pool.clone(), pool.clone(), None);
    // Those who filled it tell what they did at their end, as do their helpers.
    crate::setup::eventually("nobody else is there", async || {
        let sql = "select count(*) from pg_stat_activity where datname = 'arxiv' and pid <> pg_backend_pid()
                   and backend_type in ('client backend', 'parallel worker')";
        server.value::<i64>("arxiv", sql).await == 0
    })
    .await;
    let before = scans(&server).await;
    let by_time = |start, end| ResultFilter {
        start,
        end,
        ..ResultFilter::default()
    };
    let two = ResultFilter {
        author: words("erdos ada"),
        ..by_title("graphs")
    };
    let filters = [
        ("nothing", by_title("nonesuch"), 0),
        ("one", by_title(&format!("rare{}", count / 2)), 1),
        ("nearly all", by_title("common graphs"), 10),
        ("those at the start", by_title("early"), 10),
        ("a phrase", by_title("\"the common graphs\""), 10),
        ("two columns", two, 10),
        (
            "a journal",
            ResultFilter {
                journal: words("phys 7"),
                ..ResultFilter::default()
            },
            10,
        ),
        (
            "a category",
            ResultFilter {
                category: Some("math.CO".into()),
                ..ResultFilter::default()
            },
            0,
        ),
        (
            "a query",
            ResultFilter {
                query_id: Some(count / 20),
                ..ResultFilter::default()
            },
            10,
        ),
        (
            "no query",
            ResultFilter {
                query_id: Some(-1),
                ..ResultFilter::default()
            },
            0,
        ),
        ("the last", by_time(Some(1_700_000_000 + count - 4), None), 5),
        ("all times", by_time(Some(0), Some(i64::MAX)), 10),
    ];
    for (what, filter, expected) in &filters {
        let begun = Instant::now();
        // Often enough for the server to think of a plan for any parameters.
        for _ in 0..7 {
            assert_eq!(
                reads.find(filter, 0, 10).await.unwrap().len(),
                *expected,
                "{what}"
            );
        }
        let found = begun.elapsed() / 7;
        let half = Position {
            id: count / 2,
            ..Position::START
        };
        let walked = reads.settled_after(filter, half, 10).await.unwrap();
        assert!(walked.is_none(), "nothing is settled yet");
        let begun = Instant::now();
        let total = reads.total(filter).await.unwrap();
        println!("{what}: a page in {found:?}; {total:?} in {:?}", begun.elapsed());
    }
    for filter in [
        QueryFilter {
            status: Some(500),
            text: None,
        },
        QueryFilter {
            status: Some(501),
            text: None,
        },
        QueryFilter {
            status: None,
            text: words(&format!("rare{}", count - 1)),
        },
        QueryFilter {
            status: None,
            text: words("nonesuch"),
        },
        QueryFilter {
            status: Some(500),
            text: words("search query"),
        },
    ] {
        let begun = Instant::now();
        let rows: Vec<_> = reads
            .queries(1_700_000_000, None, filter.clone())
            .try_collect()
            .await
            .unwrap();
        println!("{filter:?}: {} queries in {:?}", rows.len(), begun.elapsed());
    }
    // No row of that table has a name.
    assert_eq!(reads.ended("science", "searched").await.unwrap(), None);
    let plans = plans(&pool).await;
    assert!(plans.len() >= 12, "{}", plans.len());
    for (sql, plan) in plans {
        assert!(
            !plan.contains("Seq Scan on results") && !plan.contains("Seq Scan on queries"),
            "{sql}\n{plan}"
        );
    }
    // Sessions tell what they did at their end.
    drop((reads, pool));
    crate::setup::eventually("the counters", async || {
        let sql = "select count(*) from pg_stat_activity where usename = 'arxiv_ro'";
        server.value::<i64>("arxiv", sql).await == 0
    })
    .await;
    assert_eq!(scans(&server).await, before);
}
