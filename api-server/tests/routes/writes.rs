//! POST /write-queries and POST /write-results: records of clients that bring their own number.

use serde_json::{Value, json};
use testbed::test_env::{error_of, json_body};

use crate::support::Api;

fn query() -> Value {
    json!({"query_id": 9, "timestamp": 1_711_850_500, "status": 200, "num_results": 1, "num_entries": 1,
        "query": "q"})
}

fn row(n: usize) -> Value {
    json!({"authors": format!("Erdős {n}, B"), "title": "T", "journal": ""})
}

fn results(query_id: i64, rows: &[Value]) -> Value {
    json!({"query_id": query_id, "timestamp": 1_711_850_500, "results": rows})
}

async fn counts(api: &Api) -> (i64, i64) {
    (
        api.count("public.queries").await,
        api.count("public.results").await,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_write_is_written_once_and_other_content_is_a_conflict() {
    let api = Api::start(&[]).await;
    let both = results(9, &[row(0), row(1)]);
    for _ in 0..2 {
        assert_eq!(api.post("/write-queries", &query()).await.status(), 201);
        assert_eq!(api.post("/write-results", &both).await.status(), 201);
    }
    let mut other_query = query();
    other_query["num_results"] = json!(2);
    let (status, detail) = error_of(api.post("/write-queries", &other_query).await).await;
    assert!(status == 409 && detail.is_string(), "{detail}");
    let mut other_results = both.clone();
    other_results["results"][1]["title"] = json!("U");
    for other in [other_results, results(9, &[row(0)])] {
        assert_eq!(api.post("/write-results", &other).await.status(), 409);
    }
    assert_eq!(counts(&api).await, (1, 2));
    let read = json_body(api.get("/results").await).await;
    assert_eq!(
        read[0],
        json!({"author": "Erdős 0, B", "title": "T", "journal": ""})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn write_with_a_wrong_field_is_refused_as_a_whole() {
    let api = Api::start(&[]).await;
    for field in [
        "query_id",
        "timestamp",
        "status",
        "num_results",
        "num_entries",
        "query",
    ] {
        for bad in [json!(null), json!(1.5), json!([]), json!("\0"), json!(1e30)] {
            let mut body = query();
            body[field] = bad.clone();
            let (status, detail) = error_of(api.post("/write-queries", &body).await).await;
            assert_eq!(status, 422, "{field} {bad}");
            assert_eq!(detail[0]["loc"], json!(["body", field]));
        }
    }
    let mut bad = results(10, &[row(0), row(1)]);
    bad["results"][1]["title"] = json!("a\0b");
    let (status, detail) = error_of(api.post("/write-results", &bad).await).await;
    assert_eq!(
        (status, &detail[0]["loc"]),
        (422, &json!(["body", "results", 1, "title"]))
    );
    assert_eq!(counts(&api).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_a_write_are_at_most_those_of_a_query() {
    let api = Api::start(&[]).await;
    let many: Vec<Value> = (0..30_001)
        .map(|n| json!({"authors": "Erdős", "title": format!("T{n}"), "journal": ""}))
        .collect();
    let body = |rows: &[Value]| json!({"query_id": 11, "timestamp": 1, "results": rows});
    assert_eq!(api.post("/write-results", &body(&many)).await.status(), 422);
    let most = body(&many[..30_000]);
    assert_eq!(api.post("/write-results", &most).await.status(), 201);
    assert_eq!(api.count("public.results").await, 30_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn number_of_an_object_is_a_conflict() {
    let api = Api::start(&[]).await;
    assert_eq!(api.get("/arxiv?title=owned&max_results=2").await.status(), 200);
    let owned = "select query_id from public.queries where query_uid is not null";
    let owned = api.databases.column::<i64>(owned).await[0];
    let mut forged = query();
    forged["query_id"] = json!(owned);
    assert_eq!(api.post("/write-queries", &forged).await.status(), 409);
    let forged = json!({"query_id": owned, "timestamp": 1, "results": [row(0)]});
    assert_eq!(api.post("/write-results", &forged).await.status(), 409);
}
