//! Input that is written to break out of its place: it is stored literally, or refused with a reason; nothing of it is
//! executed, and no answer is a 5xx.

use reqwest::Url;
use serde_json::json;
use testbed::test_env::json_body;

use crate::hostile::{TEXTS, VALUES, assert_asks_one_field};
use crate::support::{Api, Outcome, url};

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_in_a_body_is_stored_literally() {
    let api = Api::start(&[]).await;
    for (number, text) in (9000..).zip(TEXTS) {
        let query = json!({"query_id": number, "timestamp": 1, "status": 200, "num_results": 1, "num_entries": 1,
            "query": text});
        assert_eq!(api.post("/write-queries", &query).await.status(), 201, "{text}");
        let results = json!({"query_id": number, "timestamp": 1,
            "results": [{"authors": text, "title": text, "journal": text}]});
        assert_eq!(api.post("/write-results", &results).await.status(), 201, "{text}");
    }
    let queries = "select query from queries where query_id >= 9000 order by query_id";
    assert_eq!(api.databases.column::<String>(queries).await, TEXTS);
    for column in ["author", "title", "journal"] {
        let results = format!("select {column} from results where query_id >= 9000 order by query_id");
        assert_eq!(api.databases.column::<String>(&results).await, TEXTS, "{column}");
    }
    let listed = json_body(api.get("/results?items_per_page=1000").await).await;
    let titles: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["title"].as_str().unwrap())
        .collect();
    assert!(TEXTS.iter().all(|text| titles.contains(text)), "{titles:?}");
    let listed = json_body(api.get("/queries?start_timestamp=1970-01-01").await).await;
    assert!(listed.to_string().contains("DROP TABLE queries"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_in_a_search_stays_in_its_field() {
    let api = Api::start(&[]).await;
    for text in TEXTS {
        let path = |endpoint: &str| {
            let query = [("title", text), ("max_results", "2")];
            let url = Url::parse_with_params(&url(endpoint), query).unwrap();
            format!("{endpoint}?{}", url.query().unwrap())
        };
        api.arxiv.clear_record();
        let response = api.get(&path("/arxiv-api")).await;
        let status = response.status().as_u16();
        let answer = response.text().await.unwrap();
        assert!([200, 404].contains(&status), "{text}: {status} {answer}");
        for request in api.arxiv.requests() {
            assert_asks_one_field(&request, "ti:", text);
        }
        // That of an object is literal; the operator sends it.
        assert_eq!(api.get(&path("/arxiv")).await.status(), 200, "{text}");
        assert_eq!(api.objects()[0].spec.search.title.as_deref(), Some(text));
        let removed = format!("/arxiv/{}", api.name_of(text));
        assert_eq!(api.send("DELETE", &removed).await.status(), 204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_parameter_is_no_server_error() {
    let api = Api::start(&[]).await;
    api.operator.set(Outcome::NothingFound);
    let mut values: Vec<String> = TEXTS.iter().map(|text| encoded(text)).collect();
    values.extend(VALUES.map(str::to_owned));
    values.push("x".repeat(10_000));
    // Marks without a letter, and characters that Unicode decomposes into spaces, punctuation, or a whole sentence.
    values.extend(["%CC%81", "a%20%CD%85%20b", "%CD%BA", "%22%CC%81%22", "%E2%91%B4"].map(str::to_owned));
    values.push("%EF%B7%BA".repeat(50));
    values.push("%F0%9D%94%84".repeat(50));
    let parameters = [
        "/queries?start_timestamp=",
        "/queries?start_timestamp=2024-01-01&end_timestamp=",
        "/read-queries?start_timestamp=",
        "/read-queries?start_timestamp=0&end_timestamp=",
        "/queries?start_timestamp=2024-01-01&text=",
        "/queries?start_timestamp=2024-01-01&status=",
        "/results?author=",
        "/results?title=",
        "/results?journal=",
        "/results?category=",
        "/results?query_id=",
        "/results?start_time=",
        "/results?cursor=",
        "/results?page=",
        "/results?items_per_page=",
        "/read-results?page=",
        "/read-results?items_per_page=",
        "/arxiv?max_results=2&journal=x&max_results=",
        "/arxiv-api?title=x&max_results=",
        "/get-sequence?x=",
        "/arxiv/",
        "/arxiv/x/results?page=",
    ];
    for value in &values {
        for parameter in parameters {
            let status = api.get(&format!("{parameter}{value}")).await.status().as_u16();
            assert!(status < 500, "{parameter}{value}: {status}");
        }
        let removed = api.send("DELETE", &format!("/arxiv/{value}")).await;
        let status = removed.status().as_u16();
        assert!((400..500).contains(&status), "{value}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_body_is_a_client_error() {
    let api = Api::start(&[]).await;
    for kind in [
        "application/json",
        "text/plain",
        "application/xml",
        "a/b; charset=\"",
        "",
    ] {
        for body in [
            "",
            "{",
            "[[[[",
            "\u{0}",
            "\"\\ud800\"",
            "{\"query_id\": 1e999}",
            "<!DOCTYPE x>",
            "null",
            "NaN",
        ] {
            for path in ["/queries", "/write-queries", "/write-results"] {
                let request = api.http.post(url(path)).header("content-type", kind);
                let status = api.respond(request.body(body)).await.status().as_u16();
                assert!((400..500).contains(&status), "{path} {kind} {body}: {status}");
            }
        }
    }
}

/// Percent-encoded, as one value of a query.
fn encoded(text: &str) -> String {
    let url = Url::parse_with_params("http://x/", [("a", text)]).unwrap();
    url.query().unwrap_or_default()[2..].to_owned()
}
