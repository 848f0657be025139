//! Errors in a request, in FastAPI's shape: `{"detail": [{type, loc, msg, input, ctx?}]}`.

use std::{fmt, ops::RangeInclusive};

use serde::Serialize;

use crate::json::Json;

/// Further errors are dropped: the first hundred of 30,000 bad rows say enough.
const MAX_ERRORS: usize = 100;

/// A longer input, as JSON, is not repeated back.
const MAX_INPUT_BYTES: usize = 16 * 1024;

/// One step of the path to an error: `["body", "results", 3, "title"]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PathSegment {
    /// A field.
    Name(&'static str),
    /// A name that the client made up.
    Text(String),
    /// An index, or a position in a text.
    Index(usize),
}

impl From<&'static str> for PathSegment {
    fn from(name: &'static str) -> Self {
        Self::Name(name)
    }
}

impl From<usize> for PathSegment {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl fmt::Display for PathSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Text(text) => f.write_str(text),
            Self::Index(index) => index.fmt(f),
        }
    }
}

/// A limit or another fact that belongs to a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Context {
    Ge(i64),
    Le(i64),
    MinLength(usize),
    MaxLength(usize),
    Error(String),
    Expected(String),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldError {
    #[serde(rename = "type")]
    kind: &'static str,
    loc: Box<[PathSegment]>,
    msg: Box<str>,
    input: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Context>,
}

/// Constructors of errors without a context: their name, FastAPI's type, and its message.
macro_rules! plain_errors {
    ($($(#[$doc:meta])* $name:ident: $kind:literal, $msg:literal;)*) => {
        $($(#[$doc])*
        pub fn $name(loc: &[PathSegment], input: impl Into<Json>) -> Self {
            Self::new($kind, loc, $msg, input)
        })*
    };
}

impl FieldError {
    fn new(
        kind: &'static str,
        loc: &[PathSegment],
        msg: impl Into<Box<str>>,
        input: impl Into<Json>,
    ) -> Self {
        let mut input = input.into();
        if input.is_longer_than(MAX_INPUT_BYTES) {
            input = "…".into();
        }
        Self {
            kind,
            loc: loc.into(),
            msg: msg.into(),
            input,
            ctx: None,
        }
    }

    fn with(mut self, ctx: Context) -> Self {
        self.ctx = Some(ctx);
        self
    }

    plain_errors! {
        /// A text that is no integer.
        not_an_integer: "int_parsing",
            "Input should be a valid integer, unable to parse string as an integer";
        /// A text of too many digits.
        long_integer: "int_parsing_size",
            "Unable to parse input string as an integer, exceeded maximum size";
        /// A text that is no truth value.
        not_a_boolean: "bool_parsing", "Input should be a valid boolean, unable to interpret input";
        /// A JSON value that is no integer.
        integer_type: "int_type", "Input should be a valid integer";
        /// A JSON value that is no text.
        string_type: "string_type", "Input should be a valid string";
        /// A JSON value that is no object.
        object_type: "dict_type", "Input should be a valid dictionary";
        /// A JSON value that is no array.
        array_type: "list_type", "Input should be a valid list";
        /// An unknown parameter or member.
        extra: "extra_forbidden", "Extra inputs are not permitted";
        /// Bytes that are not UTF-8; the input is shown with replacement characters.
        not_unicode: "string_unicode",
            "Input should be a valid string, unable to parse raw data as a unicode string";
    }

    /// Nothing is there.
    pub fn missing(loc: &[PathSegment]) -> Self {
        Self::new("missing", loc, "Field required", Json::Null)
    }

    /// The number, if it is in the range.
    pub fn check_range(
        loc: &[PathSegment],
        number: i128,
        range: &RangeInclusive<i64>,
        input: impl Into<Json>,
    ) -> Result<i64, Self> {
        let (least, greatest) = (*range.start(), *range.end());
        match i64::try_from(number) {
            Ok(number) if range.contains(&number) => Ok(number),
            _ if number < least.into() => {
                let msg = format!("Input should be greater than or equal to {least}");
                Err(Self::new("greater_than_equal", loc, msg, input).with(Context::Ge(least)))
            }
            _ => {
                let msg = format!("Input should be less than or equal to {greatest}");
                Err(Self::new("less_than_equal", loc, msg, input).with(Context::Le(greatest)))
            }
        }
    }

    /// The text, if it has a length from 1 to `most`, in characters.
    pub fn check_length<'a>(loc: &[PathSegment], text: &'a str, most: usize) -> Result<&'a str, Self> {
        if text.is_empty() {
            let msg = "String should have at least 1 character";
            return Err(Self::new("string_too_short", loc, msg, "").with(Context::MinLength(1)));
        }
        if text.chars().count() > most {
            let msg = format!("String should have at most {most} characters");
            return Err(Self::new("string_too_long", loc, msg, text).with(Context::MaxLength(most)));
        }
        Ok(text)
    }

    /// A value that is none of these words.
    pub fn none_of(loc: &[PathSegment], words: &[&str], input: impl Into<Json>) -> Self {
        let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
        let expected = match quoted.split_last() {
            Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            _ => quoted.concat(),
        };
        Self::new("literal_error", loc, format!("Input should be {expected}"), input)
            .with(Context::Expected(expected))
    }

    /// Too many items; they are not repeated back.
    pub fn long_array(loc: &[PathSegment], most: usize, actual: usize) -> Self {
        let msg = format!("List should have at most {most} items after validation, not {actual}");
        Self::new("too_long", loc, msg, Json::Null).with(Context::MaxLength(most))
    }

    /// A body that is no JSON; `position` is in characters.
    pub fn invalid_json(position: usize, error: String) -> Self {
        let loc = ["body".into(), position.into()];
        Self::new(
            "json_invalid",
            &loc,
            "JSON decode error",
            Json::Object(Vec::new()),
        )
        .with(Context::Error(error))
    }

    /// A value of the right type that is invalid for a reason of our own.
    pub fn unfit(loc: &[PathSegment], reason: impl fmt::Display, input: impl Into<Json>) -> Self {
        Self::new("value_error", loc, format!("Value error, {reason}"), input)
    }
}

/// Everything that is wrong with a request, in the order in which its fields are declared.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Adds an error, up to the limit.
    pub fn push(&mut self, error: FieldError) {
        if self.0.len() < MAX_ERRORS {
            self.0.push(error);
        }
    }

    /// No error if nothing is wrong.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// In one line: the first error, and how many more there are.
impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.0.split_first() else {
            return f.write_str("Nothing is wrong");
        };
        let path: Vec<_> = first.loc.iter().map(PathSegment::to_string).collect();
        write!(f, "{}: {}", path.join("."), first.msg)?;
        if !others.is_empty() {
            write!(f, "; and {} more", others.len())?;
        }
        Ok(())
    }
}

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}
