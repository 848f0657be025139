//! Parsing JSON request bodies with `serde_json`, within limits of depth and number of values.
//!
//! Integers keep their digits beyond 64 bits and object members their order, because a 422 answer repeats the
//! client's input. As in `serde_json`, NaN, the infinities and lone surrogates are errors.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::field_error::FieldError;

/// The deepest nesting; no request body of this API needs more than four levels.
const MAX_DEPTH: usize = 64;

/// Eight times the number of values in the longest /write-results (30,000 rows of three).
const MAX_VALUES: usize = 1_000_000;

/// A JSON value. Of a repeated key only the last value is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without fraction and exponent; outside the range of `i128`, the nearest number in it.
    Integer(i128),
    /// Any other number; infinite if it is too large.
    Float(f64),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, in the order in which its keys first appear.
    Object(#[serde(serialize_with = "as_map")] Vec<(String, Json)>),
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl Json {
    /// The value of this member, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        let (_, value) = members.iter().find(|(key, _)| key == name)?;
        Some(value)
    }

    /// Whether this value takes more than this many bytes when it is serialised (estimated). Stops counting as
    /// soon as the answer is known.
    pub fn is_longer_than(&self, bytes: usize) -> bool {
        self.remaining_after(bytes).is_none()
    }

    /// The rest of a budget of bytes after this value; `None` if it does not suffice.
    fn remaining_after(&self, budget: usize) -> Option<usize> {
        match self {
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Float(_) => budget.checked_sub(4),
            Self::String(text) => budget.checked_sub(text.len() + 2),
            Self::Array(items) => items
                .iter()
                .try_fold(budget, |left, item| item.remaining_after(left.checked_sub(1)?)),
            Self::Object(members) => members.iter().try_fold(budget, |left, (key, value)| {
                value.remaining_after(left.checked_sub(key.len() + 4)?)
            }),
        }
    }
}

fn as_map<S: Serializer>(members: &[(String, Json)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(members.iter().map(|(key, value)| (key, value)))
}

/// Parses a whole text. A byte order mark before it is ignored. The error has the position, in characters, at which
/// parsing stopped; for an unterminated string, that of its opening quote.
pub fn parse(bytes: &[u8]) -> Result<Json, FieldError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let at = |message: String, byte: usize| {
        let before = String::from_utf8_lossy(bytes.get(..byte).unwrap_or_default());
        FieldError::invalid_json(before.chars().count(), message)
    };
    let text = std::str::from_utf8(bytes).map_err(|error| at("Not UTF-8".into(), error.valid_up_to()))?;
    let unterminated = scan(text.as_bytes()).map_err(|(limit, byte)| at(limit.to_owned(), byte))?;
    let root: &RawValue = serde_json::from_str(text)
        .map_err(|error| at(message(&error), position(text, &error, unterminated)))?;
    // The syntax is checked now; a string may still hold a lone surrogate, which only decoding finds.
    value(root).map_err(|(error, part)| {
        let start = part.as_ptr() as usize - text.as_ptr() as usize;
        at(message(&error), start)
    })
}

/// The usual errors of `serde_json`, and the texts of `CPython`'s `json` that clients of the existing service know.
const MESSAGES: [(&str, &str); 6] = [
    (
        "key must be a string",
        "Expecting property name enclosed in double quotes",
    ),
    ("expected value", "Expecting value"),
    ("expected `:`", "Expecting ':' delimiter"),
    ("expected `,` or `}`", "Expecting ',' delimiter"),
    ("expected `,` or `]`", "Expecting ',' delimiter"),
    ("trailing characters", "Extra data"),
];

/// The error's text without its line and column.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (text, _) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
    let known = MESSAGES.iter().find(|(own, _)| *own == text);
    known.map_or(text, |(_, known)| known).to_owned()
}

/// Checks the limits, without knowing the grammar. Returns the opening quote of a string without an end, if there is
/// one; the error is the limit that the text exceeds, and where.
fn scan(bytes: &[u8]) -> Result<Option<usize>, (&'static str, usize)> {
    let (mut depth, mut values) = (0_usize, 0_usize);
    let mut bytes = bytes.iter().enumerate();
    while let Some((start, byte)) = bytes.next() {
        match byte {
            b'"' => loop {
                match bytes.next() {
                    None => return Ok(Some(start)),
                    Some((_, b'"')) => break,
                    Some((_, b'\\')) => drop(bytes.next()),
                    Some(_) => {}
                }
            },
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(("Too deeply nested", start));
        }
        if values >= MAX_VALUES {
            return Err(("Too many values", start));
        }
    }
    Ok(None)
}

/// The byte at which parsing stopped. `serde_json` counts lines and columns in bytes, from 1.
fn position(text: &str, error: &serde_json::Error, unterminated: Option<usize>) -> usize {
    let byte = if error.is_eof() {
        if let Some(quote) = unterminated {
            return quote;
        }
        text.len()
    } else {
        let lines_before = text.split_inclusive('\n').take(error.line().saturating_sub(1));
        let line_start: usize = lines_before.map(str::len).sum();
        (line_start + error.column().saturating_sub(1)).min(text.len())
    };
    // In a number or a word, the error is about the whole of it.
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let before = text.as_bytes().get(..byte).unwrap_or_default();
    byte - before.iter().rev().take_while(|byte| is_word(byte)).count()
}

/// Decodes a value whose syntax is known to be right. An error comes with the part that it is about.
fn value(raw: &RawValue) -> Result<Json, (serde_json::Error, &str)> {
    let text = raw.get();
    let failed = |error| (error, text);
    match text.as_bytes().first() {
        Some(b'{') => {
            let Members(raws) = serde_json::from_str(text).map_err(failed)?;
            let mut members: Vec<(String, Json)> = Vec::with_capacity(raws.len());
            let mut index = std::collections::HashMap::with_capacity(raws.len());
            for (key, raw) in raws {
                let value = value(raw)?;
                if let Some((_, earlier)) = index.get(&key).and_then(|at: &usize| members.get_mut(*at)) {
                    *earlier = value;
                } else {
                    index.insert(key.clone(), members.len());
                    members.push((key, value));
                }
            }
            Ok(Json::Object(members))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(failed)?;
            let items: Result<_, _> = items.into_iter().map(value).collect();
            items.map(Json::Array)
        }
        Some(b'"') => serde_json::from_str(text).map(Json::String).map_err(failed),
        Some(b't') => Ok(Json::Bool(true)),
        Some(b'f') => Ok(Json::Bool(false)),
        Some(b'n') => Ok(Json::Null),
        _ => Ok(number(text)),
    }
}

/// The number of this text, which is valid in JSON.
fn number(text: &str) -> Json {
    if text.contains(['.', 'e', 'E']) {
        return Json::Float(text.parse().unwrap_or(f64::INFINITY));
    }
    let nearest = if text.starts_with('-') {
        i128::MIN
    } else {
        i128::MAX
    };
    Json::Integer(text.parse().unwrap_or(nearest))
}

/// The members of an object, repeated keys included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_order_and_digits() {
        let text = r#" {"a": [1, -2, 1.5, 1e2, true, false, null], "é": "x\n\u00e9\ud83d\ude00\/", "a": 99999999999999999999} "#;
        let Json::Object(members) = parse(text.as_bytes()).unwrap() else {
            panic!("an object")
        };
        assert_eq!(
            members,
            [
                ("a".to_owned(), Json::Integer(99_999_999_999_999_999_999)),
                ("é".to_owned(), Json::from("x\né😀/")),
            ]
        );
        assert_eq!(
            parse(b"[1,-2,1.0,1e2,{},[],-0]").unwrap(),
            Json::Array(vec![
                Json::Integer(1),
                Json::Integer(-2),
                Json::Float(1.0),
                Json::Float(100.0),
                Json::Object(vec![]),
                Json::Array(vec![]),
                Json::Integer(0),
            ])
        );
        assert_eq!(parse(b"1e999").unwrap(), Json::Float(f64::INFINITY));
        assert_eq!(parse("\u{feff}{}".as_bytes()).unwrap(), Json::Object(vec![]));
    }

    /// The message, and the position.
    fn error(text: &[u8]) -> (String, usize) {
        let error = serde_json::to_value(parse(text).unwrap_err()).unwrap();
        let message = error["ctx"]["error"].as_str().unwrap().to_owned();
        (message, error["loc"][1].as_u64().unwrap().try_into().unwrap())
    }

    #[test]
    fn malformed_text_is_an_error_with_its_position() {
        let cases: &[(&str, usize)] = &[
            ("{bad", 1),
            (r#"{"a":"b""#, 8),
            (r#"{"a":"b",}"#, 9),
            ("[1,]", 3),
            (r#"{"a" 1}"#, 5),
            (r#"{"a":1 "b":2}"#, 7),
            ("[1 2]", 3),
            (r#"{"a":"b"#, 5),
            ("{} x", 3),
            ("nul", 0),
            ("[\n1,\nx]", 5),
            (".5", 0),
            ("+1", 0),
            ("{1:2}", 1),
            ("{'a':1}", 1),
            ("   ", 3),
            ("\"é\" x", 4),
            ("{\"é\":1,,}", 7),
            (r#"{"a":1}]"#, 7),
            (r#"{"a":"#, 5),
            (r#"{"a""#, 4),
            ("{", 1),
            ("[", 1),
            ("[[[", 3),
            (r#""abc\"#, 0),
            (r#"{"a":NaN}"#, 5),
            (r#"{"a":"\ud800"}"#, 5),
        ];
        for (text, position) in cases {
            let (message, at) = error(text.as_bytes());
            assert_eq!(at, *position, "{text}: {message}");
            assert!(!message.contains(" line "), "{message}");
        }
        assert_eq!(error(b"\"a\xff\""), ("Not UTF-8".to_owned(), 2));
    }

    #[test]
    fn depth_and_number_of_values_are_limited() {
        let (message, _) = error("[".repeat(100_000).as_bytes());
        assert_eq!(message, "Too deeply nested");
        let many = format!("[{}1]", "1,".repeat(MAX_VALUES));
        assert_eq!(error(many.as_bytes()).0, "Too many values");
    }

    #[test]
    fn length_is_estimated_without_serialising() {
        assert!(!Json::from("abc").is_longer_than(5));
        assert!(Json::from("abc").is_longer_than(4));
        assert!(Json::Array(vec![Json::Null; 10]).is_longer_than(20));
    }
}
