//! The highest priority of each namespace's queries.

use std::{collections::BTreeMap, str::FromStr};

/// For every namespace without a ceiling of its own.
const OTHERS: &str = "*";

/// The highest priority that counts in each namespace: users who may create queries in a namespace choose their priority,
/// but not how it compares with that of other namespaces. No ceilings by default.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PriorityCeilings(BTreeMap<String, i32>);

impl PriorityCeilings {
    /// The priority that counts for a query of this namespace.
    pub fn limit(&self, namespace: &str, priority: i32) -> i32 {
        let ceiling = self.0.get(namespace).or_else(|| self.0.get(OTHERS));
        ceiling.map_or(priority, |ceiling| priority.min(*ceiling))
    }
}

impl FromStr for PriorityCeilings {
    type Err = String;

    /// A list such as `team-a=100,*=0`, separated by commas or spaces.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut ceilings = BTreeMap::new();
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            let pair = word
                .split_once('=')
                .filter(|(namespace, _)| !namespace.is_empty());
            let pair = pair.and_then(|(namespace, number)| Some((namespace, number.parse().ok()?)));
            let (namespace, ceiling) =
                pair.ok_or_else(|| format!("{word:?} is not of the form NAMESPACE=PRIORITY or *=PRIORITY"))?;
            if ceilings.insert(namespace.to_owned(), ceiling).is_some() {
                return Err(format!("{namespace:?} has two ceilings"));
            }
        }
        Ok(Self(ceilings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_is_limited_by_the_ceiling_of_its_namespace_or_that_of_the_others() {
        for (ceilings, namespace, priority, limited) in [
            ("", "a", 1000, 1000),
            ("a=10", "a", 1000, 10),
            ("a=10", "a", 3, 3),
            ("a=10", "b", 1000, 1000),
            ("a=10,*=0", "b", 1000, 0),
            ("a=10 *=0", "a", 1000, 10),
            ("*=-5", "a", 0, -5),
            ("*=-5", "a", -7, -7),
        ] {
            let ceilings: PriorityCeilings = ceilings.parse().unwrap();
            assert_eq!(
                ceilings.limit(namespace, priority),
                limited,
                "{ceilings:?} {namespace}"
            );
        }
        for wrong in ["a", "a=", "=1", "a=x", "a=1,a=2", "*"] {
            assert!(wrong.parse::<PriorityCeilings>().is_err(), "{wrong}");
        }
    }
}
