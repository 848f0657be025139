//! An upgrade that replaces every pod, and its rollback over a migration, while clients read, search, take numbers and write.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use sqlx::{Connection, Executor, PgConnection};

use super::install::FIXED;
use super::writers::Writers;
use super::{endpoints, records};
use crate::environment::{Environment, NAMESPACE, RELEASE};
use crate::load::{Figures, Load};

const QUERIES: usize = 30;
/// A migration of a later version, which stays when the release is rolled back.
const LATER_MIGRATION: &str = "
    create table arxiv_shelves (id bigint primary key, name text);
    alter table queries add column shelf bigint;
    insert into arxiv_migrations_queries (version, description, success, checksum, execution_time)
    values (20270101000000, 'shelves', true, '\\x00', 1)";

pub(super) async fn under_load(env: &Environment) -> Result<String> {
    env.release(FIXED).await?;
    let before = records::all_succeeded(env).await?.len();
    let api = env.service(&format!("{RELEASE}-api")).await?;
    let reads = [
        "/results",
        "/results?page=1",
        "/queries?start_timestamp=2024-01-01",
    ]
    .map(|path| format!("{api}{path}"));
    let reads = Load::start(4, &reads, Duration::from_millis(10))?;
    let searches: Vec<String> = (0..QUERIES)
        .map(|number| format!("{api}/arxiv?title=upgrade+{number}"))
        .collect();
    let searches = Load::start(2, &searches, Duration::from_millis(100))?;
    let writers = Writers::start(2, &api, &env.token().await?)?;
    env.apply(&applied()).await?;

    // A changed label replaces every pod.
    env.release(&format!("{FIXED}\npod: {{labels: {{generation: second}}}}"))
        .await?;
    let mut connection = PgConnection::connect(&env.databases.admin_url()).await?;
    connection.execute(LATER_MIGRATION).await?;
    env.helm(&[
        "rollback",
        RELEASE,
        "--namespace",
        NAMESPACE,
        "--wait",
        "--timeout",
        "5m",
    ])
    .await?;

    let (reads, searches, written) = (reads.stop().await?, searches.stop().await?, writers.stop().await?);
    for (what, figures) in [("reads", &reads), ("searches", &searches)] {
        without_failure(what, figures)?;
    }
    ensure!(
        written.failures.is_empty(),
        "{} of {} requests of writers failed, such as {:?}",
        written.failures.len(),
        written.requests,
        written.failures.first()
    );

    // Including those of searches that were answered 202.
    let objects = records::all_succeeded(env).await?;
    let made = objects.len() - before.min(objects.len());
    ensure!(
        made == QUERIES + searches.requests(),
        "{made} ArxivQueries were made, {QUERIES} by kubectl and {} by GET /arxiv",
        searches.requests()
    );
    let mut numbers = records::each_once(&mut connection, &objects).await?;
    let of_objects = numbers.len();
    numbers.extend(&written.numbers);
    let distinct: BTreeSet<i64> = written.numbers.iter().copied().collect();
    ensure!(
        numbers.len() == of_objects + written.numbers.len(),
        "of {} numbers by /get-sequence, {} are different, and {} are no query's",
        written.numbers.len(),
        distinct.len(),
        numbers.len() - of_objects
    );
    for number in &written.complete {
        endpoints::check_written(&mut connection, *number).await?;
    }
    Ok(format!(
        "every pod replaced twice, the second time over a later migration; reads: {} requests, 0 failed; GET /arxiv: {} requests, {} answered 202, 0 failed; /get-sequence, /write-results, /write-queries: \
         {} asked, 0 failed; {made} ArxivQueries ({QUERIES} applied) all succeeded, each with one row and all its results; {} numbers given, no two the same",
        reads.requests(),
        searches.requests(),
        searches.answered(StatusCode::ACCEPTED),
        written.requests,
        numbers.len(),
    ))
}

fn without_failure(what: &str, figures: &Figures) -> Result<()> {
    ensure!(
        figures.refused() == 0,
        "{what}: {} connections were not taken",
        figures.refused()
    );
    ensure!(
        figures.failed() == 0,
        "{} of {} {what} failed: {:?}",
        figures.failed(),
        figures.requests(),
        figures.failures
    );
    Ok(())
}

fn applied() -> String {
    let one = |number: usize| {
        format!(
            "apiVersion: arxiv-operator.dev/v1alpha1\nkind: ArxivQuery\nmetadata: {{name: upgrade-{number}, namespace: {NAMESPACE}}}\n\
             spec: {{search: {{title: applied {number}}}}}\n"
        )
    };
    let all: Vec<String> = (0..QUERIES).map(one).collect();
    all.join("---\n")
}
