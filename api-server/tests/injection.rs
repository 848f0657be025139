//! What is typed to break out of where it stands: it is kept to the letter, or refused with a reason; nothing of it is
//! ever run, and no answer is a 5xx.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crd::{ArxivQuery, ArxivQuerySpec, Phase};
use kube::{Api, api::PostParams};
use reqwest::Url;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row};
use testbed::TestEnv;
use testbed::test_env::{eventually, json_body};

/// Each is a text that any column takes.
const TEXTS: [&str; 14] = [
    "'; DROP TABLE queries; --",
    "x' OR '1'='1",
    "x\"; select pg_sleep(60); --",
    "$1 ${jndi:ldap://127.0.0.1/x} %s {{7*7}}",
    "x\\'; truncate results; --",
    "E'\\x27' || chr(39)",
    "x) OR (au:evil",
    "x\" OR au:\"evil",
    "x&start=9&max_results=30000#",
    "x%22%20OR%20au:evil",
    "submittedDate:[20200101 TO 20300101]",
    "<script>alert(1)</script><!-- ]]>",
    "\u{202e}evil\u{202c} \u{feff}x\u{200d} 😀 e\u{301}",
    "../../../etc/passwd x",
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_breaks_out_of_where_it_stands() {
    let env = TestEnv::for_api(&[]).await;
    bodies_are_kept_to_the_letter(&env).await;
    searches_stay_in_their_field(&env).await;
    objects_are_searches_too(&env).await;
    every_parameter_takes_anything(&env).await;
    lines_of_the_log_are_ours(&env);
}

async fn bodies_are_kept_to_the_letter(env: &TestEnv) {
    for (number, text) in (9000..).zip(TEXTS) {
        let query = json!({"query_id": number, "timestamp": 1, "status": 200, "num_results": 1, "num_entries": 1,
            "query": text});
        assert_eq!(env.post("/write-queries", &query).await.status(), 201, "{text}");
        let results = json!({"query_id": number, "timestamp": 1,
            "results": [{"authors": text, "title": text, "journal": text}]});
        assert_eq!(env.post("/write-results", &results).await.status(), 201, "{text}");
    }
    env.replicated().await;
    let of_queries = rows(
        env,
        "select query from queries where query_id >= 9000 order by query_id",
    )
    .await;
    assert_eq!(of_queries, TEXTS);
    for column in ["author", "title", "journal"] {
        let sql = format!("select {column} from results where query_id >= 9000 order by query_id");
        assert_eq!(rows(env, &sql).await, TEXTS, "{column}");
    }
    let listed = json_body(env.get("/results?items_per_page=1000").await).await;
    let titles: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["title"].as_str().unwrap())
        .collect();
    assert!(TEXTS.iter().all(|text| titles.contains(text)), "{titles:?}");
    let listed = json_body(env.get("/queries?start_timestamp=1970-01-01").await)
        .await
        .to_string();
    assert!(listed.contains("DROP TABLE queries"), "{listed}");
}

async fn rows(env: &TestEnv, sql: &str) -> Vec<String> {
    let mut connection = env.stack.databases.primary.connect("arxiv").await.unwrap();
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn searches_stay_in_their_field(env: &TestEnv) {
    let arxiv = env.stack.arxiv().unwrap();
    for endpoint in ["/arxiv", "/arxiv-api"] {
        for text in TEXTS {
            arxiv.clear_record();
            let url =
                Url::parse_with_params(&env.url(endpoint), [("title", text), ("max_results", "2")]).unwrap();
            let response = env.http.get(url).send().await.unwrap();
            let status = response.status().as_u16();
            let answer = response.text().await.unwrap();
            assert!([200, 404].contains(&status), "{text}: {status} {answer}");
            for request in arxiv.requests() {
                let asked = &request.search_query;
                // Outside of quotes there is one field.
                let unquoted: String = asked.split('"').step_by(2).collect();
                assert_eq!(
                    unquoted.matches(':').count(),
                    unquoted.matches("ti:").count(),
                    "{text}: {asked}"
                );
                assert_eq!(
                    (request.start, request.max_results),
                    (0, 2),
                    "{text}: {}",
                    request.target
                );
            }
        }
    }
}

async fn objects_are_searches_too(env: &TestEnv) {
    let client = env.stack.control_plane().client().await.unwrap();
    let queries: Api<ArxivQuery> = Api::namespaced(client, env.stack.namespace());
    for (number, text) in TEXTS.into_iter().enumerate() {
        let name = format!("hostile-{number}");
        let spec = ArxivQuerySpec {
            author: Some(text.to_owned()),
            max_results: 2,
            ..ArxivQuerySpec::default()
        };
        let object = queries
            .create(&PostParams::default(), &ArxivQuery::new(&name, spec))
            .await
            .unwrap();
        assert_eq!(object.spec.author.as_deref(), Some(text));
        let phase = eventually("the object ends", async || {
            let phase = queries.get(&name).await.ok()?.phase();
            phase.is_final().then_some(phase)
        })
        .await;
        assert_eq!(phase, Phase::Succeeded, "{text}");
    }
}

async fn every_parameter_takes_anything(env: &TestEnv) {
    let mut values: Vec<String> = TEXTS.iter().map(|text| encoded(text)).collect();
    values.extend(
        [
            "%00",
            "%ff%fe",
            "%ed%a0%80",
            "%0d%0aINJECTED%3A%20x",
            "%",
            "%zz",
            "99999999999999999999",
            "-1",
            "1e9",
            "NaN",
        ]
        .map(str::to_owned),
    );
    values.push("x".repeat(10_000));
    let parameters = [
        "/queries?start_timestamp=",
        "/queries?start_timestamp=2024-01-01&end_timestamp=",
        "/read-queries?start_timestamp=",
        "/read-queries?start_timestamp=0&end_timestamp=",
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
            let status = env.get(&format!("{parameter}{value}")).await.status().as_u16();
            assert!(status < 500, "{parameter}{value}: {status}");
        }
        let removed = env
            .send("DELETE", &format!("/arxiv/{value}"))
            .await
            .status()
            .as_u16();
        assert!((400..500).contains(&removed), "{value}: {removed}");
    }
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
                let request = env
                    .http
                    .post(env.url(path))
                    .header("content-type", kind)
                    .body(body);
                let status = request.send().await.unwrap().status().as_u16();
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

fn lines_of_the_log_are_ours(env: &TestEnv) {
    let log = env.api_server_log();
    assert!(log.contains("INJECTED"), "what was sent is told");
    for line in log.lines() {
        assert!(line.starts_with(|c: char| c.is_ascii_digit()), "{line:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}
