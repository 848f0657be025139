//! A short form of a query's search, for lists.

use crd::{ArxivQuerySpec, FIELDS};
use serde::{Serialize, Serializer};

/// Longest value in characters; the rest is replaced by an ellipsis.
const MAX_CHARS: usize = 120;

/// The search fields that are set, each with the beginning of its value.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct SearchSummary(Box<[(&'static str, Box<str>)]>);

impl SearchSummary {
    pub(crate) fn of(spec: &ArxivQuerySpec) -> Self {
        let given = FIELDS
            .iter()
            .filter_map(|field| Some((field.member?, cut(&field.text(spec)?))));
        Self(given.collect())
    }
}

fn cut(value: &str) -> Box<str> {
    match value.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()).into(),
        None => value.into(),
    }
}

impl Serialize for SearchSummary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_summary_cuts_long_values_at_a_character() {
        let spec = ArxivQuerySpec {
            author: Some("ű".repeat(MAX_CHARS + 1)),
            title: Some("ű".repeat(MAX_CHARS)),
            ..ArxivQuerySpec::default()
        };
        let summary = serde_json::to_value(SearchSummary::of(&spec)).unwrap();
        let whole = "ű".repeat(MAX_CHARS);
        assert_eq!(
            summary,
            serde_json::json!({"author": format!("{whole}…"), "title": whole})
        );
    }
}
