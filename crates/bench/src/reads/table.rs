//! The figures as a table.

use std::fmt::Write;

use super::{MOST_MEMORY, Report};
use crate::figures::{Figure, Goal, median};

const MEBI: f64 = 1_048_576.0;

/// A table with one line per load: the API server's rate, the reference rate (of pgbench with the same SQL, or of an earlier
/// load), and their ratio. Memory is the peak of the resident memory so far.
/// Of another server: what it served, and what ours served as a ratio to it.
pub fn table(report: &Report) -> String {
    let all = &report.figures;
    let compared = all.iter().any(|figures| !figures.compared.is_empty());
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
        let rate = figures.median(|served| served.rate);
        let ratio = figures.limit().map(|limit| rate / limit);
        // Writing to a string never fails.
        let _ = write!(
            text,
            "{:<42} {:>9.0} {:>9} {:>6} {:>6} {:>6.1} ms {:>5.1} ms {:>7} {:>3} MiB",
            figures.load.name,
            rate,
            shown(figures.limit(), 0),
            shown(ratio, 2),
            shown(figures.load.goal, 2),
            figures.median(|served| served.median.as_secs_f64()) * 1e3,
            figures.median(|served| served.p99.as_secs_f64()) * 1e3,
            figures.failed(),
            figures.memory >> 20,
        );
        let rates: Vec<f64> = figures.compared.iter().map(|other| other.rate).collect();
        let p99s: Vec<f64> = figures
            .compared
            .iter()
            .map(|other| other.p99.as_secs_f64() * 1e3)
            .collect();
        if let Some((other, p99)) = median(&rates).zip(median(&p99s)) {
            let failed: u64 = figures.compared.iter().map(|other| other.failed).sum();
            let _ = write!(
                text,
                " {other:>9.0} {:>7.2} {p99:>7.1} ms {failed:>7}",
                rate / other
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

/// All of it as figures: of each load its rate with the reference, and its times.
pub fn figures(report: &Report) -> Vec<Figure> {
    let mut all = Vec::new();
    for figures in &report.figures {
        let load = figures.load;
        let named = |what: &str| format!("{}: {what}", load.name);
        let ms = |of: fn(&crate::Measured) -> f64| figures.served.iter().map(of).collect();
        all.push(Figure {
            measured: ms(|served| served.rate),
            bound: figures.limits.clone(),
            ..Figure::new(load.name, "/s", load.goal.map(Goal::Ratio))
        });
        all.push(Figure {
            measured: ms(|served| served.median.as_secs_f64() * 1e3),
            ..Figure::new(named("median"), "ms", None)
        });
        let most = load.p99.map(|most| Goal::AtMost(most.as_secs_f64() * 1e3));
        all.push(Figure {
            measured: ms(|served| served.p99.as_secs_f64() * 1e3),
            ..Figure::new(named("99th percentile"), "ms", most)
        });
    }
    let most_memory = report.figures.iter().map(|figures| figures.memory).max();
    if let Some(memory) = most_memory {
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
        let (mebibytes, most) = (memory as f64 / MEBI, MOST_MEMORY as f64 / MEBI);
        let figure = Figure::new(
            "largest resident memory of the API server",
            "MiB",
            Some(Goal::AtMost(most)),
        );
        all.push(figure.measured(mebibytes));
    }
    if let Some(bytes) = report.bytes {
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
        let figure = |name, bytes: u64| Figure::new(name, "B", None).measured(bytes as f64);
        all.push(figure("bytes per paper", bytes.whole));
        all.push(figure(
            "bytes per paper, without the abstract",
            bytes.without_abstract,
        ));
    }
    all
}

fn shown(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.decimals$}"))
}
