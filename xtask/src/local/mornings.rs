//! The part of the demo about feeds: what was new on two mornings of an invented arXiv.

use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp, civil::Weekday, tz::TimeZone};
use serde_json::{Value, json};
use testbed::{
    Stack,
    arxiv::{Archive, ArchiveSpec},
    wait,
};

use super::demo::kubectl;
use crate::output::result as print;

const NAME: &str = "combinatorics";
const SEARCH: &str = "cat:math.CO";
const LIMIT: Duration = Duration::from_mins(2);
/// How many minutes ago the demo's mornings are.
const MINUTES_AGO: [i64; 3] = [60, 40, 20];

fn feed(schedule: &str) -> String {
    format!(
        "\
apiVersion: arxiv-operator.dev/v1alpha1
kind: ArxivFeed
metadata:
  name: {NAME}
spec:
  schedule: \"{schedule}\"      # each day at this time
  search:
    category: math.CO
  initialItems: Skip          # what is there on the first day is no news
  lookbackDays: 30
  queryTemplate:
    spec:
      cachePolicy: Refresh    # for the demo, whose days are short
"
    )
}

pub(super) async fn show(stack: &Stack) -> Result<()> {
    print(
        "\n6. A feed: one search that runs each morning and reports what is new. arXiv's days are simulated, from a",
    );
    print("   Sunday to a Tuesday, and the feed's clock is moved, so that nobody waits for the morning.");
    let archive = Arc::new(Archive::new(ArchiveSpec {
        first: last_sunday()?,
        ..ArchiveSpec::default()
    }));
    let arxiv = stack.arxiv()?;
    arxiv.set_day(&archive, 0);
    let text = feed(&minutes_ago(MINUTES_AGO[0])?);
    print(text.trim_end());
    let file = stack.folder().join("combinatorics.yaml");
    fs::write(&file, &text)?;
    kubectl(stack, &["apply", "--filename", &file.display().to_string()]).await?;
    let ready = format!("arxivfeed/{NAME}");
    kubectl(stack, &["wait", "--for=condition=Ready", &ready, "--timeout=60s"]).await?;
    // As if it had been there for a day.
    let before = Timestamp::from_second((Timestamp::now() - SignedDuration::from_hours(24)).as_second())?;
    let status = json!({"status": {"lastScheduleTime": before.to_string()}}).to_string();
    patch(stack, &["--subresource=status", "--patch", &status]).await?;
    let mut last = run_after(stack, &Value::Null).await?;
    let there = archive.found(SEARCH, 0).map_err(anyhow::Error::msg)?.len();
    print(&format!(
        "\n   {}: the first run. The {there} papers that are there are no news.",
        day_of(&archive, 0)
    ));
    for day in [1, 2] {
        arxiv.set_day(&archive, day);
        let schedule = minutes_ago(MINUTES_AGO[day as usize])?;
        let spec = json!({"spec": {"schedule": schedule}}).to_string();
        patch(stack, &["--patch", &spec]).await?;
        last = run_after(stack, &last["recorded_at"]).await?;
        let items = new_items(stack, &last).await?;
        report(&day_of(&archive, day), &items);
        check(&archive, day, &items)?;
    }
    print("");
    kubectl(stack, &["get", "arxivfeeds"]).await?;
    let api = stack.api_url()?;
    print(&format!(
        "The invented arXiv's own list says the same: nothing is missing, and nothing came twice.\n\
         The feed for a reader of feeds: {api}feeds/{NAME}.atom; for a bibliography: \
         {api}feeds/{NAME}?format=bibtex; for people: {api}"
    ));
    Ok(())
}

/// The last Sunday whose Tuesday is over.
fn last_sunday() -> Result<jiff::civil::Date> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let before = today.checked_sub(SignedDuration::from_hours(3 * 24))?;
    Ok(before.tomorrow()?.nth_weekday(-1, Weekday::Sunday)?)
}

/// A schedule with one time a day: that of so many minutes ago.
fn minutes_ago(minutes: i64) -> Result<String> {
    let time = Timestamp::now().checked_sub(SignedDuration::from_mins(minutes))?;
    Ok(time.to_zoned(TimeZone::UTC).strftime("%-M %-H * * *").to_string())
}

fn day_of(archive: &Archive, day: u32) -> String {
    archive.date(day).strftime("%A, %-d %B %Y").to_string()
}

async fn patch(stack: &Stack, arguments: &[&str]) -> Result<()> {
    let mut all = vec!["patch", "arxivfeed", NAME, "--type=merge"];
    all.extend(arguments);
    kubectl(stack, &all).await
}

/// The last run of the feed as readers see it, once it is another one than that of `before`.
async fn run_after(stack: &Stack, before: &Value) -> Result<Value> {
    wait::until("a run of the feed", LIMIT, async || {
        let feeds = get(stack, "/feeds").await?;
        let feed = feeds.as_array().and_then(|feeds| feeds.first());
        let run = feed.map(|feed| feed["last_run"].clone());
        Ok(run.filter(|run| !run.is_null() && run["recorded_at"] != *before))
    })
    .await
}

/// What the last run added, in the order of the feed.
async fn new_items(stack: &Stack, run: &Value) -> Result<Vec<Value>> {
    let number = run["new_items"].as_u64().context("a run without a number")?;
    if number == 0 {
        return Ok(Vec::new());
    }
    let items = get(stack, &format!("/feeds/{NAME}?items_per_page={number}")).await?;
    Ok(items.as_array().cloned().unwrap_or_default())
}

async fn get(stack: &Stack, target: &str) -> Result<Value> {
    let (status, body) = testbed::http_get(stack.api_url()?.join(target)?).await?;
    ensure!(status == 200, "the API server answered {status}: {body}");
    Ok(serde_json::from_str(&body)?)
}

fn report(day: &str, items: &[Value]) {
    print(&format!("\n   {day}: {} new", items.len()));
    for item in items {
        let paper = &item["paper"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let names = |values: &Value, name: &str| {
            let values = values.as_array().into_iter().flatten();
            let names = values.map(|value| text(if name.is_empty() { value } else { &value[name] }));
            names.collect::<Vec<_>>().join(", ")
        };
        print(&format!("     • {}", text(&paper["title"])));
        let (authors, categories) = (names(&paper["authors"], "name"), names(&paper["categories"], ""));
        print(&format!(
            "       {authors} · {categories} · {}",
            text(&paper["id"])
        ));
    }
}

/// Compares what was new with the list of the one who invented it.
fn check(archive: &Archive, day: u32, items: &[Value]) -> Result<()> {
    let found = |day| archive.found_until(SEARCH, day).map_err(anyhow::Error::msg);
    let before = found(day - 1)?;
    let expected: BTreeSet<_> = found(day)?
        .into_iter()
        .filter(|version| !before.contains(version))
        .map(|(paper, version)| format!("{paper}v{version}"))
        .collect();
    let told: BTreeSet<_> = items
        .iter()
        .filter_map(|item| item["paper"]["id"].as_str().map(str::to_owned))
        .collect();
    ensure!(
        told == expected && told.len() == items.len(),
        "new are {expected:?}, and the feed has {told:?}"
    );
    Ok(())
}
