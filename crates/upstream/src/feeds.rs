//! Runs of a feed: queries for what the feed searches for, newest updates first.

use crd::{ArxivSearch, SortBy, SortOrder};
use sha2::{Digest, Sha256};

/// A hash of what a feed searches for, whatever its runs have in addition: the order, and from which update on. It must stay the same
/// in all versions, since with another one nothing counts as seen.
pub fn feed_search_hash(search: &ArxivSearch) -> String {
    let search = ArxivSearch {
        updated_after: None,
        sort_by: SortBy::default(),
        sort_order: SortOrder::default(),
        ..search.clone()
    };
    // Serialising a search cannot fail.
    let text = serde_json::to_string(&search).unwrap_or_default();
    let hash = Sha256::digest(text.as_bytes());
    hash[..16]
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// The hashes that a feed's search has if this is a search of one of its runs: a run that goes on far back is restricted to papers
/// that were submitted before a time.
pub fn feed_search_hashes(search: &ArxivSearch) -> Vec<String> {
    let mut hashes = vec![feed_search_hash(search)];
    if search.submitted_before.is_some() {
        let unrestricted = ArxivSearch {
            submitted_before: None,
            ..search.clone()
        };
        hashes.push(feed_search_hash(&unrestricted));
    }
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search() -> ArxivSearch {
        ArxivSearch {
            author: Some("knuth".to_owned()),
            category: Some("cs.DS".to_owned()),
            ..ArxivSearch::default()
        }
    }

    #[test]
    fn hash_of_a_feed_is_that_of_earlier_versions() {
        assert_eq!(
            feed_search_hash(&search()),
            "28f480b80ef910c0844e10015c580b2b",
            "feeds of earlier versions begin anew"
        );
    }

    #[test]
    fn run_has_the_hash_of_its_feed_and_another_search_has_not() {
        let feed = feed_search_hash(&search());
        let run = ArxivSearch {
            updated_after: Some("2024-01-01T00:00:00Z".to_owned()),
            sort_by: SortBy::LastUpdatedDate,
            sort_order: SortOrder::Descending,
            ..search()
        };
        assert_eq!(feed_search_hashes(&run), std::slice::from_ref(&feed));
        let further_back = ArxivSearch {
            submitted_before: Some("2024-01-01T00:00:00Z".to_owned()),
            ..run.clone()
        };
        assert!(feed_search_hashes(&further_back).contains(&feed));
        let other = ArxivSearch {
            author: Some("erdos".to_owned()),
            ..run
        };
        assert!(!feed_search_hashes(&other).contains(&feed));
    }
}
