//! Declarations of query parameters: what a reader takes is what the `OpenAPI` document describes.

use std::ops::RangeInclusive;

/// A query parameter.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    /// What it is for, in the document.
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// A value as it would stand in an address, decoded; empty for none.
    pub(crate) example: &'static str,
}

/// What a parameter's value may be.
#[derive(Debug)]
pub(crate) enum Kind {
    /// An integer within a range, both ends included.
    Integer(RangeInclusive<i64>),
    /// A text of 1 to so many characters.
    Text { most: usize },
    /// `true` or `false`.
    Boolean,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A text that is no search value: its own reader says what it may be.
    Plain,
}

impl Param {
    /// An optional parameter.
    pub(crate) const fn new(
        name: &'static str,
        kind: Kind,
        example: &'static str,
        about: &'static str,
    ) -> Self {
        Self {
            name,
            about,
            kind,
            required: false,
            example,
        }
    }

    /// It must be there.
    #[must_use]
    pub(crate) const fn required(self) -> Self {
        Self {
            name: self.name,
            about: self.about,
            kind: self.kind,
            required: true,
            example: self.example,
        }
    }

    /// The integers that are taken.
    pub(crate) fn range(&self) -> RangeInclusive<i64> {
        match &self.kind {
            Kind::Integer(range) => range.clone(),
            Kind::Text { .. } | Kind::Boolean | Kind::OneOf(_) | Kind::Plain => i64::MIN..=i64::MAX,
        }
    }
}
