//! The age of a waiting query.

use jiff::Timestamp;

/// How long a query has waited for its turn. The query that has waited longest is the least.
///
/// Kubernetes records the second in which an object was created. Objects of the same second are ordered by
/// their resource versions as they were first seen: decimal numbers that grow with each write of any object,
/// so before its first change an object has the version of its creation. Every process that saw the object
/// before its first change has the same order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Age {
    at: Timestamp,
    version: u64,
}

impl Age {
    /// From the creation of its object; `version`: the resource version with which the object was first seen.
    pub fn created(at: Timestamp, version: Option<&str>) -> Self {
        Self {
            at,
            version: version.and_then(|version| version.parse().ok()).unwrap_or(0),
        }
    }

    /// From its latest slice.
    pub fn answered(at: Timestamp) -> Self {
        Self { at, version: 0 }
    }

    /// The time, without the version.
    pub fn at(self) -> Timestamp {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_ordered_by_second_then_by_version_as_a_number() {
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
