//! How speed and memory change with what there is: rows, objects, namespaces, clients. One chart shows all of it.

mod chart;
mod searches;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub use chart::draw;

use crate::reads;

/// The numbers of rows in `results`.
const ROWS: [u32; 3] = [100_000, 1_000_000, 10_000_000];

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder with the programs (release builds).
    pub binaries: PathBuf,
    /// How long each load lasts.
    pub length: Duration,
    /// The greatest number of anything: larger ones are left out.
    pub most: u32,
}

/// How one figure changes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Series {
    /// What grows.
    pub of: String,
    /// What was measured.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// How many there were, and the figure.
    pub points: Vec<(u32, f64)>,
}

impl Series {
    fn new(of: &str, name: &str, unit: &str) -> Self {
        Self {
            of: of.to_owned(),
            name: name.to_owned(),
            unit: unit.to_owned(),
            points: Vec::new(),
        }
    }
}

/// Measures everything.
pub async fn run(settings: &Settings) -> Result<Vec<Series>> {
    let mut all = searches::measure(settings).await?;
    all.extend(rows(settings).await?);
    Ok(all)
}

async fn rows(settings: &Settings) -> Result<Vec<Series>> {
    let of = "rows in results";
    let mut rate = Series::new(of, "GET /results, first ten pages", "/s");
    let mut slowest = Series::new(of, "99th percentile", "ms");
    for rows in ROWS.into_iter().filter(|rows| *rows <= settings.most) {
        let report = reads::run(&reads::Settings {
            binaries: settings.binaries.clone(),
            rows,
            papers: None,
            length: settings.length,
            rounds: 1,
            connections: 64,
            pgbench_clients: &[8],
            compare: None,
            only: "first ten pages".into(),
        })
        .await?;
        for figures in &report.figures {
            rate.points.push((rows, figures.median(|served| served.rate)));
            let p99 = figures.median(|served| served.p99.as_secs_f64() * 1e3);
            slowest.points.push((rows, p99));
        }
    }
    Ok(vec![rate, slowest])
}
