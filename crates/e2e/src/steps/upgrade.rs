//! An upgrade that replaces every pod, and its rollback, while clients read and search.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use testbed::wait;

use super::install::FIXED;
use crate::load::Load;
use crate::site::{NAMESPACE, RELEASE, Site};

const QUERIES: usize = 30;
const FINISH_LIMIT: Duration = Duration::from_mins(3);

pub(super) async fn under_load(site: &Site) -> Result<String> {
    site.release(FIXED).await?;
    let api = site.service(&format!("{RELEASE}-api")).await?;
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
    site.apply(&applied()).await?;

    // Every pod is another one after this: a label changes.
    site.release(&format!("{FIXED}\npod: {{labels: {{generation: second}}}}"))
        .await?;
    site.helm(&[
        "rollback",
        RELEASE,
        "--namespace",
        NAMESPACE,
        "--wait",
        "--timeout",
        "5m",
    ])
    .await?;

    let (reads, searches) = (reads.stop().await?, searches.stop().await?);
    let refused = reads.refused() + searches.refused();
    ensure!(refused == 0, "{refused} connections were not taken");
    ensure!(
        reads.failed() == 0,
        "{} of {} reads failed: {:?}",
        reads.failed(),
        reads.requests(),
        reads.failures
    );
    ensure!(
        searches.failed() == 0,
        "{} of {} searches failed: {:?}",
        searches.failed(),
        searches.requests(),
        searches.failures
    );
    let done = wait::until("the queries applied meanwhile", FINISH_LIMIT, async || {
        let text = site
            .kubectl(&["-n", NAMESPACE, "get", "aq", "-l", "e2e=upgrade", "-o", "json"])
            .await?;
        let list: Value = serde_json::from_str(&text)?;
        let phases: Vec<&str> = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| item["status"]["phase"].as_str())
            .collect();
        ensure!(
            phases.len() == QUERIES && !phases.contains(&"Failed"),
            "{phases:?}"
        );
        Ok(phases
            .iter()
            .all(|phase| *phase == "Succeeded")
            .then_some(phases.len()))
    })
    .await?;
    Ok(format!(
        "every pod replaced twice; reads: {} asked, {} failed; GET /arxiv: {} asked, {} failed; ArxivQueries: {QUERIES} applied, {done} succeeded",
        reads.requests(),
        reads.failed(),
        searches.requests(),
        searches.failed(),
    ))
}

fn applied() -> String {
    let one = |number: usize| {
        format!(
            "apiVersion: arxiv-operator.dev/v1alpha1\nkind: ArxivQuery\nmetadata: {{name: upgrade-{number}, namespace: {NAMESPACE}, labels: {{e2e: upgrade}}}}\n\
             spec: {{title: applied {number}}}\n"
        )
    };
    let all: Vec<String> = (0..QUERIES).map(one).collect();
    all.join("---\n")
}
