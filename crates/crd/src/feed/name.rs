//! Names of feeds.

use kube::core::Rule;

use crate::is_dns_label;

/// The longest name of a feed, as that of a CronJob: the name of a run has eleven characters more, and fits into a label.
pub const MAX_FEED_NAME: usize = 52;
/// With such an end, an address names a feed in that format.
const FORMATS: [&str; 3] = [".atom", ".rss", ".json"];

/// Whether an `ArxivFeed` can have this name.
pub fn is_feed_name(name: &str) -> bool {
    name.len() <= MAX_FEED_NAME
        && name.split('.').all(is_dns_label)
        && !FORMATS.iter().any(|format| name.ends_with(format))
}

/// The names of runs fit into labels.
pub(super) fn name_is_short() -> Rule {
    Rule::new(format!("self.metadata.name.size() <= {MAX_FEED_NAME}"))
        .message(format!("the name of a feed must have at most {MAX_FEED_NAME} characters").as_str())
}

/// The end of an address of a feed chooses its format, so no name may have that end.
pub(super) fn name_has_no_format() -> Rule {
    let ends = FORMATS.map(|format| format!("self.metadata.name.endsWith('{format}')"));
    Rule::new(format!("!({})", ends.join(" || "))).message(
        "the name of a feed must not end with .atom, .rss or .json, which choose a format in its address",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kubernetes_and_the_rules_allow() {
        let longest = "a".repeat(MAX_FEED_NAME);
        for name in [
            "a",
            "knuth-2",
            "knuth.v2",
            "atom",
            "a.json.b",
            "9",
            longest.as_str(),
        ] {
            assert!(is_feed_name(name), "{name}");
        }
        let too_long = "a".repeat(MAX_FEED_NAME + 1);
        for name in [
            "",
            "-a",
            "a-",
            "a.",
            ".a",
            "a..b",
            "A",
            "a_b",
            "a b",
            "a/b",
            "é",
            "a\0",
            "a.atom",
            "a.rss",
            "a.json",
            too_long.as_str(),
        ] {
            assert!(!is_feed_name(name), "{name}");
        }
    }
}
