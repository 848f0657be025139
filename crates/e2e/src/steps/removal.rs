//! Uninstalling the release and installing it again: objects and rows are kept.

use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::{Connection, PgConnection};
use testbed::wait;

use super::install::{FIXED, search};
use crate::environment::{Environment, NAMESPACE, RELEASE};

/// Longer than the pods' grace period.
const GONE_LIMIT: Duration = Duration::from_mins(1);

pub(super) async fn removal(env: &Environment) -> Result<String> {
    let before = (objects(env).await?, counts(env).await?);
    env.helm(&[
        "uninstall",
        RELEASE,
        "--namespace",
        NAMESPACE,
        "--wait",
        "--timeout",
        "3m",
    ])
    .await?;
    // Helm waits for the objects that it created, but not for their pods.
    wait::until("nothing left", GONE_LIMIT, async || {
        let what = "pods,deployments,services,jobs";
        let left = env.kubectl(&["-n", NAMESPACE, "get", what, "-o", "name"]).await?;
        // The pod of `helm test` is a hook, which helm does not delete.
        Ok(left.lines().all(|line| line.contains("-test")).then_some(()))
    })
    .await?;
    let after = (objects(env).await?, counts(env).await?);
    ensure!(before == after, "before {before:?}, after {after:?}");

    env.release(FIXED).await?;
    let api = env.service(&format!("{RELEASE}-api")).await?;
    search(&api, "title=after+all").await?;
    // Finished queries are not run again.
    let (queries, _) = counts(env).await?;
    ensure!(
        queries == after.1.0 + 1,
        "{queries} queries, {} before",
        after.1.0
    );
    let (objects, (queries, results)) = after;
    Ok(format!(
        "kept: {objects} ArxivQueries, {queries} queries, {results} results; installed again: none of them ran again"
    ))
}

async fn objects(env: &Environment) -> Result<usize> {
    let names = env.kubectl(&["-n", NAMESPACE, "get", "aq", "-o", "name"]).await?;
    Ok(names.lines().count())
}

async fn counts(env: &Environment) -> Result<(i64, i64)> {
    let mut connection = PgConnection::connect(&env.databases.admin_url()).await?;
    let counts = sqlx::query_as("select (select count(*) from queries), (select count(*) from results)");
    Ok(counts.fetch_one(&mut connection).await?)
}
