//! Declarations of query parameters: [`mod@crate::params`] reads by them, and the `OpenAPI` document describes them.

use std::ops::RangeInclusive;

/// A query parameter.
#[derive(Debug)]
pub struct Param {
    /// The name in the query string.
    pub name: &'static str,
    /// Its description in the document.
    pub about: &'static str,
    /// Which values are valid.
    pub kind: ParamKind,
    /// Whether a request without it is an error.
    pub required: bool,
    /// A decoded example value; empty for none.
    pub example: &'static str,
}

/// Which values of a parameter are valid.
#[derive(Debug)]
pub enum ParamKind {
    /// An integer within a range, both ends included.
    Integer(RangeInclusive<i64>),
    /// A text with a length from 1 to this maximum, in characters.
    Text(usize),
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Some of these words, with commas between.
    SomeOf(&'static [&'static str]),
    /// Printable ASCII without spaces, with a length from 1 to this maximum, in characters.
    Token(usize),
    /// A date, as [`Zone::parse`](super::dates::Zone::parse) reads it.
    Date,
    /// Unix seconds or a date.
    Time,
    /// A text that clients send back unchanged, such as a cursor.
    Opaque,
}

/// Declares query parameters as constants, one row for each: `CONSTANT = name: kind, example, description;`, with
/// `, required` at its end for one that a request must have.
#[macro_export]
macro_rules! params {
    ($($vis:vis $constant:ident = $name:literal: $kind:expr, $example:expr, $about:expr $(, $required:ident)?;)*) => {
        $($vis const $constant: $crate::declared::Param =
            $crate::declared::Param::new($name, $kind, $example, $about)$(.$required())?;)*
    };
}

impl Param {
    /// An optional parameter.
    pub const fn new(
        name: &'static str,
        kind: ParamKind,
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

    /// The same parameter, required.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}
