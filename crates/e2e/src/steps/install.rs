//! The first installation, and the main job: searches.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use testbed::wait;

use crate::environment::{Environment, NAMESPACE, RELEASE, example};

/// Values of the steps without autoscaling: a fixed number of pods.
pub(super) const FIXED: &str = "apiServer: {autoscaling: {enabled: false}, replicas: 2}";
const READABLE_LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn install(env: &Environment) -> Result<String> {
    env.release(FIXED).await?;
    env.helm(&["test", RELEASE, "--namespace", NAMESPACE, "--timeout", "2m"])
        .await?;
    env.until_ready("operator", 2).await?;
    env.until_ready("api", 2).await?;
    Ok("2 operators and 2 API servers ready under PodSecurity `restricted`; helm test passed".into())
}

pub(super) async fn main_job(env: &Environment) -> Result<String> {
    let file = example("arxivquery.yaml").display().to_string();
    let made = env
        .kubectl(&["-n", NAMESPACE, "create", "-f", &file, "-o", "name"])
        .await?;
    let object = made.trim();
    env.kubectl(&[
        "-n",
        NAMESPACE,
        "wait",
        "--for=condition=Ready",
        object,
        "--timeout=60s",
    ])
    .await?;
    let text = env
        .kubectl(&["-n", NAMESPACE, "get", object, "-o", "json"])
        .await?;
    let applied: Value = serde_json::from_str(&text)?;
    let number = applied["status"]["queryId"].as_i64().context("a number")?;
    let entries = applied["status"]["storedResults"].as_i64().context("entries")?;
    ensure!(
        rows(env, number).await? == entries,
        "rows of query {number} are missing"
    );

    let api = env.service(&format!("{RELEASE}-api")).await?;
    let answer = search(&api, "title=by+rest").await?;
    ensure!(answer["status"] == 200, "{answer}");
    let own = "select max(query_id) from queries where query ilike '%rest%'";
    let mut connection = PgConnection::connect(&env.databases.admin_url()).await?;
    let number: Option<i64> = sqlx::query_scalar(own).fetch_one(&mut connection).await?;
    let number = number.context("the queries row of the search by REST")?;
    ensure!(
        rows(env, number).await? == answer["num_entries"].as_i64().unwrap_or(-1),
        "rows of query {number} are missing"
    );

    wait::until("the results on the replica", READABLE_LIMIT, async || {
        let response = reqwest::get(format!("{api}/results?page=0&items_per_page=1000")).await?;
        let papers: Vec<Value> = response.error_for_status()?.json().await?;
        Ok((papers.len() >= usize::try_from(entries)?).then_some(()))
    })
    .await?;
    Ok(format!(
        "{object}: number and {entries} rows; GET /arxiv: {answer}"
    ))
}

/// The response of `GET /arxiv`.
pub(super) async fn search(api: &str, parameters: &str) -> Result<Value> {
    let response = reqwest::get(format!("{api}/arxiv?{parameters}")).await?;
    let (status, text) = (response.status(), response.text().await?);
    ensure!(status == 200, "{status}: {text}");
    Ok(serde_json::from_str(&text)?)
}

/// The number of rows in `results` with this number.
pub(super) async fn rows(env: &Environment, number: i64) -> Result<i64> {
    let mut connection = PgConnection::connect(&env.databases.admin_url()).await?;
    let count = sqlx::query_scalar("select count(*) from results where query_id = $1");
    Ok(count.bind(number).fetch_one(&mut connection).await?)
}
