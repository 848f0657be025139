//! GET and POST /queries, GET /read-queries: what was searched for, by time.

use serde_json::json;
use testbed::test_env::{SEED, error_of, json_body, problems};

use crate::support::{Api, header};

fn problem(kind: &str, place: &str, name: &str) -> (String, String) {
    (kind.to_owned(), format!("[\"{place}\",\"{name}\"]"))
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_of_a_range_have_their_own_offset_and_are_inclusive() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
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
        let response = api.get(&format!("/queries?{range}")).await;
        let disposition = header(&response, "content-disposition");
        assert_eq!(disposition, Some("attachment; filename=query_data.json"));
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
        let (status, detail) = error_of(api.get(&format!("/queries?{range}")).await).await;
        assert!(status == 400 && detail.is_string(), "{range}: {detail}");
    }
    for (start, hint) in [
        ("2024-03-31T02:00:00+02:00", "%2B"),
        ("1711843200000", "milliseconds"),
        ("1711843200", "unix seconds"),
    ] {
        let by_get = api.get(&format!("/queries?start_timestamp={start}")).await;
        let (status, detail) = error_of(by_get).await;
        assert!(
            status == 400 && detail.as_str().unwrap().contains(hint),
            "{start}: {detail}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_are_read_and_shown_in_an_offset_of_half_an_hour_or_a_quarter() {
    for (offset, shown) in [("5.5", "2024-03-31T05:30:00"), ("-3.75", "2024-03-30T20:15:00")] {
        let api = Api::start(&[("TIMEZONE_OFFSET", offset)]).await;
        api.execute(SEED).await;
        let path = format!("/queries?start_timestamp={shown}&end_timestamp={shown}");
        let rows = json_body(api.get(&path).await).await;
        assert_eq!(rows[0]["timestamp"], shown, "{offset}: {rows}");
        let rows = json_body(api.get("/read-queries?start_timestamp=1711843200").await).await;
        assert_eq!(rows[0]["timestamp"], shown, "{offset}: {rows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn range_of_the_backend_is_in_unix_seconds() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    let start = 1_711_843_200;
    let range = format!("start_timestamp={start}&end_timestamp=%20{}", start + 1800);
    let rows = json_body(api.get(&format!("/read-queries?{range}")).await).await;
    assert_eq!(
        rows,
        json!([
            {"query": "ArXiv Query: search_query=au:knuth&id_list=&start=0&max_results=8",
             "timestamp": "2024-03-31T02:00:00", "status": 200, "num_results": 1234},
            {"query": "ArXiv Query: search_query=ti:Árvíz", "timestamp": "2024-03-31T02:30:00", "status": 200,
             "num_results": 5},
        ])
    );
    let milliseconds = api.get("/read-queries?start_timestamp=1711843200000").await;
    let (status, detail) = error_of(milliseconds).await;
    assert_eq!(status, 422);
    assert!(
        detail[0]["msg"].as_str().unwrap().contains("milliseconds"),
        "{detail}"
    );
    let (status, detail) = error_of(api.get("/read-queries?end_timestamp=x").await).await;
    let expected = [
        problem("missing", "query", "start_timestamp"),
        problem("int_parsing", "query", "end_timestamp"),
    ];
    assert_eq!((status, problems(&detail)), (422, expected.to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_are_returned_in_order_without_those_that_have_no_timestamp() {
    let api = Api::start(&[]).await;
    api.execute(
        "insert into public.queries (query_id, timestamp, status, num_results, num_entries, query)
           select n, case when n % 10 = 0 then null else 1800000000 + n end, 200, n % 100, 1, repeat('q', 300)
           from generate_series(1, 20000) n",
    )
    .await;
    let body = json!({"start_timestamp": "2027-01-01T00:00:00"});
    let response = api.post("/queries", &body).await;
    assert!(header(&response, "content-disposition").is_none());
    let rows = json_body(response).await;
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 18_000);
    assert!(
        rows.windows(2)
            .all(|pair| pair[0]["timestamp"].as_str() <= pair[1]["timestamp"].as_str())
    );
    let wrong = json!({"start_timestamp": true, "end_timestamp": 5});
    let (status, detail) = error_of(api.post("/queries", &wrong).await).await;
    let expected = [
        problem("string_type", "body", "start_timestamp"),
        problem("string_type", "body", "end_timestamp"),
    ];
    assert_eq!((status, problems(&detail)), (422, expected.to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_filtered_by_text_and_status_and_exported_as_csv() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    let path = "/queries?start_timestamp=2024-01-01&text=KNUTH&status=200";
    let found = json_body(api.get(path).await).await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    for (path, kind, parameter) in [
        (
            "/queries?start_timestamp=2024-01-01&status=x",
            "int_parsing",
            "status",
        ),
        (
            "/read-queries?start_timestamp=0&text=",
            "string_too_short",
            "text",
        ),
    ] {
        let (status, detail) = error_of(api.get(path).await).await;
        let expected = vec![problem(kind, "query", parameter)];
        assert_eq!((status, problems(&detail)), (422, expected), "{path}");
    }
    let response = api.get("/queries?start_timestamp=2024-01-01&format=csv").await;
    let lines = response.text().await.unwrap();
    assert_eq!(lines.lines().count(), 5, "{lines}");
}
