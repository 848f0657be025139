//! Cursors: after which row a page begins, and in which epoch of the results.
//!
//! A cursor is opaque to clients, has a version, and is bound to its filter by a checksum that also detects typing errors. It
//! is not a secret and grants no rights: a forged one at worst begins at another row.

use sha2::{Digest, Sha256};
use wire::hex;

use crate::output::filter::ResultSelection;

const VERSION: &str = "1";

/// Where a page begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Cursor {
    /// Of the server that gave the page before.
    pub(crate) epoch: i64,
    /// The id of that page's last row: all rows up to it were settled there.
    pub(crate) after: i64,
}

impl Cursor {
    /// As clients see it.
    pub(crate) fn text(self, wanted: &ResultSelection) -> String {
        let Self { epoch, after } = self;
        format!("{VERSION}-{epoch:x}-{after:x}-{}", sum(epoch, after, wanted))
    }

    /// None for what is no cursor of this version, or was given for another filter.
    pub(crate) fn parse(text: &str, wanted: &ResultSelection) -> Option<Self> {
        let mut numbers = text.split('-').skip(1);
        let mut number = || i64::from_str_radix(numbers.next()?, 16).ok();
        let cursor = Self {
            epoch: number()?,
            after: number()?,
        };
        (cursor.text(wanted) == text).then_some(cursor)
    }
}

fn sum(epoch: i64, after: i64, wanted: &ResultSelection) -> String {
    let mut hash = Sha256::new_with_prefix("cursor of results");
    hash.update(epoch.to_be_bytes());
    hash.update(after.to_be_bytes());
    hash.update(wanted.canonical.as_bytes());
    hex(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_is_valid_for_its_filter_only() {
        let wanted = |canonical: &str| ResultSelection {
            canonical: canonical.to_owned(),
            ..ResultSelection::default()
        };
        let cursor = Cursor {
            epoch: 3,
            after: 1_000_000,
        };
        let text = cursor.text(&wanted("a"));
        assert_eq!(Cursor::parse(&text, &wanted("a")), Some(cursor));
        for other in [
            text.replacen('1', "2", 1),
            text.replacen("-3-", "-4-", 1),
            text.replacen("-3-", "--3-", 1),
            text.replacen("-3-", "-+3-", 1),
            format!("{text}-"),
            format!("{text}0"),
            String::new(),
            "x".into(),
        ] {
            assert_eq!(Cursor::parse(&other, &wanted("a")), None, "{other}");
        }
        assert_eq!(Cursor::parse(&text, &wanted("b")), None);
    }
}
