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
    /// 1 to so many characters of printable ASCII, without spaces.
    Token { most: usize },
    /// A date, as [`Zone::parse`](super::dates::Zone::parse) reads it.
    Date,
    /// Unix seconds or a date.
    Time,
    /// A text that means something only to who gave it out.
    Opaque,
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
            _ => i64::MIN..=i64::MAX,
        }
    }
}
