//! The query string, decoded once.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The pairs of a query string in their order.
#[derive(Debug)]
pub struct QueryString(Vec<(String, QueryValue)>);

/// A decoded value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueryValue {
    /// The text; bytes that are not UTF-8 became U+FFFD.
    pub text: String,
    /// Whether its bytes were UTF-8.
    pub is_unicode: bool,
}

impl QueryString {
    /// Parses what comes after the `?` as HTML forms write it; a name without `=` has an empty value.
    pub fn parse(raw: Option<&str>) -> Self {
        let pairs = raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(
            pairs
                .map(|(name, value)| (decode(name).text, decode(value)))
                .collect(),
        )
    }

    /// All names and values, in their order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.text.as_str()))
    }

    /// The value of this name; of several the last.
    pub fn last(&self, name: &str) -> Option<&QueryValue> {
        #[cfg(any(test, feature = "record-reads"))]
        read_names::note(name);
        let (_, value) = self.0.iter().rev().find(|(key, _)| key == name)?;
        Some(value)
    }
}

/// Which parameters were read on this thread: what the `OpenAPI` document's test compares.
#[cfg(any(test, feature = "record-reads"))]
pub mod read_names {
    use std::{cell::RefCell, collections::BTreeSet};

    thread_local!(static NAMES: RefCell<BTreeSet<String>> = RefCell::default());

    pub(super) fn note(name: &str) {
        NAMES.with_borrow_mut(|names| names.insert(name.to_owned()));
    }

    /// The names since the last call.
    pub fn take() -> BTreeSet<String> {
        NAMES.take()
    }
}

/// `+` is a space, `%XX` a byte; a `%` without two hexadecimal digits stays.
fn decode(raw: &str) -> QueryValue {
    let bytes: Vec<u8> = percent_decode(raw.replace('+', " ").as_bytes()).collect();
    let text = String::from_utf8_lossy(&bytes);
    QueryValue {
        is_unicode: matches!(text, Cow::Borrowed(_)),
        text: text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_the_last_counts() {
        let cases = [
            ("author=a", Some("a")),
            ("author", Some("")),
            ("author=", Some("")),
            ("author=a&author=b", Some("b")),
            ("&&author=a&", Some("a")),
            ("Author=a", None),
            ("%61uthor=a", Some("a")),
            ("author=a%3Dc=d", Some("a=c=d")),
            ("author=a;title=b", Some("a;title=b")),
            ("author=%zz%4", Some("%zz%4")),
            ("author=a+b%2Bc%26", Some("a b+c&")),
            ("author=Erd%C5%91s", Some("Erdős")),
            ("=x", None),
            ("", None),
        ];
        for (raw, expected) in cases {
            let query = QueryString::parse(Some(raw));
            assert_eq!(
                query.last("author").map(|value| value.text.as_str()),
                expected,
                "{raw}"
            );
        }
        assert!(QueryString::parse(None).last("author").is_none());
    }

    #[test]
    fn value_that_is_not_utf8_is_marked() {
        for raw in ["a=%ff%fe", "a=%ed%a0%80", "a=%c5"] {
            assert!(
                !QueryString::parse(Some(raw)).last("a").unwrap().is_unicode,
                "{raw}"
            );
        }
    }
}
