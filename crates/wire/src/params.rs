//! Parameters of a query, read one after the other while what is wrong is collected.

use std::ops::RangeInclusive;

use crate::{
    declared::Param,
    field_error::{FieldError, FieldErrors, PathSegment},
    integer,
    json::Json,
    query::QueryString,
};

/// Reads the query parameters of one request, and collects the errors.
pub struct ParamReader<'a> {
    query: &'a QueryString,
    problems: FieldErrors,
}

impl<'a> ParamReader<'a> {
    /// A reader of this query string.
    pub fn new(query: &'a QueryString) -> Self {
        Self {
            query,
            problems: FieldErrors::default(),
        }
    }

    /// An integer within its range; `None` when it is not there, or bad, which is then noted.
    pub fn integer(&mut self, param: &Param) -> Option<i64> {
        let loc = loc(param.name);
        let Some(text) = self.query.last(param.name) else {
            if param.required {
                self.note(FieldError::missing(&loc));
            }
            return None;
        };
        let text = &text.text;
        match integer::parse(text) {
            Err(error) => self.note(FieldError::not_an_integer(&loc, error, text)),
            Ok(value) => {
                let (range, input) = (param.range(), Json::from(text.as_str()));
                match in_range(value, &range) {
                    Ok(value) => return Some(value),
                    Err(RangeError::Below) => self.note(FieldError::less_than(&loc, *range.start(), input)),
                    Err(RangeError::Above) => self.note(FieldError::greater_than(&loc, *range.end(), input)),
                }
            }
        }
        None
    }

    /// A truth value; `None` when it is not there, or bad, which is then noted.
    pub fn boolean(&mut self, param: &Param) -> Option<bool> {
        let text = &self.query.last(param.name)?.text;
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" | "y" => Some(true),
            "false" | "0" | "no" | "off" | "f" | "n" => Some(false),
            _ => {
                self.note(FieldError::not_a_boolean(&loc(param.name), text));
                None
            }
        }
    }

    /// Adds an error that the caller found.
    pub fn note(&mut self, problem: FieldError) {
        self.problems.push(problem);
    }

    /// Ends reading: all errors, if there was one.
    pub fn finish(self) -> Result<(), FieldErrors> {
        self.problems.into_result()
    }
}

/// The location of a query parameter in an error.
pub fn loc(name: &'static str) -> [PathSegment; 2] {
    [PathSegment::Name("query"), PathSegment::Name(name)]
}

/// How a number misses a range.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RangeError {
    /// Less than the minimum.
    Below,
    /// Greater than the maximum.
    Above,
}

/// The number as one within the range.
pub fn in_range(value: i128, range: &RangeInclusive<i64>) -> Result<i64, RangeError> {
    if value < i128::from(*range.start()) {
        return Err(RangeError::Below);
    }
    i64::try_from(value)
        .ok()
        .filter(|value| value <= range.end())
        .ok_or(RangeError::Above)
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
    fn ranges_are_told() {
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
    fn problems_keep_their_order() {
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
