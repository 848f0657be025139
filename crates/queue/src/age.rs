//! Since when a query waits.

use jiff::Timestamp;

/// Since when a query waits for its turn. Who waits longer is less.
///
/// Kubernetes tells the second in which an object was made. Of those that were made in one, the order is that of their
/// resource versions as they were first seen: decimal numbers that grow with each write of any object, so before its first
/// change an object has the one of its creation. Whoever saw it then, or before anything changed, knows the same order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Age {
    at: Timestamp,
    version: u64,
}

impl Age {
    /// Since its object was made; `version`: the resource version with which the object was first seen.
    pub fn created(at: Timestamp, version: Option<&str>) -> Self {
        Self {
            at,
            version: version.and_then(|version| version.parse().ok()).unwrap_or(0),
        }
    }

    /// Since it had its latest slice.
    pub fn answered(at: Timestamp) -> Self {
        Self { at, version: 0 }
    }

    /// The time alone.
    pub fn at(self) -> Timestamp {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_counts_then_the_version_as_a_number() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let order = [
            Age::created(at(1), Some("200")),
            Age::created(at(2), Some("opaque")),
            Age::created(at(2), Some("99")),
            Age::created(at(2), Some("100")),
            Age::answered(at(3)),
            Age::created(at(3), Some("7")),
        ];
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
    }
}
