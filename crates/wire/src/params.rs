//! Query parameters, read one after the other while errors are collected.

use std::fmt;

use crate::{
    declared::{Param, ParamKind},
    field_error::{FieldError, FieldErrors, PathSegment},
    integer::{self, IntegerError},
    query::QueryString,
};

/// Reads the query parameters of one request. An absent or invalid one is `None`; an invalid one is also noted.
pub struct ParamReader<'a> {
    query: &'a QueryString,
    errors: FieldErrors,
}

impl<'a> ParamReader<'a> {
    /// A reader of this query string.
    pub fn new(query: &'a QueryString) -> Self {
        Self {
            query,
            errors: FieldErrors::default(),
        }
    }

    /// The text of a parameter, unchecked.
    pub fn raw(&self, param: &Param) -> Option<&'a str> {
        self.query.last(param.name).map(|value| value.text.as_str())
    }

    /// An integer within its range.
    pub fn integer(&mut self, param: &Param) -> Option<i64> {
        let loc = loc(param.name);
        let Some(text) = self.raw(param) else {
            if param.required {
                self.note(FieldError::missing(&loc));
            }
            return None;
        };
        let range = match &param.kind {
            ParamKind::Integer(range) => range,
            _ => &(i64::MIN..=i64::MAX),
        };
        let value = integer::parse(text)
            .map_err(|error| match error {
                IntegerError::Parsing => FieldError::not_an_integer(&loc, text),
                IntegerError::Size => FieldError::long_integer(&loc, text),
            })
            .and_then(|value| FieldError::check_range(&loc, value, range, text));
        self.noted(value)
    }

    /// A text within its limits.
    pub fn text(&mut self, param: &Param) -> Option<&'a str> {
        let value = self.query.last(param.name)?;
        let most = match param.kind {
            ParamKind::Text(most) | ParamKind::Token(most) => most,
            _ => usize::MAX,
        };
        let loc = loc(param.name);
        let text = FieldError::check_length(&loc, &value.text, most).and_then(|text| {
            let is_unicode = value.is_unicode.then_some(text);
            is_unicode.ok_or_else(|| FieldError::not_unicode(&loc, text))
        });
        self.noted(text)
    }

    /// A truth value.
    pub fn boolean(&mut self, param: &Param) -> Option<bool> {
        let text = self.raw(param)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" | "y" => Some(true),
            "false" | "0" | "no" | "off" | "f" | "n" => Some(false),
            _ => self.noted(Err(FieldError::not_a_boolean(&loc(param.name), text))),
        }
    }

    /// Notes that the text of a parameter is invalid for a reason of our own.
    pub fn unfit(&mut self, param: &Param, reason: impl fmt::Display, text: &str) {
        self.note(FieldError::unfit(&loc(param.name), reason, text));
    }

    /// Notes an error that the caller found.
    pub fn note(&mut self, error: FieldError) {
        self.errors.push(error);
    }

    fn noted<T>(&mut self, read: Result<T, FieldError>) -> Option<T> {
        read.map_err(|error| self.note(error)).ok()
    }

    /// Ends reading: all errors, if there was one.
    pub fn finish(self) -> Result<(), FieldErrors> {
        self.errors.into_result()
    }
}

/// The location of a query parameter in an error.
pub fn loc(name: &'static str) -> [PathSegment; 2] {
    ["query".into(), name.into()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::ParamKind;

    const PAGE: Param = Param::new("page", ParamKind::Integer(0..=100), "", "");
    const A: Param = Param::new("a", ParamKind::Integer(0..=1), "", "").required();
    const B: Param = Param::new("b", ParamKind::Integer(0..=1), "", "").required();

    fn page(raw: &str) -> (Option<i64>, serde_json::Value) {
        let query = QueryString::parse(Some(raw));
        let mut reader = ParamReader::new(&query);
        let page = reader.integer(&PAGE);
        let problems = reader.finish().err().unwrap_or_default();
        (page, serde_json::to_value(problems).unwrap())
    }

    #[test]
    fn integer_out_of_range_is_an_error() {
        assert_eq!(page("page=7"), (Some(7), serde_json::json!([])));
        assert_eq!(page("other=7"), (None, serde_json::json!([])));
        let below = serde_json::json!([{"type": "greater_than_equal", "loc": ["query", "page"],
            "msg": "Input should be greater than or equal to 0", "input": "-1", "ctx": {"ge": 0}}]);
        assert_eq!(page("page=-1"), (None, below));
        for over in [
            "101",
            "9223372036854775808",
            "99999999999999999999999999999999999999999999",
        ] {
            let above = serde_json::json!([{"type": "less_than_equal", "loc": ["query", "page"],
                "msg": "Input should be less than or equal to 100", "input": over, "ctx": {"le": 100}}]);
            assert_eq!(page(&format!("page={over}")), (None, above));
        }
        assert_eq!(
            page("page=-99999999999999999999").1[0]["type"],
            "greater_than_equal"
        );
    }

    #[test]
    fn errors_keep_the_order_of_reading() {
        let query = QueryString::parse(Some("b=x"));
        let mut reader = ParamReader::new(&query);
        reader.integer(&A);
        reader.integer(&B);
        let problems = serde_json::to_value(reader.finish().unwrap_err()).unwrap();
        assert_eq!(
            problems,
            serde_json::json!([
                {"type": "missing", "loc": ["query", "a"], "msg": "Field required", "input": null},
                {"type": "int_parsing", "loc": ["query", "b"], "input": "x",
                 "msg": "Input should be a valid integer, unable to parse string as an integer"},
            ])
        );
    }
}
