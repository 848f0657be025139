//! The figures for people.

use std::fmt::Write;

use crate::Figures;

/// A table with a line a load: what was served, what Postgres alone does, and their ratio.
pub fn table(all: &[Figures]) -> String {
    let compared = all.iter().any(|figures| figures.compared.is_some());
    let mut text = format!(
        "{:<46} {:>9} {:>9} {:>9} {:>6} {:>9} {:>8} {:>8}",
        "load", "served/s", "pgbench/s", "ratio", "goal", "median", "p99", "failed"
    );
    text += if compared {
        "   other/s   ratio  other p99\n"
    } else {
        "\n"
    };
    for figures in all {
        let served = figures.served;
        let ratio = figures.limit.map(|limit| served.rate / limit);
        // Writing to a string never fails.
        let _ = write!(
            text,
            "{:<46} {:>9.0} {:>9} {:>9} {:>6} {:>6.1} ms {:>5.1} ms {:>8}",
            figures.load.name,
            served.rate,
            shown(figures.limit, 0),
            shown(ratio, 2),
            shown(figures.load.goal, 2),
            served.median.as_secs_f64() * 1e3,
            served.p99.as_secs_f64() * 1e3,
            served.failed
        );
        if let Some(other) = figures.compared {
            let _ = write!(
                text,
                " {:>9.0} {:>7.2} {:>7.1} ms",
                other.rate,
                served.rate / other.rate,
                other.p99.as_secs_f64() * 1e3
            );
        }
        text.push('\n');
    }
    let most = all.iter().map(|figures| figures.memory).max().unwrap_or_default();
    let _ = writeln!(
        text,
        "largest resident memory of the API server: {} MiB",
        most >> 20
    );
    text
}

fn shown(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.decimals$}"))
}
