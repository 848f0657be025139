//! What is wrong with a request, in FastAPI's shape: `{"detail": [{type, loc, msg, input, ctx?}]}`.

use std::fmt;

use serde::Serialize;

use crate::{integer::IntegerError, json::Json};

/// More problems than this are counted as these: 30,000 bad rows are told by the first hundred.
const MAX_PROBLEMS: usize = 100;

/// An input longer than this, as JSON, is not repeated back whole.
const MAX_INPUT_BYTES: usize = 16 * 1024;

/// One step of the way to what is wrong: `["body", "results", 3, "title"]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PathSegment {
    /// A field.
    Name(&'static str),
    /// What the client wrote.
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

/// Limits and other facts that belong to a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// The least integer.
    Ge(i64),
    /// The greatest integer.
    Le(i64),
    /// The fewest characters or items.
    MinLength(usize),
    /// The most characters.
    MaxLength(usize),
    /// What the JSON parser says.
    Error(String),
    /// The words that there are.
    Expected(String),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldError {
    #[serde(rename = "type")]
    kind: &'static str,
    loc: Vec<PathSegment>,
    msg: String,
    input: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Context>,
}

impl FieldError {
    fn new(kind: &'static str, loc: &[PathSegment], msg: impl Into<String>, input: Json) -> Self {
        Self {
            kind,
            loc: loc.to_vec(),
            msg: msg.into(),
            input: bounded(input),
            ctx: None,
        }
    }

    fn with(mut self, ctx: Context) -> Self {
        self.ctx = Some(ctx);
        self
    }

    /// Nothing is there.
    pub fn missing(loc: &[PathSegment]) -> Self {
        Self::new("missing", loc, "Field required", Json::Null)
    }

    /// A text that is no integer.
    pub fn not_an_integer(loc: &[PathSegment], error: IntegerError, input: &str) -> Self {
        let input = Json::from(input);
        match error {
            IntegerError::Parsing => Self::new(
                "int_parsing",
                loc,
                "Input should be a valid integer, unable to parse string as an integer",
                input,
            ),
            IntegerError::Size => Self::new(
                "int_parsing_size",
                loc,
                "Unable to parse input string as an integer, exceeded maximum size",
                input,
            ),
        }
    }

    /// A text that is no truth value.
    pub fn not_a_boolean(loc: &[PathSegment], input: &str) -> Self {
        let msg = "Input should be a valid boolean, unable to interpret input";
        Self::new("bool_parsing", loc, msg, Json::from(input))
    }

    /// A JSON value that is no integer.
    pub fn integer_type(loc: &[PathSegment], input: Json) -> Self {
        Self::new("int_type", loc, "Input should be a valid integer", input)
    }

    /// Too small a number.
    pub fn less_than(loc: &[PathSegment], least: i64, input: Json) -> Self {
        let msg = format!("Input should be greater than or equal to {least}");
        Self::new("greater_than_equal", loc, msg, input).with(Context::Ge(least))
    }

    /// Too great a number.
    pub fn greater_than(loc: &[PathSegment], greatest: i64, input: Json) -> Self {
        let msg = format!("Input should be less than or equal to {greatest}");
        Self::new("less_than_equal", loc, msg, input).with(Context::Le(greatest))
    }

    /// An empty text where one of at least a character is asked for.
    pub fn empty_string(loc: &[PathSegment]) -> Self {
        let msg = "String should have at least 1 character";
        Self::new("string_too_short", loc, msg, Json::from("")).with(Context::MinLength(1))
    }

    /// Too long a text.
    pub fn long_string(loc: &[PathSegment], most: usize, input: &str) -> Self {
        let msg = format!("String should have at most {most} characters");
        Self::new("string_too_long", loc, msg, Json::from(input)).with(Context::MaxLength(most))
    }

    /// Bytes that are not UTF-8; the input is shown with replacement characters.
    pub fn not_unicode(loc: &[PathSegment], input: &str) -> Self {
        let msg = "Input should be a valid string, unable to parse raw data as a unicode string";
        Self::new("string_unicode", loc, msg, Json::from(input))
    }

    /// A JSON value that is no text.
    pub fn string_type(loc: &[PathSegment], input: Json) -> Self {
        Self::new("string_type", loc, "Input should be a valid string", input)
    }

    /// What is no parameter or member.
    pub fn extra(loc: &[PathSegment], input: Json) -> Self {
        Self::new("extra_forbidden", loc, "Extra inputs are not permitted", input)
    }

    /// A value that is none of these words.
    pub fn none_of(loc: &[PathSegment], words: &[&str], input: Json) -> Self {
        let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
        let expected = match quoted.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, first)) => format!("{} or {last}", first.join(", ")),
            None => String::new(),
        };
        Self::new("literal_error", loc, format!("Input should be {expected}"), input)
            .with(Context::Expected(expected))
    }

    /// A JSON value that is no object.
    pub fn object_type(loc: &[PathSegment], input: Json) -> Self {
        Self::new("dict_type", loc, "Input should be a valid dictionary", input)
    }

    /// A JSON value that is no array.
    pub fn array_type(loc: &[PathSegment], input: Json) -> Self {
        Self::new("list_type", loc, "Input should be a valid list", input)
    }

    /// Too many items; they are not repeated back.
    pub fn long_array(loc: &[PathSegment], most: usize, actual: usize) -> Self {
        let msg = format!("List should have at most {most} items after validation, not {actual}");
        Self::new("too_long", loc, msg, Json::Null).with(Context::MaxLength(most))
    }

    /// A body that is no JSON; `position` is in characters.
    pub fn invalid_json(position: usize, error: String) -> Self {
        let loc = [PathSegment::Name("body"), PathSegment::Index(position)];
        Self::new(
            "json_invalid",
            &loc,
            "JSON decode error",
            Json::Object(Vec::new()),
        )
        .with(Context::Error(error))
    }

    /// A value of the right type that will not do, for a reason of our own.
    pub fn unfit(loc: &[PathSegment], reason: impl fmt::Display, input: Json) -> Self {
        Self::new("value_error", loc, format!("Value error, {reason}"), input)
    }
}

/// Everything that is wrong with a request, in the order in which its fields are declared.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Adds one, unless there are plenty.
    pub fn push(&mut self, problem: FieldError) {
        if self.0.len() < MAX_PROBLEMS {
            self.0.push(problem);
        }
    }

    /// No error if nothing is wrong.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// In one line: the first one, and how many more there are.
impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.0.split_first() else {
            return f.write_str("Nothing is wrong");
        };
        for (index, step) in first.loc.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            match step {
                PathSegment::Name(name) => write!(f, "{dot}{name}")?,
                PathSegment::Text(name) => write!(f, "{dot}{name}")?,
                PathSegment::Index(at) => write!(f, "{dot}{at}")?,
            }
        }
        write!(f, ": {}", first.msg)?;
        if !others.is_empty() {
            write!(f, "; and {} more", others.len())?;
        }
        Ok(())
    }
}

impl From<FieldError> for FieldErrors {
    fn from(problem: FieldError) -> Self {
        Self(vec![problem])
    }
}

/// Cuts an input that is too long to be repeated back.
fn bounded(input: Json) -> Json {
    if input.is_longer_than(MAX_INPUT_BYTES) {
        Json::from("…")
    } else {
        input
    }
}
