//! The figures as a table and as JSON.

use super::{Figure, Goal, median};

/// A table with one line per figure: the median of all rounds with the least and the greatest value, the same of the bound, and
/// the ratio of the medians.
pub fn table(figures: &[Figure]) -> String {
    let head = format!(
        "{:<64} {:>24} {:>24} {:>6} {:>8}",
        "figure", "median (range)", "bound (range)", "ratio", "goal"
    );
    let lines = figures.iter().map(line);
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
}

/// The same, for programs.
pub fn json(figures: &[Figure]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(figures)
}

fn line(figure: &Figure) -> String {
    let ratio = figure
        .ratio()
        .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    let goal = match figure.goal {
        None => "-".to_owned(),
        Some(Goal::Ratio(least) | Goal::AtLeast(least)) => format!("≥ {least}"),
        Some(Goal::AtMost(most)) => format!("≤ {most}"),
    };
    let missed = if figure.is_good() { "" } else { "  MISSED" };
    format!(
        "{:<64} {:>24} {:>24} {ratio:>6} {goal:>8}{missed}",
        figure.name,
        range(&figure.measured, figure.unit),
        range(&figure.bound, figure.unit),
    )
}

fn range(values: &[f64], unit: &str) -> String {
    let Some(middle) = median(values) else {
        return "-".to_owned();
    };
    // Ratios have no unit.
    let decimals = if unit.is_empty() {
        2
    } else {
        usize::from(middle < 10.0)
    };
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let text = format!("{middle:.decimals$} {unit}");
    if values.len() < 2 {
        return text.trim_end().to_owned();
    }
    format!("{} ({least:.decimals$}–{most:.decimals$})", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_medians_ranges_ratio_and_goal() {
        let figure = |measured: &[f64], bound: &[f64], goal| Figure {
            name: "searches".into(),
            unit: "/s",
            measured: measured.to_vec(),
            bound: bound.to_vec(),
            goal,
        };
        let words = |figure: &Figure| line(figure).split_whitespace().collect::<Vec<_>>().join(" ");
        let good = figure(
            &[90.0, 80.0, 100.0],
            &[200.0, 100.0, 90.0],
            Some(Goal::Ratio(0.75)),
        );
        assert_eq!(
            words(&good),
            "searches 90 /s (80–100) 100 /s (90–200) 0.90 ≥ 0.75"
        );
        let missed = figure(&[9.5], &[], Some(Goal::AtMost(3.0)));
        assert_eq!(words(&missed), "searches 9.5 /s - - ≤ 3 MISSED");
        assert_eq!(words(&figure(&[], &[], None)), "searches - - - -");
    }
}
