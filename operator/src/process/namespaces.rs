//! The namespaces that this process watches.

use std::{collections::BTreeSet, str::FromStr};

use crd::{QueryWithoutManagedFields, is_dns_label};
use kube::{Api, Client};

/// Each has watches of its own, so there is a limit. More of them are better watched cluster-wide.
const MOST: usize = 100;

/// The watched namespaces, each once; none means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Namespaces(BTreeSet<String>);

/// A list that cannot be one of namespaces.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NamespacesError {
    /// Not a name that Kubernetes allows.
    #[error("{0:?} is not the name of a namespace: lower-case letters, digits and `-`, up to 63 of them")]
    Name(String),
    /// Too many.
    #[error("{0} namespaces; at most {MOST} can be listed, and without a list all are watched")]
    TooMany(usize),
}

impl Namespaces {
    /// The namespace, if it is exactly one.
    pub(crate) fn only(&self) -> Option<&str> {
        let mut all = self.0.iter();
        let first = all.next()?;
        all.next().is_none().then_some(first)
    }

    /// Whether all namespaces are watched.
    pub(crate) fn is_everywhere(&self) -> bool {
        self.0.is_empty()
    }

    /// The names; none where all are watched.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.0.iter().cloned()
    }

    /// The objects of each namespace; for all namespaces together one.
    pub(crate) fn apis(&self, client: &Client) -> Vec<Api<QueryWithoutManagedFields>> {
        if self.0.is_empty() {
            return vec![Api::all(client.clone())];
        }
        let of = |name: &String| Api::namespaced(client.clone(), name);
        self.0.iter().map(of).collect()
    }
}

impl FromStr for Namespaces {
    type Err = NamespacesError;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        let names: BTreeSet<String> = names.map(str::to_owned).collect();
        if let Some(wrong) = names.iter().find(|name| !is_dns_label(name)) {
            return Err(NamespacesError::Name(wrong.clone()));
        }
        if names.len() > MOST {
            return Err(NamespacesError::TooMany(names.len()));
        }
        Ok(Self(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_read_with_each_name_once_and_wrong_ones_are_refused() {
        let read = |list: &str| Namespaces::from_str(list).map(|read| read.0.into_iter().collect::<Vec<_>>());
        let wrong = |name: &str| Err(NamespacesError::Name(name.to_owned()));
        let long = "n".repeat(64);
        for (list, expected) in [
            ("", Ok(vec![])),
            ("team-a", Ok(vec!["team-a".to_owned()])),
            (" b, a,,b ", Ok(vec!["a".to_owned(), "b".to_owned()])),
            ("4444", Ok(vec!["4444".to_owned()])),
            ("Team", wrong("Team")),
            ("a b", wrong("a b")),
            ("a.b", wrong("a.b")),
            ("a,-b", wrong("-b")),
            (&long, wrong(&long)),
        ] {
            assert_eq!(read(list), expected, "{list:?}");
        }
        let list = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(read(&list(MOST)).map(|read| read.len()), Ok(MOST));
        assert_eq!(read(&list(MOST + 1)), Err(NamespacesError::TooMany(MOST + 1)));
    }

    #[test]
    fn lease_is_in_the_watched_namespace_only_if_it_is_one() {
        for (list, expected) in [("", None), ("a", Some("a")), ("a,a", Some("a")), ("a,b", None)] {
            assert_eq!(list.parse::<Namespaces>().unwrap().only(), expected, "{list:?}");
        }
    }
}
