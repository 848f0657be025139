//! The rules of reads, writes, methods and paths that no recorded exchange covers, against the running system.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use reqwest::{Response, header};
use serde_json::{Value, json};
use testbed::TestEnv;
use testbed::test_env::{EMPTY, SEED, error_of, json_body, problems};

#[tokio::test(flavor = "multi_thread")]
async fn records_are_read_and_written() {
    let env = TestEnv::for_api(&[]).await;
    pages(&env).await;
    dates(&env).await;
    many_queries(&env).await;
    writes(&env).await;
    methods_and_paths(&env).await;
}

async fn pages(env: &TestEnv) {
    env.execute(SEED).await;
    for endpoint in ["/results", "/read-results"] {
        let rows = json_body(
            env.get(&format!("{endpoint}?page=%2B1&items_per_page=1_0.0"))
                .await,
        )
        .await;
        assert_eq!(
            (rows.as_array().unwrap().len(), &rows[0]["author"]),
            (10, &json!("A10"))
        );
        assert_eq!(
            json_body(env.get(&format!("{endpoint}?items_per_page=0&page=3")).await).await,
            json!([])
        );
        assert_eq!(
            json_body(env.get(&format!("{endpoint}?items_per_page=1000")).await)
                .await
                .as_array()
                .unwrap()
                .len(),
            25
        );
        assert_eq!(
            json_body(env.get(&format!("{endpoint}?page=9223372036854775807")).await).await,
            json!([])
        );
        let (status, detail) =
            error_of(env.get(&format!("{endpoint}?page=-1&items_per_page=1001")).await).await;
        let expected = [
            ("greater_than_equal".to_owned(), r#"["query","page"]"#.to_owned()),
            (
                "less_than_equal".to_owned(),
                r#"["query","items_per_page"]"#.to_owned(),
            ),
        ];
        assert_eq!((status, problems(&detail)), (422, expected.to_vec()));
    }
}

async fn dates(env: &TestEnv) {
    env.execute(SEED).await;
    // Dates with their own offset, inclusive at both ends.
    let start = 1_711_843_200;
    for (range, expected) in [
        ("start_timestamp=2024-03-31T00:00:00Z", 4),
        ("start_timestamp=2024-03-31T00:30:01Z", 2),
        ("start_timestamp=2024-03-31&end_timestamp=2024-03-31", 4),
        ("start_timestamp=2024-03-30&end_timestamp=2024-03-30", 0),
        (
            "start_timestamp=2024-03-31T05:30:00%2B05:30&end_timestamp=2024-03-31T00:30:00Z",
            2,
        ),
        (
            "start_timestamp=2024-03-31T04:00:00&end_timestamp=2024-03-31T02:00:00",
            0,
        ),
    ] {
        let response = env.get(&format!("/queries?{range}")).await;
        let disposition = "attachment; filename=query_data.json";
        assert_eq!(response.headers()[header::CONTENT_DISPOSITION], disposition);
        assert_eq!(
            json_body(response).await.as_array().unwrap().len(),
            expected,
            "{range}"
        );
    }
    for range in [
        "",
        "end_timestamp=2024-03-31T02:30:00",
        "start_timestamp=2024-03-31T02:00:00+02:00",
    ] {
        let (status, detail) = error_of(env.get(&format!("/queries?{range}")).await).await;
        assert!(status == 400 && detail.is_string(), "{range}: {detail}");
    }
    let unix = json_body(
        env.get(&format!(
            "/read-queries?start_timestamp={start}&end_timestamp=%20{}",
            start + 1800
        ))
        .await,
    );
    assert_eq!(
        unix.await,
        json!([
            {"query": "ArXiv Query: search_query=au:knuth&id_list=&start=0&max_results=8",
             "timestamp": "2024-03-31T02:00:00", "status": 200, "num_results": 1234},
            {"query": "ArXiv Query: search_query=ti:Árvíz", "timestamp": "2024-03-31T02:30:00", "status": 200,
             "num_results": 5},
        ])
    );
    let (status, detail) = error_of(env.get("/read-queries?end_timestamp=x").await).await;
    let expected = [
        ("missing".to_owned(), r#"["query","start_timestamp"]"#.to_owned()),
        (
            "int_parsing".to_owned(),
            r#"["query","end_timestamp"]"#.to_owned(),
        ),
    ];
    assert_eq!((status, problems(&detail)), (422, expected.to_vec()));
}

async fn many_queries(env: &TestEnv) {
    env.execute(SEED).await;
    // Rows without a timestamp are never shown; many rows come whole.
    env.execute(
        "insert into public.queries (query_id, timestamp, status, num_results, num_entries, query)
           select n, case when n % 10 = 0 then null else 1800000000 + n end, 200, n % 100, 1, repeat('q', 300)
           from generate_series(1, 20000) n",
    )
    .await;
    let body = json!({"start_timestamp": "2027-01-01T00:00:00"});
    let response = env.post("/queries", &body).await;
    assert!(!response.headers().contains_key(header::CONTENT_DISPOSITION));
    let rows = json_body(response).await;
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 18_000);
    assert!(
        rows.windows(2)
            .all(|pair| pair[0]["timestamp"].as_str() <= pair[1]["timestamp"].as_str())
    );
    let (status, detail) = error_of(
        env.post("/queries", &json!({"start_timestamp": true, "end_timestamp": 5}))
            .await,
    )
    .await;
    let expected = [
        (
            "string_type".to_owned(),
            r#"["body","start_timestamp"]"#.to_owned(),
        ),
        ("string_type".to_owned(), r#"["body","end_timestamp"]"#.to_owned()),
    ];
    assert_eq!((status, problems(&detail)), (422, expected.to_vec()));
}

async fn writes(env: &TestEnv) {
    env.execute(EMPTY).await;
    let query = json!({"query_id": 9, "timestamp": 1_711_850_500, "status": 200, "num_results": 1, "num_entries": 1,
        "query": "q"});
    let row = |n: usize| json!({"authors": format!("Erdős {n}, B"), "title": "T", "journal": ""});
    let results = json!({"query_id": 9, "timestamp": 1_711_850_500, "results": [row(0), row(1)]});

    // Repeated, written once; other content for the number is refused.
    for _ in 0..2 {
        assert_eq!(env.post("/write-queries", &query).await.status(), 201);
        assert_eq!(env.post("/write-results", &results).await.status(), 201);
    }
    let mut other_query = query.clone();
    other_query["num_results"] = json!(2);
    let (status, detail) = error_of(env.post("/write-queries", &other_query).await).await;
    assert!(status == 409 && detail.is_string(), "{detail}");
    let mut other_results = results.clone();
    other_results["results"][1]["title"] = json!("U");
    assert_eq!(env.post("/write-results", &other_results).await.status(), 409);
    let shorter = json!({"query_id": 9, "timestamp": 1_711_850_500, "results": [row(0)]});
    assert_eq!(env.post("/write-results", &shorter).await.status(), 409);
    assert_eq!(
        (
            env.count("public.queries").await,
            env.count("public.results").await
        ),
        (1, 2)
    );
    env.replicated().await;
    let read = json_body(env.get("/results").await).await;
    assert_eq!(
        read[0],
        json!({"author": "Erdős 0, B", "title": "T", "journal": ""})
    );

    // Nothing is written of what is not right as a whole.
    for field in [
        "query_id",
        "timestamp",
        "status",
        "num_results",
        "num_entries",
        "query",
    ] {
        for bad in [json!(null), json!(1.5), json!([]), json!("\0"), json!(1e30)] {
            let mut body = query.clone();
            body[field] = bad.clone();
            let (status, detail) = error_of(env.post("/write-queries", &body).await).await;
            assert_eq!(status, 422, "{field} {bad}");
            assert_eq!(detail[0]["loc"], json!(["body", field]));
        }
    }
    let mut bad = results.clone();
    bad["query_id"] = json!(10);
    bad["results"][1]["title"] = json!("a\0b");
    let (status, detail) = error_of(env.post("/write-results", &bad).await).await;
    assert_eq!(
        (status, &detail[0]["loc"]),
        (422, &json!(["body", "results", 1, "title"]))
    );
    assert_eq!(
        (
            env.count("public.queries").await,
            env.count("public.results").await
        ),
        (1, 2)
    );

    // As many results as a query can have, and no more.
    let authors = "Erdős, ".repeat(30);
    let many: Vec<Value> = (0..30_001)
        .map(|n| json!({"authors": authors, "title": format!("T{n}"), "journal": ""}))
        .collect();
    let body = |rows: &[Value]| json!({"query_id": 11, "timestamp": 1, "results": rows});
    assert_eq!(env.post("/write-results", &body(&many)).await.status(), 422);
    assert_eq!(
        env.post("/write-results", &body(&many[..30_000])).await.status(),
        201
    );
    assert_eq!(env.count("public.results").await, 30_002);

    // A number that an ArxivQuery owns is nobody else's.
    env.forget_pages().await;
    assert_eq!(env.get("/arxiv?title=owned&max_results=2").await.status(), 200);
    let owned = {
        use sqlx::Row;
        let mut connection = env.stack.databases.primary.connect("arxiv").await.unwrap();
        let query = sqlx::query("select query_id from public.queries where query_uid is not null");
        query.fetch_one(&mut connection).await.unwrap().get::<i64, _>(0)
    };
    let mut forged = query.clone();
    forged["query_id"] = json!(owned);
    assert_eq!(env.post("/write-queries", &forged).await.status(), 409);
    let forged = json!({"query_id": owned, "timestamp": 1, "results": [row(0)]});
    assert_eq!(env.post("/write-results", &forged).await.status(), 409);

    // Numbers are never given twice.
    let first = json_body(env.get("/get-sequence").await).await["sequence"]
        .as_i64()
        .unwrap();
    let second = json_body(env.get("/get-sequence").await).await["sequence"]
        .as_i64()
        .unwrap();
    assert!(second > first && first > owned);
}

async fn methods_and_paths(env: &TestEnv) {
    env.execute(SEED).await;
    let allow = |response: &Response| {
        response
            .headers()
            .get(header::ALLOW)
            .map(|v| v.to_str().unwrap().to_owned())
    };
    for (method, path, allowed) in [
        ("PUT", "/arxiv?title=x", "GET"),
        ("HEAD", "/arxiv?title=x", "GET"),
        ("FOO", "/results", "GET"),
        ("DELETE", "/queries", "GET, POST"),
        ("PUT", "/write-results", "POST"),
        ("HEAD", "/write-queries", "POST"),
        ("PATCH", "/get-sequence", "GET"),
    ] {
        let response = env.send(method, path).await;
        assert_eq!(
            (response.status().as_u16(), allow(&response).as_deref()),
            (405, Some(allowed)),
            "{method} {path}"
        );
    }
    for path in [
        "/results",
        "/queries?start_timestamp=2024-03-31",
        "/read-queries?start_timestamp=0",
        "/read-results",
    ] {
        let response = env.send("HEAD", path).await;
        assert_eq!(
            (response.status().as_u16(), response.text().await.unwrap().len()),
            (200, 0),
            "{path}"
        );
    }
    for path in [
        "/results/?page=1",
        "/arxiv/?title=x",
        "/get-sequence/",
        "/write-queries/",
    ] {
        let response = env.send("POST", path).await;
        assert_eq!(response.status(), 307, "{path}");
        assert_eq!(
            response.headers()[header::LOCATION],
            path.replacen("/?", "?", 1).trim_end_matches('/')
        );
    }
    for path in [
        "/",
        "/Docs",
        "/Arxiv",
        "/arxiv-api/x",
        "//results",
        "/results%2f",
        "/results/x/",
    ] {
        let (status, detail) = error_of(env.get(path).await).await;
        assert_eq!((status, detail), (404, json!("Not Found")), "{path}");
    }
}
