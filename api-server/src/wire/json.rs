//! JSON as `CPython`'s `json` module reads it, whose error texts and positions clients see in a 422.
//!
//! Not taken, unlike there: NaN and the infinities, lone surrogates, UTF-16 and UTF-32. Depth and number of values are
//! bounded, so that a body costs no more than a small multiple of its length.

use serde::{Serialize, Serializer};

/// Nesting that no request of ours comes near.
const MAX_DEPTH: usize = 64;

/// Eight times the values of the longest /write-results (30,000 rows of three).
const MAX_VALUES: usize = 1_000_000;

/// A JSON value; of a repeated key only the last is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without fraction and exponent; beyond `i128` the nearest.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// A text.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, in the order of its keys' first appearance.
    Object(Vec<(String, Json)>),
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl Json {
    /// The member of this name, if this is an object that has it.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// Whether this is longer than so many bytes when written; looks no further than needed.
    pub(crate) fn is_longer_than(&self, bytes: usize) -> bool {
        self.spend(bytes).is_none()
    }

    fn spend(&self, budget: usize) -> Option<usize> {
        match self {
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Float(_) => budget.checked_sub(4),
            Self::String(text) => budget.checked_sub(text.len() + 2),
            Self::Array(items) => items
                .iter()
                .try_fold(budget, |left, item| item.spend(left.checked_sub(1)?)),
            Self::Object(members) => members.iter().try_fold(budget, |left, (key, value)| {
                value.spend(left.checked_sub(key.len() + 4)?)
            }),
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i128(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(members) => serializer.collect_map(members.iter().map(|(key, value)| (key, value))),
        }
    }
}

/// What is wrong with a text that is no JSON.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct JsonError {
    /// `CPython`'s text for it.
    pub(crate) error: &'static str,
    /// Where, in characters from the start.
    pub(crate) position: usize,
}

const EXPECTING_VALUE: &str = "Expecting value";
const EXPECTING_NAME: &str = "Expecting property name enclosed in double quotes";
const EXPECTING_COLON: &str = "Expecting ':' delimiter";
const EXPECTING_COMMA: &str = "Expecting ',' delimiter";
const UNTERMINATED: &str = "Unterminated string starting at";
const INVALID_UNICODE: &str = "Invalid \\uXXXX escape";

/// Reads a whole text.
pub(crate) fn parse(bytes: &[u8]) -> Result<Json, JsonError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError {
        error: "Not UTF-8",
        position: String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default())
            .chars()
            .count(),
    })?;
    let mut scanner = Scanner {
        text,
        at: 0,
        depth: 0,
        values: 0,
    };
    scanner.document().map_err(|(error, at)| JsonError {
        error,
        position: text.get(..at).map_or(0, |before| before.chars().count()),
    })
}

type Scan<T> = Result<T, (&'static str, usize)>;

/// Positions are in bytes here, always at the start of a character.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    values: usize,
}

impl Scanner<'_> {
    fn document(&mut self) -> Scan<Json> {
        self.skip_space();
        let value = self.value()?;
        self.skip_space();
        if self.peek().is_some() {
            Err(("Extra data", self.at))
        } else {
            Ok(value)
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Scan<Json> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(("Too many values", self.at));
        }
        match self.peek() {
            Some(b'"') => self.string().map(Json::String),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.literal(),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Scan<Json>) -> Scan<Json> {
        if self.depth == MAX_DEPTH {
            return Err(("Too deeply nested", self.at));
        }
        self.depth += 1;
        self.at += 1;
        self.skip_space();
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn literal(&mut self) -> Scan<Json> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for (word, value) in [
            ("null", Json::Null),
            ("true", Json::Bool(true)),
            ("false", Json::Bool(false)),
        ] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err((EXPECTING_VALUE, self.at))
    }

    fn object(&mut self) -> Scan<Json> {
        let mut members: Vec<(String, Json)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err((EXPECTING_NAME, self.at));
            }
            let key = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err((EXPECTING_COLON, self.at));
            }
            self.at += 1;
            self.skip_space();
            let value = self.value()?;
            if let Some((_, last)) = places.get(&key).and_then(|place: &usize| members.get_mut(*place)) {
                *last = value;
            } else {
                places.insert(key.clone(), members.len());
                members.push((key, value));
            }
            if self.ends(b'}')? {
                return Ok(Json::Object(members));
            }
        }
    }

    fn array(&mut self) -> Scan<Json> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value()?);
            if self.ends(b']')? {
                return Ok(Json::Array(items));
            }
        }
    }

    /// After an item: whether the end follows (true) or a comma (false).
    fn ends(&mut self, end: u8) -> Scan<bool> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.skip_space();
                Ok(false)
            }
            Some(found) if found == end => {
                self.at += 1;
                Ok(true)
            }
            _ => Err((EXPECTING_COMMA, self.at)),
        }
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at > start
    }

    fn number(&mut self) -> Scan<Json> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let whole = self.at;
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else if !self.digits() {
            return Err((EXPECTING_VALUE, start));
        }
        let end_of_whole = self.at;
        // A point or an exponent without digits is no part of the number: what follows is then "extra data".
        if self.peek() == Some(b'.') {
            self.at += 1;
            if !self.digits() {
                self.at = end_of_whole;
            }
        }
        let end_of_fraction = self.at;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if !self.digits() {
                self.at = end_of_fraction;
            }
        }
        if self.at == end_of_whole {
            let digits = self.text.as_bytes().get(whole..end_of_whole).unwrap_or_default();
            let value = digits.iter().fold(0_i128, |value, d| {
                value.saturating_mul(10).saturating_add(i128::from(d - b'0'))
            });
            return Ok(Json::Integer(if negative { -value } else { value }));
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        // Too great a number is infinite, as in Python; it is never what is asked for.
        Ok(Json::Float(text.parse().unwrap_or(f64::INFINITY)))
    }

    fn string(&mut self) -> Scan<String> {
        let start = self.at;
        self.at += 1;
        let mut value = String::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest
                .bytes()
                .position(|b| b == b'"' || b == b'\\' || b < 0x20)
                .ok_or((UNTERMINATED, start))?;
            value.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(value);
                }
                Some(b'\\') => value.push(self.escape(start)?),
                _ => return Err(("Invalid control character at", self.at)),
            }
        }
    }

    fn escape(&mut self, start: usize) -> Scan<char> {
        let backslash = self.at;
        self.at += 1;
        let c = match self.peek().ok_or((UNTERMINATED, start))? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(("Invalid \\escape", backslash)),
        };
        self.at += 1;
        Ok(c)
    }

    /// At the `u` of `\uXXXX`; takes a second half along with the first of a surrogate pair.
    fn unicode(&mut self) -> Scan<char> {
        let u = self.at;
        let high = self.hex(u)?;
        let code = if (0xd800..0xdc00).contains(&high) {
            if self.text.get(self.at..self.at + 2) != Some("\\u") {
                return Err((INVALID_UNICODE, u));
            }
            let second = self.at + 1;
            let low = self.hex(second)?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err((INVALID_UNICODE, u));
            }
            0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        char::from_u32(code).ok_or((INVALID_UNICODE, u))
    }

    /// The four digits after the `u` at this place.
    fn hex(&mut self, u: usize) -> Scan<u32> {
        let digits = self
            .text
            .get(u + 1..u + 5)
            .filter(|four| four.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits
            .and_then(|four| u32::from_str_radix(four, 16).ok())
            .ok_or((INVALID_UNICODE, u))?;
        self.at = u + 5;
        Ok(code)
    }
}

#[cfg(test)]
mod tests;
