//! GET /results and GET /read-results: everything that was found.

mod cursor;
mod formats;
mod plans;
mod replica;
mod spreadsheets;

use reqwest::Response;
use serde_json::json;
use testbed::test_env::{SEED, error_of, json_body, problems};

use crate::support::{Api, header};

async fn authors(response: Response) -> Vec<String> {
    assert_eq!(response.status(), 200);
    let rows = json_body(response).await;
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row["author"].as_str().unwrap().to_owned())
        .collect()
}

/// Where the header `Link` leads, as a path.
fn next(response: &Response) -> Option<String> {
    let link = header(response, "link")?;
    let query = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?;
    Some(format!("/results{query}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_read_by_number_and_wrong_ones_refused() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    for endpoint in ["/results", "/read-results"] {
        let page = async |query: &str| json_body(api.get(&format!("{endpoint}?{query}")).await).await;
        let rows = page("page=%2B1&items_per_page=1_0.0").await;
        assert_eq!(
            (rows.as_array().unwrap().len(), &rows[0]["author"]),
            (10, &json!("A10"))
        );
        assert_eq!(page("items_per_page=0&page=3").await, json!([]));
        let all = page("items_per_page=1000").await;
        assert_eq!(all.as_array().unwrap().len(), 25);
        assert_eq!(page("page=9223372036854775807").await, json!([]));
        let wrong = format!("{endpoint}?page=-1&items_per_page=1001");
        let (status, detail) = error_of(api.get(&wrong).await).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn results_are_filtered_and_wrong_filters_refused() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    for (path, expected) in [
        ("/results?author=a7", vec!["A7"]),
        ("/read-results?title=T24", vec!["A24"]),
        ("/results?journal=j10&title=%22t10%22", vec!["A10"]),
        ("/results?author=nobody", vec![]),
        ("/results?query_id=1&items_per_page=2&page=1", vec!["A2", "A3"]),
        (
            "/results?start_time=2024-03-31&end_time=1711843200&items_per_page=1",
            vec!["A0"],
        ),
        ("/results?category=math.CO", vec![]),
    ] {
        assert_eq!(authors(api.get(path).await).await, expected, "{path}");
    }
    for (path, kind, parameter) in [
        ("/results?author=%21", "value_error", "author"),
        ("/read-results?query_id=x", "int_parsing", "query_id"),
        ("/results?format=xml", "value_error", "format"),
        ("/results?after=1-2-3-4", "value_error", "after"),
    ] {
        let (status, detail) = error_of(api.get(path).await).await;
        let expected = (kind.to_owned(), format!("[\"query\",\"{parameter}\"]"));
        assert_eq!((status, problems(&detail)), (422, vec![expected]), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn page_links_to_the_next_one_and_counts_when_asked() {
    let api = Api::start(&[]).await;
    api.execute(SEED).await;
    let response = api.get("/results?items_per_page=10&total=true").await;
    assert_eq!(header(&response, "x-total-count"), Some("25"));
    assert_eq!(
        next(&response).as_deref(),
        Some("/results?items_per_page=10&total=true&page=1")
    );
    assert!(next(&api.get("/results?items_per_page=10&page=2").await).is_none());
    let count = [("prefer", "count=exact")];
    let response = api.send_with("GET", "/results?author=a7", &count).await;
    assert_eq!(header(&response, "x-total-count"), Some("1"));
    assert_eq!(header(&response, "preference-applied"), Some("count=exact"));
}
