//! What a query searches for, in short.

use crd::ArxivQuerySpec;
use serde::{Serialize, Serializer};

/// Characters of a value that are shown.
const SHOWN: usize = 120;

/// The search fields that are given, each with the beginning of its value.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Searched(Box<[(&'static str, Box<str>)]>);

impl Searched {
    pub(crate) fn of(spec: &ArxivQuerySpec) -> Self {
        let ids = spec.id_list.as_ref().map(|ids| ids.join(","));
        let fields = [
            ("author", &spec.author),
            ("title", &spec.title),
            ("journal", &spec.journal),
            ("abstract", &spec.abstract_text),
            ("category", &spec.category),
            ("comment", &spec.comment),
            ("report_number", &spec.report_number),
            ("all", &spec.all),
            ("id_list", &ids),
            ("submitted_after", &spec.submitted_after),
            ("submitted_before", &spec.submitted_before),
        ];
        let given = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, cut(value.as_deref()?))));
        Self(given.collect())
    }
}

fn cut(value: &str) -> Box<str> {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()).into(),
        None => value.into(),
    }
}

impl Serialize for Searched {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_between_characters() {
        let spec = ArxivQuerySpec {
            author: Some("ű".repeat(SHOWN + 1)),
            title: Some("ű".repeat(SHOWN)),
            ..ArxivQuerySpec::default()
        };
        let told = serde_json::to_value(Searched::of(&spec)).unwrap();
        let whole = "ű".repeat(SHOWN);
        assert_eq!(
            told,
            serde_json::json!({"author": format!("{whole}…"), "title": whole})
        );
    }
}
