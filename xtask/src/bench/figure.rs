//! A measured figure and its limit.

use std::fmt;

/// Something measured.
pub(super) struct Figure {
    pub(super) what: String,
    pub(super) measured: f64,
    /// The maximum, if there is a limit.
    pub(super) limit: Option<f64>,
    pub(super) unit: &'static str,
}

impl Figure {
    pub(super) fn is_within(&self) -> bool {
        self.limit.is_none_or(|limit| self.measured <= limit)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit;
        let limit = self
            .limit
            .map_or_else(String::new, |limit| format!("{limit:.1} {unit}"));
        let measured = format!("{:.1} {unit}", self.measured);
        let exceeded = if self.is_within() { "" } else { "  EXCEEDED" };
        write!(f, "{:<64} {measured:>10} {limit:>10}{exceeded}", self.what)
    }
}

/// A table with one line per figure.
pub(super) fn table(figures: &[Figure]) -> String {
    let head = format!("{:<64} {:>10} {:>10}", "figure", "measured", "limit");
    let lines: Vec<String> = std::iter::once(head)
        .chain(figures.iter().map(Figure::to_string))
        .collect();
    lines.join("\n")
}
