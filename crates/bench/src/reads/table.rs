//! The figures as a table.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Figures, Report};

/// A table with one line per load: the API server's rate, the reference rate (of pgbench with the same SQL, or of an earlier
/// load), and their ratio. Memory is the peak of the resident memory so far.
/// Of another server: what it served, and what ours served as a ratio to it.
pub fn table(report: &Report) -> String {
    let all = &report.figures;
    let compared = all.iter().any(|figures| figures.compared.is_some());
    let mut text = format!(
        "{:<42} {:>9} {:>9} {:>6} {:>6} {:>9} {:>8} {:>7} {:>7}",
        "load", "served/s", "against/s", "ratio", "goal", "median", "p99", "failed", "memory"
    );
    text += if compared {
        "   other/s   ratio  other p99  failed\n"
    } else {
        "\n"
    };
    for figures in all {
        let served = figures.served;
        let ratio = figures.limit.map(|limit| served.rate / limit);
        // Writing to a string never fails.
        let _ = write!(
            text,
            "{:<42} {:>9.0} {:>9} {:>6} {:>6} {:>6.1} ms {:>5.1} ms {:>7} {:>3} MiB",
            figures.load.name,
            served.rate,
            shown(figures.limit, 0),
            shown(ratio, 2),
            shown(figures.load.goal, 2),
            served.median.as_secs_f64() * 1e3,
            served.p99.as_secs_f64() * 1e3,
            served.failed,
            figures.memory >> 20,
        );
        if let Some(other) = figures.compared {
            let _ = write!(
                text,
                " {:>9.0} {:>7.2} {:>7.1} ms {:>7}",
                other.rate,
                served.rate / other.rate,
                other.p99.as_secs_f64() * 1e3,
                other.failed
            );
        }
        text.push('\n');
    }
    if let Some(bytes) = report.bytes {
        let _ = writeln!(
            text,
            "bytes per paper: {}, without the abstract {}",
            bytes.whole, bytes.without_abstract
        );
    }
    text
}

/// The same, for programs.
pub fn json(report: &Report) -> serde_json::Result<String> {
    let loads: Vec<Value> = report.figures.iter().map(load).collect();
    serde_json::to_string_pretty(&json!({"loads": loads, "bytes_per_paper": report.bytes}))
}

fn load(figures: &Figures) -> Value {
    let served = figures.served;
    json!({
        "name": figures.load.name,
        "rate": served.rate,
        "median_seconds": served.median.as_secs_f64(),
        "p99_seconds": served.p99.as_secs_f64(),
        "p99_limit_seconds": figures.load.p99.map(|limit| limit.as_secs_f64()),
        "failed": served.failed,
        "against": figures.limit,
        "ratio": figures.limit.map(|limit| served.rate / limit),
        "goal": figures.load.goal,
        "memory_bytes": figures.memory,
        "good": figures.is_good(),
    })
}

fn shown(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.decimals$}"))
}
