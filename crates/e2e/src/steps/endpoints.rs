//! The ten endpoints. Those with a body get one that was recorded with the existing service.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sqlx::PgConnection;

/// One of the ten endpoints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    /// Its Deployment in the mode `perEndpoint`.
    pub(super) component: &'static str,
    pub(super) path: &'static str,
    query: &'static str,
    /// The recorded case whose body is sent; a GET if there is none.
    case: Option<&'static str>,
    /// Whether it belongs to the backend, which requires tokens.
    pub(super) backend: bool,
}

const fn get(component: &'static str, path: &'static str, query: &'static str, backend: bool) -> Endpoint {
    Endpoint {
        component,
        path,
        query,
        case: None,
        backend,
    }
}

const fn post(component: &'static str, path: &'static str, case: &'static str, backend: bool) -> Endpoint {
    Endpoint {
        component,
        path,
        query: "",
        case: Some(case),
        backend,
    }
}

/// All ten.
pub(super) const ALL: [Endpoint; 10] = [
    get("arxiv", "/arxiv", "?title=the+modes", false),
    get("queries", "/queries", "?start_timestamp=2024-01-01", false),
    post("queries-post", "/queries", "queries-post-end-null", false),
    get("results", "/results", "", false),
    get("arxiv-api", "/arxiv-api", "?title=the+modes", true),
    get("get-sequence", "/get-sequence", "", true),
    get(
        "read-queries",
        "/read-queries",
        "?start_timestamp=1711843200",
        true,
    ),
    get("read-results", "/read-results", "", true),
    post("write-queries", "/write-queries", QUERIES_CASE, true),
    post("write-results", "/write-results", RESULTS_CASE, true),
];
/// The recorded cases of a write to `queries` and to `results`.
pub(super) const QUERIES_CASE: &str = "write-queries-ok";
pub(super) const RESULTS_CASE: &str = "write-results-8";

impl Endpoint {
    /// Calls the endpoint at `service` and returns the status. Rows are written with `number`.
    pub(super) async fn call(&self, service: &str, number: i64, token: Option<&str>) -> Result<StatusCode> {
        let url = format!("{service}{}{}", self.path, self.query);
        let mut request = match self.case {
            Some(case) => Client::new().post(url).json(&body(case, number)?),
            None => Client::new().get(url),
        };
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Ok(request.send().await?.status())
    }

    /// Calls the endpoint, and fails unless the status is the expected one.
    pub(super) async fn expect(
        &self,
        expected: u16,
        service: &str,
        number: i64,
        token: Option<&str>,
    ) -> Result<()> {
        let status = self.call(service, number, token).await?;
        let component = self.component;
        ensure!(
            status == expected,
            "{component} at {service}: {status}, not {expected}"
        );
        Ok(())
    }

    /// The status of a success.
    pub(super) fn good(&self) -> u16 {
        if self.path.starts_with("/write-") {
            201
        } else {
            200
        }
    }
}

/// A number from `/get-sequence`.
pub(super) async fn number(service: &str, token: &str) -> Result<i64> {
    let request = Client::new().get(format!("{service}/get-sequence"));
    let answer = request.bearer_auth(token).send().await?.error_for_status()?;
    let answer: Value = answer.json().await?;
    answer["sequence"].as_i64().context("a number")
}

/// Fails unless the rows with this number are exactly the written ones.
pub(super) async fn check_written(connection: &mut PgConnection, number: i64) -> Result<()> {
    let queries: Vec<QueryRow> = sqlx::query_as(
        "select timestamp, status::bigint, num_results::bigint, num_entries::bigint, query from queries where query_id = $1",
    )
    .bind(number)
    .fetch_all(&mut *connection)
    .await?;
    ensure!(queries == [written_query()?], "queries of {number}: {queries:?}");
    let results: Vec<ResultRow> = sqlx::query_as(
        "select result_number::bigint, author, title, journal from results where query_id = $1 order by id",
    )
    .bind(number)
    .fetch_all(connection)
    .await?;
    ensure!(results == written_results()?, "results of {number}: {results:?}");
    Ok(())
}

/// timestamp, status, `num_results`, `num_entries`, query.
type QueryRow = (i64, i64, i64, i64, String);
/// Position, author, title, journal.
type ResultRow = (i64, String, String, String);

fn written_query() -> Result<QueryRow> {
    let body = body(QUERIES_CASE, 0)?;
    let field = |name: &str| body[name].as_i64().with_context(|| name.to_owned());
    Ok((
        field("timestamp")?,
        field("status")?,
        field("num_results")?,
        field("num_entries")?,
        text(&body["query"]),
    ))
}

fn written_results() -> Result<Vec<ResultRow>> {
    let body = body(RESULTS_CASE, 0)?;
    let papers = body["results"].as_array().context("results")?;
    let row = |(place, paper): (i64, &Value)| {
        let [author, title, journal] = ["authors", "title", "journal"].map(|name| text(&paper[name]));
        (place, author, title, journal)
    };
    Ok((0..).zip(papers).map(row).collect())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The body of a recorded case, with another number if it has one.
pub(super) fn body(case: &str, number: i64) -> Result<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api-server/tests/wire-cases.jsonl");
    let cases = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    for line in cases.lines() {
        let mut found: Value = serde_json::from_str(line)?;
        if found["name"] == case {
            let mut body = found["body"].take();
            if body["query_id"].is_i64() {
                body["query_id"] = json!(number);
            }
            return Ok(body);
        }
    }
    anyhow::bail!("no recorded case has the name {case}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn endpoints_equal_those_of_the_chart() {
        let chart = chart::render("apiServer: {mode: perEndpoint}").unwrap();
        let groups: BTreeSet<String> = chart::pods(&chart)
            .iter()
            .filter_map(|pod| {
                let group = pod.metadata["labels"]["arxiv-operator.dev/group"].as_str();
                group.map(str::to_owned)
            })
            .collect();
        let asked: BTreeSet<String> = ALL.iter().map(|one| one.component.to_owned()).collect();
        assert_eq!(asked, groups);
    }

    #[test]
    fn recorded_body_gets_number() {
        assert_eq!(body(QUERIES_CASE, 77).unwrap()["query_id"], 77);
        assert_eq!(written_query().unwrap().1, 200);
        let results = written_results().unwrap();
        assert_eq!(
            (results.len(), &results[7]),
            (8, &(7, "A, B".into(), "T".into(), "J".into()))
        );
        assert!(body("no such case", 1).is_err());
    }
}
