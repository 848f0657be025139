//! What was measured, with its bound and its goal: as a table for people, as JSON for programs.

use serde::{Deserialize, Serialize};

/// One figure, as often as it was measured.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// The unit: `/s`, `ms`, …
    pub unit: String,
    /// The values of all rounds.
    pub measured: Vec<f64>,
    /// The upper bound in the same rounds.
    pub bound: Vec<f64>,
    /// The least ratio to the bound; for a figure without one, the least (or the greatest) value.
    pub goal: Option<Goal>,
}

/// What a figure should reach.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Goal {
    /// At least this ratio to the bound.
    Ratio(f64),
    /// At least this value.
    AtLeast(f64),
    /// At most this value.
    AtMost(f64),
}

impl Figure {
    /// One that was not measured yet.
    pub fn new(name: impl Into<String>, unit: impl Into<String>, goal: Option<Goal>) -> Self {
        Self {
            name: name.into(),
            unit: unit.into(),
            measured: Vec::new(),
            bound: Vec::new(),
            goal,
        }
    }

    /// The same, measured once.
    #[must_use]
    pub fn measured(mut self, value: f64) -> Self {
        self.measured.push(value);
        self
    }

    /// The median of all rounds as a ratio to that of the bound.
    pub fn ratio(&self) -> Option<f64> {
        Some(median(&self.measured)? / median(&self.bound)?)
    }

    /// Whether it reaches its goal.
    pub fn is_good(&self) -> bool {
        let value = median(&self.measured).unwrap_or(f64::NAN);
        match self.goal {
            None => true,
            Some(Goal::Ratio(least)) => self.ratio().is_some_and(|ratio| ratio >= least),
            Some(Goal::AtLeast(least)) => value >= least,
            Some(Goal::AtMost(most)) => value <= most,
        }
    }
}

/// With three decimals.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// The median; none of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

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

/// The same as a table in Markdown.
pub(crate) fn markdown(figures: &[&Figure]) -> String {
    let head = "| figure | median (range) | bound (range) | ratio | goal |\n|---|---|---|---|---|".to_owned();
    let lines = figures.iter().map(|figure| {
        let (measured, bound) = (
            range(&figure.measured, &figure.unit),
            range(&figure.bound, &figure.unit),
        );
        let (ratio, goal) = (ratio(figure), goal(figure));
        format!("| {} | {measured} | {bound} | {ratio} | {goal} |", figure.name)
    });
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
}

fn ratio(figure: &Figure) -> String {
    let ratio = figure.ratio();
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
}

fn goal(figure: &Figure) -> String {
    match figure.goal {
        None => "-".to_owned(),
        Some(Goal::Ratio(least) | Goal::AtLeast(least)) => format!("≥ {}", rounded(least)),
        Some(Goal::AtMost(most)) => format!("≤ {}", rounded(most)),
    }
}

fn line(figure: &Figure) -> String {
    let (ratio, goal) = (ratio(figure), goal(figure));
    let missed = if figure.is_good() { "" } else { "  MISSED" };
    format!(
        "{:<64} {:>24} {:>24} {ratio:>6} {goal:>8}{missed}",
        figure.name,
        range(&figure.measured, &figure.unit),
        range(&figure.bound, &figure.unit),
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
            measured: measured.to_vec(),
            bound: bound.to_vec(),
            ..Figure::new("searches", "/s", goal)
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
        let table = markdown(&[&good, &missed]);
        assert!(
            table.ends_with("|\n| searches | 90 /s (80–100) | 100 /s (90–200) | 0.90 | ≥ 0.75 |\n| searches | 9.5 /s | - | - | ≤ 3 |"),
            "{table}"
        );
        let json = json(&[good.clone(), missed.clone()]).unwrap();
        assert_eq!(
            serde_json::from_str::<Vec<Figure>>(&json).unwrap(),
            [good, missed]
        );
    }
}
